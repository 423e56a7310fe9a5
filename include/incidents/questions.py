"""What a run of the Dag `incident` asks people, and what their answers do."""

from __future__ import annotations

from datetime import datetime, timedelta

from include.access.question import Answered, Question
from include.calendar import load_calendar
from include.entries.outcome import Entered
from include.errors import RecordMissing, RequestError
from include.incidents.desk import FOLLOW_UPS, PARTS, ROLES, IncidentDesk
from include.incidents.incident import Incident, load_incident, opened_by_run
from include.instants import format_instant
from include.ledger import Actor, Ledger, Source
from include.ledger.kept_text import kept_text
from include.people import Person, load_people
from include.settings import Settings

PATIENCE = timedelta(days=30)
# Each step with what it asks.
STEPS = {
    "response": "Somebody is needed. Who answers is named as being at it.",
    "over": "Answer when it is over; the comment says how it was mended.",
    **PARTS,
}
OPTIONS = {"response": "I am at it", "over": "It is over", **dict.fromkeys(PARTS, "Told")}


def ask(ledger: Ledger, settings: Settings, run_id: str, step: str, now: datetime) -> Question:
    """Return the question of a step; RecordMissing if an earlier one has no answer."""
    incident = incident_of(ledger, run_id)
    _in_order(incident, step)
    parts = [
        f"**{incident.id}** ({incident.severity}) — {incident.title}",
        f"Systems: {', '.join(incident.systems)}. Opened {format_instant(incident.opened_at)}.",
        *(
            f"The {clock.name} time ends {format_instant(clock.due)}."
            for clock in incident.clocks
            if clock.stopped is None
        ),
        STEPS[step],
    ]
    if step == "prevention":
        parts.append(
            f"A line that begins with {', '.join(f'`{kind}:`' for kind in FOLLOW_UPS)} "
            "becomes a drafted change."
        )
    return Question(
        subject=f"{incident.id}: {step.replace('_', ' ')}",
        body="\n\n".join(parts),
        options=(OPTIONS[step],),
        groups=ROLES,
        patience=PATIENCE,
    )


def answer(
    ledger: Ledger,
    settings: Settings,
    run_id: str,
    step: str,
    *,
    choice: str,
    comment: str,
    by: Actor,
    source: Source,
    now: datetime,
) -> Answered:
    """Do what was answered. What was done elsewhere meanwhile, as from the shell, stands."""
    incident = incident_of(ledger, run_id)
    _in_order(incident, step)
    person = load_people(settings).find(by.user)
    if person is None:
        return Answered(ok=False, reason="not_eligible", message=f"nobody knows {by.user}")
    desk = _desk(ledger, settings, person, by, source, now)
    if step == "response":
        if incident.responder is not None or incident.closed_at is not None:
            return _already(incident)
        return _answered(desk.respond(incident.id))
    if step == "over":
        if incident.closed_at is not None:
            return _already(incident)
        return _answered(desk.resolve(incident.id, how=comment))
    if incident.review:
        return _already(incident)
    return _answered(desk.tell(incident.id, step, comment))


def hold_review(
    ledger: Ledger, settings: Settings, run_id: str, *, source: Source, now: datetime
) -> Answered:
    """Put the five parts together and draft what follows, in the name of who told the last part.

    RequestError names a part that nobody has told.
    """
    incident = incident_of(ledger, run_id)
    if incident.review:
        return _already(incident)
    parts: dict[str, str] = {}
    user = ""
    with ledger.read() as connection:
        for part, (digest, teller) in incident.told.items():
            parts[part], user = kept_text(connection, digest) or "", teller
    person = load_people(settings).find(user)
    missing = [part for part in PARTS if part not in parts]
    if missing or person is None:
        raise RequestError(
            f"{incident.id}: nobody has told {', '.join(missing) or 'it'}; a task marked "
            f"successful by hand counts for nothing. `./hims incident review {incident.id}` does"
        )
    actor = Actor(user=person.user, name=person.name, auth="airflow-hitl")
    desk = _desk(ledger, settings, person, actor, source, now)
    return _answered(desk.review(incident.id, parts, follow_ups_in(parts["prevention"])))


def follow_ups_in(text: str) -> list[tuple[str, str]]:
    """Return the lines of a text that ask for a change, as `technical: limit the cache` does."""
    found = []
    for line in text.splitlines():
        kind, colon, what = line.strip().lstrip("*-• ").partition(":")
        if colon and kind.strip().lower() in FOLLOW_UPS and what.strip():
            found.append((kind.strip().lower(), what.strip()[:200]))
    return found


def incident_of(ledger: Ledger, run_id: str) -> Incident:
    """Return the incident of a run; RecordMissing if none was opened by it."""
    with ledger.read() as connection:
        key = opened_by_run(connection, run_id)
        if key is None:
            raise RecordMissing(f"the ledger knows no incident that run {run_id} has opened")
        return load_incident(connection, key)


def _in_order(incident: Incident, step: str) -> None:
    if step != "response" and incident.responder is None and incident.closed_at is None:
        raise RecordMissing(f"{incident.id}: the ledger does not know that anybody answered it")
    if step in PARTS and incident.closed_at is None:
        raise RecordMissing(f"{incident.id}: the ledger does not know that it is over")


def _already(incident: Incident) -> Answered:
    return Answered(ok=True, reason="already", message=f"{incident.id} is {incident.state} already")


def _answered(entered: Entered) -> Answered:
    return Answered(ok=entered.ok, reason=entered.reason, message=entered.message)


def _desk(
    ledger: Ledger, settings: Settings, person: Person, by: Actor, source: Source, now: datetime
) -> IncidentDesk:
    return IncidentDesk(
        ledger=ledger,
        settings=settings,
        person=person,
        actor=by,
        source=source,
        clock=lambda: now,
        zone=str(load_calendar(settings.config_file("calendar.yaml")).zone),
    )
