"""What people do with an incident: open, answer, grade, link, resolve and review it (plan 8).

Every act is one unit of work with its record and its notice; what is refused is on record, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, update

from include.changes.catalogue import load_catalogue
from include.changes.change import load_change, open_change
from include.changes.draft import draft
from include.changes.request import ChangeRequest
from include.entries.outcome import Entered, eligible, refuse
from include.errors import RequestError, did_you_mean
from include.incidents.incident import Incident, load_incident, opened_by_run
from include.incidents.policy import Grade, grade
from include.instants import format_duration, format_instant
from include.ledger import Actor, Ledger, Source, Unit, schema
from include.ledger.kept_text import keep_text
from include.ledger.number import next_number
from include.ledger.record import Subject
from include.notices.alarm_texts import incident_opened, incident_resolved
from include.notices.outbox import queue
from include.notices.wording import one_line
from include.people import Person
from include.privacy import screen
from include.settings import Settings

# Who answers for an incident. Anybody in config/people.yaml may open one.
ROLES = (
    "operations", "operations_manager", "technical_lead", "release_manager", "security_officer",
)  # fmt: skip
# The plan's five parts of a retrospective (section 8.2).
PARTS = {
    "what_happened": "What happened: timeline and impact",
    "root_cause": "Root cause: technical and process causes",
    "resolution": "Resolution: how the issue was fixed",
    "prevention": "Prevention: measures to prevent recurrence",
    "lessons": "Lessons learned: process and technical improvements",
}
# What a review may ask for (section 8.2); each becomes a change of its own.
FOLLOW_UPS = ("process", "technical", "monitoring", "training")
_LONGEST = 4000


@dataclass(frozen=True, kw_only=True)
class IncidentDesk:
    """Where incidents are handled in the name of `person`; `clock` gives the current instant."""

    ledger: Ledger
    settings: Settings
    person: Person
    actor: Actor
    source: Source
    clock: Callable[[], datetime]
    zone: str

    def open(self, *, title: str, severity: str, systems: Sequence[str]) -> Incident:
        """Open an incident and tell whoever is on call; a run opens one, however often it asks.

        Raises RequestError for a severity or a system that there is not, and for an empty title.
        """
        named = self._words(title, "title", limit=200)
        given = grade(self.settings, severity)
        known = load_catalogue(self.settings).systems.titles
        wanted = sorted(dict.fromkeys(systems))
        for system in wanted:
            if system not in known:
                raise RequestError(
                    f'"{ascii(system)[1:-1][:60]}" is no system of config/systems.yaml'
                    f"{did_you_mean(system[:60], known)}"
                )
        if not wanted:
            raise RequestError("say which systems it is about")
        with self._unit() as unit:
            if self.source.run_id is not None:
                found = opened_by_run(unit.connection, self.source.run_id)
                if found is not None:
                    incident = load_incident(unit.connection, found)
                    unit.append(
                        "incident.followed", incident.subject, message=f"{found} is open already"
                    )
                    return incident
            key = f"INC-{next_number(unit, 'incident'):06d}"
            unit.execute(
                insert(schema.incident).values(
                    id=key,
                    severity=severity,
                    title=named,
                    systems=wanted,
                    opened_at=unit.now,
                )
            )
            due = _due(given, unit.now)
            unit.append(
                "incident.opened",
                Subject(kind="incident", id=key),
                message=f"{key} ({severity}): {named}",
                details={"severity": severity, "systems": wanted, **due},
            )
            queue(
                unit,
                incident_opened(
                    incident=key,
                    severity=severity,
                    title=named,
                    systems=wanted,
                    respond_by=unit.now + given.respond_in,
                    zone=self.zone,
                ),
            )
        with self.ledger.read() as connection:
            return load_incident(connection, key)

    def respond(self, key: str) -> Entered:
        """Say that somebody is at it: this stops the first clock. The first word stands."""
        with self._unit() as unit:
            incident, no = self._led(unit, key, "answer")
            if no is not None:
                return no
            if incident.responder is not None:
                return self._refuse(
                    unit, incident, "ended", f"{key} was answered by {incident.responder} already"
                )
            message = f"{incident.id}: {self.person.name} is at it"
            unit.append("incident.responded", incident.subject, message=message)
        return Entered(ok=True, reason="responded", message=message, id=incident.id)

    def grade(self, key: str, severity: str, *, reason: str) -> Entered:
        """Give it another severity; both clocks then count from its opening by that one's times."""
        given, why = grade(self.settings, severity), self._words(reason, "reason")
        with self._unit() as unit:
            incident, no = self._led(unit, key, "grade")
            if no is not None:
                return no
            if incident.severity == severity:
                return self._refuse(
                    unit, incident, "ended", f"{incident.id} is a {severity} already"
                )
            unit.execute(
                update(schema.incident)
                .where(schema.incident.c.id == incident.id)
                .values(severity=severity)
            )
            message = f"{incident.id} is a {severity}, no more a {incident.severity}: {why}"
            unit.append(
                "incident.graded",
                incident.subject,
                message=message,
                difference={"severity": {"from": incident.severity, "to": severity}},
                details={"severity": severity, **_due(given, incident.opened_at)},
            )
        return Entered(ok=True, reason="graded", message=message, id=incident.id)

    def link(self, key: str, change_id: str, *, take_back: bool = False) -> Entered:
        """Say that a change caused it, or take that back; reports count by this word alone."""
        with self._unit() as unit:
            incident, no = self._led(unit, key, "link", closed=True)
            if no is not None:
                return no
            change = load_change(unit.connection, change_id)
            if (change.id in incident.changes) is not take_back:
                message = (
                    f"{incident.id} is {'not' if take_back else 'already'} linked to {change.id}"
                )
                return self._refuse(unit, incident, "ended", message)
            message = (
                f"{incident.id} {'was not' if take_back else 'was'} caused by {change.id}, "
                f"says {self.person.name}"
            )
            unit.append(
                "incident.unlinked" if take_back else "incident.linked",
                incident.subject,
                reason="caused_by",
                message=message,
                change=change.id,
            )
        return Entered(ok=True, reason="linked", message=message, id=incident.id)

    def resolve(self, key: str, *, how: str) -> Entered:
        """Say that it is over and how it was mended: this stops the clocks."""
        said = self._words(how, "how")
        with self._unit() as unit:
            incident, no = self._led(unit, key, "resolve")
            if no is not None:
                return no
            unit.execute(
                update(schema.incident)
                .where(schema.incident.c.id == incident.id)
                .values(closed_at=unit.now)
            )
            lasted = format_duration(unit.now - incident.opened_at)
            message = f"{incident.id} is over after {lasted}, says {self.person.name}"
            unit.append(
                "incident.closed",
                incident.subject,
                reason="resolved",
                message=message,
                details={"how": keep_text(unit, said)},
            )
            queue(unit, incident_resolved(incident=incident.id, how=said, lasted=lasted))
        return Entered(ok=True, reason="resolved", message=message, id=incident.id)

    def tell(self, key: str, part: str, text: str) -> Entered:
        """Tell one part of the retrospective; the newest word on a part stands until the review."""
        said = self._words(text, part)
        with self._unit() as unit:
            incident, no = self._led(unit, key, "review", closed=True)
            if no is not None:
                return no
            message = f"{incident.id}: {self.person.name} tells {part.replace('_', ' ')}"
            unit.append(
                "incident.told",
                incident.subject,
                message=message,
                details={"part": part, "text": keep_text(unit, said)},
            )
        return Entered(ok=True, reason="told", message=message, id=incident.id)

    def review(
        self, key: str, parts: Mapping[str, str], follow_ups: Sequence[tuple[str, str]] = ()
    ) -> Entered:
        """Hold its retrospective: all five parts, and a drafted change for every follow-up.

        `follow_ups` are pairs of kind (see FOLLOW_UPS) and what is to be done.
        """
        unknown = [part for part in parts if part not in PARTS]
        if unknown:
            raise RequestError(f"{unknown[0][:60]} is no part of a review: {', '.join(PARTS)}")
        said = {part: self._words(parts.get(part, ""), part) for part in PARTS}
        asked = []
        for kind, what in follow_ups:
            if kind not in FOLLOW_UPS:
                raise RequestError(
                    f'"{ascii(kind)[1:-1][:40]}" is no kind of follow-up: {", ".join(FOLLOW_UPS)}'
                )
            asked.append((kind, self._words(what, "follow-up", limit=200)))
        with self._unit() as unit:
            incident, no = self._led(unit, key, "review", closed=True)
            if no is not None:
                return no
            if incident.closed_at is None:
                message = f"{incident.id} is still open; resolve it first"
                return self._refuse(unit, incident, "out_of_order", message)
            if incident.review:
                return self._refuse(unit, incident, "ended", f"{incident.id} was reviewed already")
            made = [self._follow_up(unit, incident, kind, what) for kind, what in asked]
            message = f"{incident.id} is reviewed by {self.person.name}" + (
                f"; follow-up changes: {', '.join(made)}" if made else "; nothing follows from it"
            )
            unit.append(
                "incident.reviewed",
                incident.subject,
                message=message,
                details={
                    "parts": {part: keep_text(unit, text) for part, text in said.items()},
                    "follow_ups": made,
                },
            )
        return Entered(ok=True, reason="reviewed", message=message, id=incident.id)

    def _follow_up(self, unit: Unit, incident: Incident, kind: str, what: str) -> str:
        catalogue = load_catalogue(self.settings)
        request = ChangeRequest.model_validate(
            {
                "title": what,
                "type": "normal",
                "description": f"A {kind} change that the review of {incident.id} asks for.",
                "justification": f"{incident.id} ({incident.severity}): {incident.title}",
                "labels": [incident.id, f"follow-up:{kind}"],
                "impact_assessment": {"affected_systems": list(incident.systems)},
            },
            context=catalogue.known,
        )
        change = open_change(unit, draft(request, catalogue, by=self.person), release_id=None)
        unit.append(
            "incident.linked",
            incident.subject,
            reason="follow_up",
            message=f"{change.id} follows from {incident.id} ({kind}): {what}",
            change=change.id,
            details={"kind": kind},
        )
        return change.id

    def _unit(self) -> Any:
        return self.ledger.write(self.actor, self.source, self.clock())

    def _led(
        self, unit: Unit, key: str, what: str, *, closed: bool = False
    ) -> tuple[Incident, Entered | None]:
        """Return the incident, and the refusal where this person may not do so, or not any more."""
        incident = load_incident(unit.connection, key, lock=True)
        wrong = eligible(self.person, ROLES, f"{what} an incident")
        if wrong:
            return incident, self._refuse(unit, incident, "not_eligible", wrong)
        if incident.closed_at is not None and not closed:
            message = f"{incident.id} was closed {format_instant(incident.closed_at)}"
            return incident, self._refuse(unit, incident, "ended", message)
        return incident, None

    def _refuse(self, unit: Unit, incident: Incident, reason: str, message: str) -> Entered:
        return refuse(unit, "incident.refused", incident.subject, reason, message)

    def _words(self, text: str, where: str, *, limit: int = _LONGEST) -> str:
        said = one_line(text) if limit < _LONGEST else text.strip()
        if not said:
            raise RequestError(f"{where}: say it in words; it is empty")
        if len(said) > limit:
            raise RequestError(f"{where}: {len(said)} characters are too many; at most {limit}")
        return screen(self.settings, "comment", said, where=where)


def _due(given: Grade, opened: datetime) -> dict[str, str | None]:
    resolve = None if given.resolve_in is None else format_instant(opened + given.resolve_in)
    return {"respond_by": format_instant(opened + given.respond_in), "resolve_by": resolve}
