"""Writes a made-up history into an empty ledger, as Release Control would have written it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects.postgresql import Range

from include.errors import RequestError
from include.gates.measurement import measurement
from include.instants import format_instant
from include.ledger import Actor, Ledger, Source, Subject, Unit, schema
from include.ledger.number import next_number
from include.ledger.record import content_hash
from include.reports.demo.history import MadeChange, MadeHistory, MadeIncident, MadeRelease

_ACTOR = Actor.service("demo-data")
_SOURCE = Source(kind="cli")
# A unit of work vouches for each of its rows: many small ones cost less than one large one.
_TOGETHER = 20

Event = tuple[datetime, Callable[[Unit], object]]


def is_empty(ledger: Ledger) -> bool:
    """Return whether the ledger holds no record at all."""
    with ledger.read() as connection:
        return not connection.execute(select(func.count()).select_from(schema.record)).scalar()


def write_history(
    ledger: Ledger, history: MadeHistory, *, progress: Callable[[int], None] = lambda done: None
) -> None:
    """Write everything, with records at the instants at which it is said to have happened.

    Raises RequestError when the ledger holds anything: what is made up never stands beside what is
    real. It begins with a record that says that all of this is made up.
    """
    if not is_empty(ledger):
        raise RequestError(
            "this ledger holds records already: made-up history goes into an empty ledger only, "
            "one of its own; nothing was written"
        )
    with ledger.write(_ACTOR, _SOURCE, history.start) as unit:
        unit.append(
            "demo.began",
            Subject(kind="ledger", id="demo"),
            message="everything in this ledger is made up",
        )
    incidents: dict[str, list[MadeIncident]] = {}
    for incident in history.incidents:
        incidents.setdefault(incident.caused_by or "", []).append(incident)
    for begin in range(0, len(history.changes), _TOGETHER):
        some = history.changes[begin : begin + _TOGETHER]
        with ledger.write(_ACTOR, _SOURCE, some[0].way[0][1]) as unit:
            events = [event for change in some for event in _change(unit, change)]
            for change in some:
                for incident in incidents.pop(change.id, ()):
                    events += _incident(unit, incident)
            _append_all(unit, events)
        progress(begin + len(some))
    left = [incident for group in incidents.values() for incident in group]
    for begin in range(0, len(left), _TOGETHER):
        with ledger.write(_ACTOR, _SOURCE, history.start) as unit:
            _append_all(
                unit,
                [
                    event
                    for incident in left[begin : begin + _TOGETHER]
                    for event in _incident(unit, incident)
                ],
            )


def _append_all(unit: Unit, events: list[Event]) -> None:
    for at, append in sorted(events, key=lambda event: event[0]):
        unit.now = at
        append(unit)


def _change(unit: Unit, made: MadeChange) -> Iterator[Event]:
    number = next_number(unit, "change")
    if made.id != f"CHG-{number:06d}":
        raise RequestError(f"this ledger has numbered a change before {made.id}; it is not empty")
    release = made.release
    if release is not None:
        yield from _release(unit, release)
    digest = content_hash({"title": made.title, "systems": made.systems, "type": made.type})
    subject = Subject(kind="change", id=made.id, version="1", content_hash=digest)
    state, last = made.way[-1]
    unit.execute(
        insert(schema.change).values(
            id=made.id,
            type=made.type,
            state="draft" if state == "opened" else state,
            title=made.title,
            revision=1,
            content_hash=digest,
            systems=made.systems,
            requester=made.requester,
            release_id=None if release is None else release.id,
            priority="normal",
            outcome=made.outcome,
            started_at=made.at("implementing"),
            closed_at=made.at("closed"),
            created_at=made.way[0][1],
            updated_at=last,
        )
    )
    released = None if release is None else release.id
    if release is not None:
        unit.execute(
            update(schema.release)
            .where(schema.release.c.id == release.id)
            .values(change_id=made.id)
        )
        yield from _deploy(unit, made, release, digest)
    if made.slot is not None and made.at("scheduled") is not None:
        unit.execute(
            insert(schema.slot).values(
                change_id=made.id,
                # Many made-up changes share a window; each has a place of its own in it.
                system=f"{made.systems[0]}/{made.id}",
                during=Range(*made.slot, bounds="[)"),
                window_name=made.window,
                released_at=last if state in ("closed", "cancelled", "review") else None,
            )
        )
    for seat, at in made.votes:
        unit.execute(
            insert(schema.vote).values(
                change_id=made.id,
                content_hash=digest,
                seat=seat,
                voter=seat,
                choice="approve",
                meaning=f"approve {made.id} revision 1 as {seat}",
                comment="",
                cast_at=at,
                expires_at=at + timedelta(days=14),
            )
        )
        yield (
            at,
            partial(
                Unit.append,
                event="vote.cast",
                subject=subject,
                reason="approve",
                message=f"the {seat.replace('_', ' ')} votes approve",
                release=released,
                details={"seat": seat},
            ),
        )
    for place, (name, at) in enumerate(made.way):
        before = made.way[place - 1][0] if place else None
        yield (
            at,
            partial(
                Unit.append,
                event=f"change.{name}",
                subject=subject,
                message=f"{made.id} is {name.replace('_', ' ')}: {made.title}",
                release=released,
                difference={"state": {"from": before, "to": name}},
            ),
        )
    if made.lesson is not None:
        yield (
            made.way[-1][1],
            partial(
                Unit.append,
                event="checklist.said",
                subject=subject,
                reason="review",
                message=f"Review: says go: {made.lesson}",
                release=released,
            ),
        )


def _release(unit: Unit, made: MadeRelease) -> Iterator[Event]:
    plan = {"title": f"{made.service} {made.version}", "demo": True}
    unit.execute(
        insert(schema.release).values(
            id=made.id,
            service=made.service,
            version=made.version,
            type=made.type,
            attempt=1,
            state=made.state,
            plan=plan,
            plan_hash=content_hash(plan),
            requested_by="sam",
            created_at=made.planned_at,
            updated_at=made.ended_at or made.planned_at,
        )
    )
    subject = Subject(kind="release", id=made.id, version="1")
    yield (
        made.planned_at,
        partial(
            Unit.append,
            event="release.planned",
            subject=subject,
            message=f"{made.id} is planned",
            details={
                "feature_freeze": format_instant(made.feature_freeze),
                "code_freeze": format_instant(made.code_freeze),
                "slot": {
                    "start": format_instant(made.slot[0]),
                    "end": format_instant(made.slot[1]),
                },
            },
        ),
    )
    yield (
        made.code_freeze,
        partial(
            Unit.append,
            event="release.commits_checked",
            subject=subject,
            message=f"{len(made.commits)} commits are in order",
            details={"committed": [format_instant(at) for at in made.commits]},
        ),
    )
    if made.ended_at is not None:
        yield (
            made.ended_at,
            partial(
                Unit.append,
                event=f"release.{made.state}",
                subject=subject,
                message=f"{made.id} is {made.state.replace('_', ' ')}",
            ),
        )
    evidence: dict[str, list[dict[str, str]]] = {}
    for gate, name, value, _ in made.measures:
        found = measurement(
            name,  # type: ignore[arg-type]
            value,
            uri=f"demo:{made.id}/{name}",
            sha256="0" * 64,
        )
        evidence.setdefault(gate, []).append(found)
    for gate, items in evidence.items():
        at = max(instant for name, _, _, instant in made.measures if name == gate)
        unit.execute(
            insert(schema.gate).values(
                release_id=made.id,
                attempt=1,
                name=gate,
                commit="0" * 40,
                digest="sha256:" + "0" * 64,
                verdict="go",
                reason="passed",
                message="passed",
                evidence=items,
                decided_by="service:demo-data",
                decided_at=at,
            )
        )
        yield (
            at,
            partial(
                Unit.append,
                event="gate.go",
                subject=subject,
                reason="passed",
                message=f"gate {gate}: passed",
                evidence=items,
                details={"gate": gate},
            ),
        )


def _deploy(unit: Unit, change: MadeChange, made: MadeRelease, digest: str) -> Iterator[Event]:
    if made.switched_at is None:
        return
    fence = next_number(unit, "permit")
    began = change.at("implementing") or made.switched_at
    unit.execute(
        insert(schema.permit).values(
            fence=fence,
            release_id=made.id,
            attempt=1,
            change_id=change.id,
            content_hash=digest,
            systems=change.systems,
            conditions=[],
            holder="demo-data",
            issued_at=began,
            expires_at=began + timedelta(hours=2),
            used_at=made.switched_at,
            closed_at=made.ended_at,
        )
    )
    unit.execute(
        insert(schema.deployment).values(
            service=made.service,
            environment="production",
            version=made.version,
            digest="sha256:" + "0" * 64,
            colour="green",
            state="returned" if made.returned_at else "retired",
            release_id=made.id,
            attempt=1,
            fence=fence,
            staged_at=began,
            switch_began_at=made.switched_at,
            live_at=None if made.canary else made.switched_at,
            ended_at=made.returned_at,
        )
    )
    subject = Subject(kind="release", id=made.id, version="1")
    yield (
        made.switched_at,
        partial(
            Unit.append,
            event="deploy.switched",
            subject=subject,
            message=f"{made.version} serves people",
        ),
    )
    if made.returned_at is not None:
        yield (
            made.returned_at,
            partial(
                Unit.append,
                event="rollback.done",
                subject=subject,
                reason="rolled_back",
                message="traffic is back on the version before",
                details={"rolled_back": True},
            ),
        )


def _incident(unit: Unit, made: MadeIncident) -> Iterator[Event]:
    unit.execute(
        insert(schema.incident).values(
            id=made.id,
            severity=made.severity,
            title=made.title,
            systems=made.systems,
            opened_at=made.opened_at,
            closed_at=made.closed_at,
        )
    )
    subject = Subject(kind="incident", id=made.id)
    yield (
        made.opened_at,
        partial(
            Unit.append,
            event="incident.opened",
            subject=subject,
            message=f"{made.id} ({made.severity}): {made.title}",
            details={"severity": made.severity, "systems": made.systems},
        ),
    )
    if made.caused_by is not None:
        yield (
            made.opened_at,
            partial(
                Unit.append,
                event="incident.linked",
                subject=subject,
                reason="caused_by",
                message=f"{made.id} was caused by {made.caused_by}",
                change=made.caused_by,
            ),
        )
    if made.closed_at is not None:
        yield (
            made.closed_at,
            partial(
                Unit.append,
                event="incident.closed",
                subject=subject,
                message=f"{made.id} is closed",
            ),
        )
