"""What may start now: by priority, under the window's limit, one at a time on a system.

A start is decided in the ledger before Airflow is told, under a run id that belongs to the change
and the opening alone: whoever dies in between, the next attempt tells Airflow again, and Airflow
knows whether it had heard.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import Range, insert
from sqlalchemy.engine import Connection

from include.calendar import ChangeCalendar
from include.errors import RequestError
from include.ledger import Unit, schema
from include.settings import Settings
from include.windows.opening import UNDER_WAY, Attended, Due, due_changes

# How many changes of one opening are under way at once: no stampede, whatever was booked.
AT_ONCE = 4

# The space of the advisory locks under which starts of an opening are decided.
_STARTING = 7307
_SOON = timedelta(minutes=1)
# A run that has not got going by then has been refused, and keeps nobody else from starting.
_GETTING_GOING = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A change that is to be started, and the run that does it."""

    change: str
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What starts now, and why what is due does not; `look_again` is when at the latest to ask
    anew, apart from news."""

    starts: tuple[Start, ...]
    waiting: Mapping[str, str] = field(default_factory=dict)
    look_again: datetime


def run_id_of(opening: Attended, change: str) -> str:
    """Return the run under which a change is implemented in an opening: one, however often."""
    return f"window__{opening.span.start:%Y%m%dT%H%M%SZ}__{change}"


def consider(
    connection: Connection,
    calendar: ChangeCalendar,
    opening: Attended,
    now: datetime,
    *,
    locked: Mapping[str, str],
) -> tuple[Decision, list[Due]]:
    """Return what would be decided at `now`, and the changes in it that were not decided before.

    `locked` says, by system, why nothing may be done to it (a service that was rolled back).
    """
    begun = _begun(connection, opening, now)
    starts = [Start(change=change, run_id=run_id) for change, run_id in begun.unconfirmed.items()]
    busy = dict(begun.busy)
    waiting: dict[str, str] = {}
    chosen: list[Due] = []
    look_again = opening.span.end
    free = AT_ONCE - len(begun.under_way)
    for due in due_changes(connection, opening.span, states=("scheduled",)):
        if due.id in begun.decided:
            continue
        reason, until = _against(due, calendar, now, begun, busy, locked, free)
        if reason is not None:
            waiting[due.id] = reason
            look_again = min(look_again, until or look_again)
            continue
        free -= 1
        begun.count[due.window] = begun.count.get(due.window, 0) + 1
        busy.update((system, due.id) for system in due.systems)
        chosen.append(due)
        starts.append(Start(change=due.id, run_id=run_id_of(opening, due.id)))
    return Decision(starts=tuple(starts), waiting=waiting, look_again=look_again), chosen


def decide_starts(
    unit: Unit,
    calendar: ChangeCalendar,
    opening: Attended,
    *,
    locked: Mapping[str, str],
) -> Decision:
    """Decide what starts now and write it down; what was decided and not confirmed is among it.

    Of two that decide at once one waits for the other, and counts what that one has started.
    """
    key = func.hashtext(opening.subject.id)
    unit.execute(select(func.pg_advisory_xact_lock(_STARTING, key)))
    decision, chosen = consider(unit.connection, calendar, opening, unit.now, locked=locked)
    for due in chosen:
        _write(unit, opening, due)
    unit.append(
        "window.starting",
        opening.subject,
        reason="due" if decision.starts else "nothing_due",
        message=(
            f"to be started: {', '.join(item.change for item in decision.starts) or 'nothing'}"
            f"{''.join(f'; {key} waits: {why}' for key, why in decision.waiting.items())}"
        )[:2000],
    )
    return decision


def locked_systems(connection: Connection, settings: Settings) -> dict[str, str]:
    """Return, by system, why nothing may be done to it: its service is locked by a rollback."""
    table = schema.release_lock
    found: dict[str, str] = {}
    for row in connection.execute(select(table).where(table.c.unlocked_at.is_(None))):
        # A service that is no longer configured has no systems to lock.
        if row.service in settings.services:
            for system in settings.service(row.service).systems:
                found[system] = f"{row.service} is locked by {row.release_id}: {row.reason}"
    return found


def confirm_start(unit: Unit, opening: Attended, start: Start) -> None:
    """Write down that Airflow knows the run; asked again, it stays as it is."""
    table = schema.opening_start
    unit.execute(
        update(table)
        .where(
            table.c.change_id == start.change,
            table.c.opens_at == opening.span.start,
            table.c.started_at.is_(None),
        )
        .values(started_at=unit.now)
    )
    unit.append(
        "change.start_asked",
        opening.subject,
        message=f"{start.change} starts in the window of {opening.subject.id}: {start.run_id}",
        change=start.change,
        details={"run_id": start.run_id},
    )


def started_in(connection: Connection, opening: Attended) -> list[str]:
    """Return the changes that were started in an opening, in the order in which they were."""
    table = schema.opening_start
    rows = connection.execute(
        select(table.c.change_id)
        .where(table.c.opens_at == opening.span.start, table.c.started_at.is_not(None))
        .order_by(table.c.started_at, table.c.change_id)
    )
    return [row.change_id for row in rows]


def work_stamp(connection: Connection, opening: Attended) -> str:
    """Return what changes when anything about the changes of an opening does."""
    change, slot = schema.change, schema.slot
    row = connection.execute(
        select(
            func.count(),
            func.max(change.c.updated_at),
            func.sum(func.hashtext(change.c.id + change.c.state)),
        )
        .join(slot, slot.c.change_id == change.c.id)
        .where(
            slot.c.released_at.is_(None),
            slot.c.during.overlaps(Range(opening.span.start, opening.span.end, bounds="[)")),
        )
    ).one()
    return "/".join(str(value) for value in row)


@dataclass(slots=True, kw_only=True)
class _Begun:
    decided: set[str]
    unconfirmed: dict[str, str]
    under_way: set[str]
    count: dict[str, int]
    busy: dict[str, str]


def _begun(connection: Connection, opening: Attended, now: datetime) -> _Begun:
    """Return what has been started in this opening, and who works on which system."""
    table, change, slot = schema.opening_start, schema.change, schema.slot
    rows = connection.execute(
        select(table, change.c.state)
        .join(change, change.c.id == table.c.change_id)
        .where(table.c.opens_at == opening.span.start)
    ).all()
    count: dict[str, int] = {}
    for row in rows:
        count[row.window_name] = count.get(row.window_name, 0) + 1
    busy: dict[str, str] = {}
    working = connection.execute(
        select(change.c.id, change.c.systems).where(change.c.state.in_(UNDER_WAY))
    )
    for other in working:
        busy.update((system, other.id) for system in other.systems)
    on_the_way = {
        row.change_id
        for row in rows
        if row.state == "scheduled" and now - (row.started_at or row.decided_at) < _GETTING_GOING
    }
    for row in rows:
        if row.change_id in on_the_way:
            for system in _systems(connection, row.change_id):
                busy.setdefault(system, row.change_id)
    trains = connection.execute(
        select(slot.c.window_name, func.count(func.distinct(slot.c.change_id)))
        .join(change, change.c.id == slot.c.change_id)
        .where(
            change.c.release_id.is_not(None),
            slot.c.released_at.is_(None),
            slot.c.during.overlaps(Range(opening.span.start, opening.span.end, bounds="[)")),
        )
        .group_by(slot.c.window_name)
    )
    for name, number in trains:
        count[name] = count.get(name, 0) + number
    return _Begun(
        decided={row.change_id for row in rows},
        unconfirmed={
            row.change_id: row.run_id
            for row in rows
            if row.started_at is None and row.state == "scheduled"
        },
        under_way=on_the_way | {row.change_id for row in rows if row.state in UNDER_WAY},
        count=count,
        busy=busy,
    )


def _systems(connection: Connection, change: str) -> tuple[str, ...]:
    table = schema.change
    found = connection.execute(select(table.c.systems).where(table.c.id == change)).scalar_one()
    return tuple(found)


def _against(
    due: Due,
    calendar: ChangeCalendar,
    now: datetime,
    begun: _Begun,
    busy: Mapping[str, str],
    locked: Mapping[str, str],
    free: int,
) -> tuple[str | None, datetime | None]:
    """Return why a change does not start now, and when that may be over; None where it may."""
    if now < due.slot.start:
        return "its slot has not begun", due.slot.start
    if now >= due.slot.end:
        return f"its slot is over; another one: ./hims change again {due.id}", None
    state = calendar.state(now, systems=due.systems, change=due.id)
    if not state.open:
        why = "; ".join(item.message for item in state.reasons) or "closed"
        return f"its window is closed: {why}", state.next_transition
    try:
        most = calendar.window(due.window).max_changes
    except RequestError as error:
        return str(error), None
    if most is not None and begun.count.get(due.window, 0) >= most:
        return f"{due.window} takes {most} change{'s' * (most != 1)} and has them", None
    for system in due.systems:
        if system in locked:
            return locked[system], now + _SOON
        if busy.get(system, due.id) != due.id:
            return f"{busy[system]} works on {system}", now + _SOON
    if free <= 0:
        return f"{AT_ONCE} changes of this window are under way", now + _SOON
    return None, None


def _write(unit: Unit, opening: Attended, due: Due) -> None:
    statement = insert(schema.opening_start).values(
        change_id=due.id,
        opens_at=opening.span.start,
        window_name=due.window,
        run_id=run_id_of(opening, due.id),
        priority=due.priority,
        decided_at=unit.now,
    )
    unit.execute(statement.on_conflict_do_nothing())
