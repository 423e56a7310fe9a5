"""Freezes and blackouts entered into the ledger, and the exceptions that lift them for a while.

A freeze stops planned changes and lets emergencies through; a blackout stops those, too. Denying is
easy and allowing is not: one person enters a freeze, an exception takes two, and has an end and a
compensating control.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Table, insert, select, update
from sqlalchemy.engine import Connection, Row

from include.calendar import Blackout, BlackoutException, Span
from include.entries.outcome import Entered, eligible, number, refuse, words
from include.errors import RequestError
from include.instants import format_instant
from include.ledger import Subject, Unit, schema
from include.people import Person

ROLES = ("release_manager", "operations_manager", "technical_lead", "security_officer")
KINDS = ("freeze", "blackout")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What an entry is about; `*` stands for all. `changes` is for exceptions alone.

    Raises RequestError for what is not a name.
    """

    systems: tuple[str, ...] = ("*",)
    environments: tuple[str, ...] = ("production",)
    changes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (*self.systems, *self.environments, *self.changes):
            if name != "*" and not _NAME.fullmatch(name):
                raise RequestError(
                    f"{ascii(name)[1:80]} is not a name; write letters, digits and - _ . "
                    'or "*" for all'
                )


def enter_freeze(
    unit: Unit,
    person: Person,
    *,
    kind: str,
    span: Span,
    scope: Scope,
    owner: Person,
    reason: str,
) -> Entered:
    """Enter a freeze or blackout over `[span.start, span.end)` in the name of `person`.

    It holds from the moment the unit is committed, for whoever asks from then on.
    """
    subject = Subject(kind="calendar", id=kind)
    wrong = eligible(person, ROLES, f"enter a {kind}")
    if wrong:
        return refuse(unit, "freeze.refused", subject, "not_eligible", wrong)
    reason = words(reason)
    if not reason:
        return refuse(unit, "freeze.refused", subject, "incomplete", f"say why there is a {kind}")
    if span.start >= span.end:
        return refuse(unit, "freeze.refused", subject, "out_of_order", "it ends before it starts")
    if span.end <= unit.now:
        message = f"it would have ended {format_instant(span.end)}: that is over"
        return refuse(unit, "freeze.refused", subject, "ended", message)
    key = number(unit, "freeze_number", "FRZ")
    unit.execute(
        insert(schema.calendar_freeze).values(
            id=key,
            kind=kind,
            starts_at=span.start,
            ends_at=span.end,
            systems=sorted(set(scope.systems)),
            environments=sorted(set(scope.environments)),
            owner=owner.user,
            reason=reason,
            entered_by=person.user,
            entered_at=unit.now,
        )
    )
    where = f"{_listed(scope.systems)} in {_listed(scope.environments)}"
    message = (
        f"{key}: {kind} of {where} from {format_instant(span.start)} to "
        f"{format_instant(span.end)}, owned by {owner.name}: {reason}"
    )
    unit.append(
        "freeze.entered",
        Subject(kind="freeze", id=key),
        message=message,
        details={
            "kind": kind,
            "start": format_instant(span.start),
            "end": format_instant(span.end),
            "systems": sorted(set(scope.systems)),
            "environments": sorted(set(scope.environments)),
            "owner": owner.user,
        },
    )
    return Entered(ok=True, reason="entered", message=message, id=key)


def except_from_freeze(
    unit: Unit,
    person: Person,
    freeze_id: str,
    *,
    span: Span,
    scope: Scope,
    owner: Person,
    reason: str,
    control: str,
) -> Entered:
    """Lift a freeze during `span` for named systems or changes, answered for by `owner`.

    `person` grants it and is somebody else; `control` guards production instead of the freeze.
    """
    freeze_id = words(freeze_id)
    event, subject = "freeze.exception_refused", Subject(kind="freeze", id=freeze_id[:80])
    found = _standing(unit, schema.calendar_freeze, freeze_id)
    wrong = eligible(person, ROLES, "grant an exception")
    if found is None:
        return refuse(unit, event, subject, "not_found", _unknown(freeze_id))
    if wrong:
        return refuse(unit, event, subject, "not_eligible", wrong)
    if person.user == owner.user:
        message = f"{person.name} cannot grant an exception that {person.name} answers for"
        return refuse(unit, event, subject, "same_person", message)
    reason, control = words(reason), words(control)
    if not (reason and control):
        message = "say why, and which compensating control guards production meanwhile"
        return refuse(unit, event, subject, "incomplete", message)
    if not max(span.start, found.starts_at, unit.now) < min(span.end, found.ends_at):
        message = f"no part of {freeze_id} lies ahead in the time of the exception"
        return refuse(unit, event, subject, "out_of_order", message)
    key = number(unit, "exception_number", "EXC")
    unit.execute(
        insert(schema.calendar_exception).values(
            id=key,
            freeze_id=freeze_id,
            starts_at=span.start,
            ends_at=min(span.end, found.ends_at),
            systems=sorted(set(scope.systems)),
            changes=sorted(set(scope.changes)),
            owner=owner.user,
            reason=reason,
            control=control,
            entered_by=person.user,
            entered_at=unit.now,
        )
    )
    of = _listed(scope.changes) if scope.changes else _listed(scope.systems)
    until = format_instant(min(span.end, found.ends_at))
    message = (
        f"{key}: {freeze_id} is lifted for {of} until {until}"
        f" by {person.name}, for {owner.name}: {reason}; instead: {control}"
    )
    unit.append(
        "freeze.excepted",
        Subject(kind="freeze", id=freeze_id),
        message=message,
        details={
            "exception": key,
            "start": format_instant(span.start),
            "end": until,
            "systems": sorted(set(scope.systems)),
            "changes": sorted(set(scope.changes)),
            "owner": owner.user,
            "control": control,
        },
    )
    return Entered(ok=True, reason="excepted", message=message, id=key)


def lift(unit: Unit, person: Person, key: str, *, reason: str) -> Entered:
    """End a freeze (FRZ-…), or take an exception (EXC-…) back, from now on; the past stays."""
    key = words(key)
    table = schema.calendar_exception if key.startswith("EXC-") else schema.calendar_freeze
    kind = "exception" if table is schema.calendar_exception else "freeze"
    subject = Subject(kind=kind, id=key[:80])
    found = _standing(unit, table, key)
    wrong = eligible(person, ROLES, f"lift a{'n' if kind == 'exception' else ''} {kind}")
    if found is None:
        return refuse(unit, f"{kind}.lift_refused", subject, "not_found", _unknown(key))
    if wrong:
        return refuse(unit, f"{kind}.lift_refused", subject, "not_eligible", wrong)
    reason = words(reason)
    if not reason:
        message = f"say why {key} may end"
        return refuse(unit, f"{kind}.lift_refused", subject, "incomplete", message)
    unit.execute(
        update(table)
        .where(table.c.id == key)
        .values(lifted_by=person.user, lifted_at=unit.now, lift_reason=reason)
    )
    message = f"{key} is lifted by {person.name}: {reason}"
    unit.append(f"{kind}.lifted", subject, message=message)
    return Entered(ok=True, reason="lifted", message=message, id=key)


def entered_blackouts(connection: Connection) -> list[Blackout]:
    """Return all freezes that were entered, as the calendar takes them, each with what is left
    of it and its exceptions."""
    exceptions: dict[str, list[BlackoutException]] = {}
    for row in connection.execute(select(schema.calendar_exception)):
        span = _left(row)
        if span is not None:
            exceptions.setdefault(row.freeze_id, []).append(
                BlackoutException(
                    owner=row.owner,
                    reason=row.reason,
                    control=row.control,
                    start=span.start,
                    end=span.end,
                    systems=frozenset(row.systems),
                    changes=frozenset(row.changes),
                )
            )
    return [
        Blackout(
            name=row.id,
            reason=row.reason,
            span=span,
            systems=frozenset(row.systems),
            environments=frozenset(row.environments),
            hard=row.kind == "blackout",
            exceptions=tuple(exceptions.get(row.id, ())),
            kind=row.kind,
        )
        for row in connection.execute(
            select(schema.calendar_freeze).order_by(schema.calendar_freeze.c.id)
        )
        if (span := _left(row)) is not None
    ]


def listed(connection: Connection, now: datetime) -> list[dict[str, Any]]:
    """Return all freezes as plain data, oldest first, each with its exceptions; `state` is
    `ahead`, `holds`, `lifted` or `over` at `now`."""
    holes: dict[str, list[dict[str, Any]]] = {}
    table = schema.calendar_exception
    for row in connection.execute(select(table).order_by(table.c.id)):
        mine = _plain(row, now) | {"changes": row.changes, "control": row.control}
        holes.setdefault(row.freeze_id, []).append(mine)
    table = schema.calendar_freeze
    return [
        _plain(row, now)
        | {
            "kind": row.kind,
            "environments": row.environments,
            "exceptions": holes.get(row.id, []),
        }
        for row in connection.execute(select(table).order_by(table.c.id))
    ]


def _plain(row: Row[Any], now: datetime) -> dict[str, Any]:
    if row.lifted_at is not None:
        state = "lifted"
    elif row.ends_at <= now:
        state = "over"
    else:
        state = "holds" if row.starts_at <= now else "ahead"
    return {
        "id": row.id,
        "state": state,
        "start": row.starts_at,
        "end": row.ends_at,
        "systems": row.systems,
        "owner": row.owner,
        "reason": row.reason,
        "entered_by": row.entered_by,
        "entered_at": row.entered_at,
        "lifted_by": row.lifted_by,
        "lifted_at": row.lifted_at,
        "lift_reason": row.lift_reason,
    }


def _left(row: Row[Any]) -> Span | None:
    """Return the time of an entry up to its end or to where it was lifted."""
    end = row.ends_at if row.lifted_at is None else min(row.ends_at, row.lifted_at)
    return Span(row.starts_at, end) if row.starts_at < end else None


def _standing(unit: Unit, table: Table, key: str) -> Row[Any] | None:
    row = unit.row(select(table).where(table.c.id == key).with_for_update())
    if row is None or row.lifted_at is not None or row.ends_at <= unit.now:
        return None
    return row


def _unknown(key: str) -> str:
    return f"nothing by the id {key[:80]} holds or lies ahead; see `./hims freeze list`"


def _listed(names: Sequence[str]) -> str:
    return "all systems" if "*" in names else ", ".join(sorted(set(names)))
