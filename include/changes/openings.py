"""Finding a change its time: the first opening in what was planned that nobody else has booked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import Range

from include.calendar import CalendarState, Span
from include.calendar.conflict import Rule, find_conflicts
from include.calendar.holiday import HolidayPolicy
from include.calendar.wall_time import local_text
from include.changes.case import Case
from include.errors import ConfigError, RequestError
from include.instants import format_duration
from include.ledger import schema

# Far more openings than any plan reaches; what is planned for longer is not planned.
_MOST = 400
_STEP = timedelta(microseconds=1)
# How much of what is closed is looked through and named: enough to know what to do about it.
_FAR = timedelta(days=400)
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """From when to when a change would work, its way back included, and in which window."""

    window: str
    start: datetime
    end: datetime


def first_free(case: Case) -> Stretch | None:
    """Return the first stretch that the calendar allows and nobody has booked, None without one."""
    return next((item for item in _stretches(case) if not _taken(case, item)), None)


def first_open(case: Case) -> Stretch | None:
    """Return the first stretch that the calendar allows, whoever has booked it."""
    return next(_stretches(case), None)


def opens_in(case: Case, slot: Span) -> datetime | None:
    """Return when the calendar, as it is by now, lets the work begin in a slot that was booked;
    None where nothing of it is left that holds the work."""
    found = case.calendar.next(
        needs=case.needs,
        not_before=max(slot.start, case.now),
        systems=case.change.systems,
        change=case.change.id,
    )
    return found.start if found is not None and found.start < slot.end else None


def closed_in(case: Case, slot: Span) -> str:
    """Return the words that say what keeps a slot closed, and until when."""
    asked: dict[str, Any] = {"systems": case.change.systems, "change": case.change.id}
    first = max(slot.start, case.now)
    state = case.calendar.state(first, **asked)
    denied = [item.message for item in state.reasons if item.code in ("freeze", "blackout")]
    if not denied and state.open and state.closes is not None:
        left, needed = format_duration(state.closes - first), format_duration(case.needs)
        denied = [f"{left} are left of it, {needed} are needed"]
        ahead = case.calendar.state(state.closes, **asked).reasons
        denied += [item.message for item in ahead if item.code in ("freeze", "blackout")]
    return "; ".join(denied or [item.message for item in state.reasons] or ["it is closed"])


def denied_now(case: Case) -> str:
    """Return the freezes, blackouts and incidents that keep the change from going on at this
    instant, "" where none does; a calendar that cannot be read is no freeze.

    An emergency is stopped by hard blackouts alone, and by no incident: it is there to end one.
    """
    try:
        state = state_now(case)
    except ConfigError:
        return ""
    shut = [] if state.open else state.reasons
    said = [item.message for item in shut if item.code in ("freeze", "blackout")]
    if not case.emergency:
        around = case.around(case.now, case.now + _STEP)
        said += [
            f"{item.message}, to be resolved first (./hims incident resolve)"
            for item in find_conflicts(case.calendar, case.proposal(case.now), around)
            if item.code is Rule.OPEN_INCIDENT
        ]
    return "; ".join(said)


def state_now(case: Case) -> CalendarState:
    """Return what the calendar says of the change at this instant; of an emergency, whether a hard
    blackout holds. Raises ConfigError when the calendar cannot be read."""
    change = case.change
    if case.emergency:
        name = change.incident_id or "?"
        return case.calendar.state(case.now, systems=change.systems, incident=name)
    return case.calendar.state(case.now, systems=change.systems, change=change.id)


def closed_while_planned(case: Case) -> str:
    """Return the words that say what keeps the windows of the planned time closed, "" where it is
    no freeze, blackout or holiday."""
    if case.planned is None or window_gone(case):
        return ""
    codes = {"freeze", "blackout"}
    if case.calendar.holidays.policy is HolidayPolicy.BLOCK:
        codes.add("holiday")
    earliest, latest = max(case.planned[0], case.now), case.planned[1]
    slots = case.calendar.slots(
        earliest, min(latest, earliest + _FAR), systems=case.change.systems, change=case.change.id
    )
    window = _window(case)
    name = None if window is None else case.calendar.window(window).name
    said = dict.fromkeys(
        reason.message
        for slot in slots
        if name in (None, slot.window)
        for reason in slot.reasons
        if reason.code in codes
    )
    return "; ".join(list(said)[:_NAMED])


def opens_after(case: Case, at: datetime) -> str:
    """Return in words the first opening from an instant on that holds the work."""
    found = case.calendar.next(
        needs=case.needs,
        not_before=max(at, case.now),
        systems=case.change.systems,
        window=None if window_gone(case) else _window(case),
        change=case.change.id,
    )
    if found is None:
        return "no window that holds it opens again"
    return f"the next window that holds it opens {local_text(found.start, case.calendar.zone)}"


def window_gone(case: Case) -> str:
    """Return the words that say that the window which was asked for is no longer in the calendar,
    "" where it is, or none was asked for."""
    window = _window(case)
    if window is not None:
        try:
            case.calendar.window(window)
        except RequestError as error:
            return str(error)
    return ""


def _window(case: Case) -> str | None:
    found: str | None = (case.content.get("slot") or {}).get("window")
    return found


def _stretches(case: Case) -> Iterator[Stretch]:
    if case.emergency:
        yield Stretch(window="emergency", start=case.now, end=case.now + case.needs)
        return
    if case.planned is None or window_gone(case):
        return
    earliest, latest = case.planned
    window = _window(case)
    start = max(earliest, case.now)
    for _ in range(_MOST):
        opening = case.calendar.next(
            needs=case.needs,
            not_before=start,
            systems=case.change.systems,
            window=window,
            change=case.change.id,
        )
        if opening is None or opening.start + case.needs > latest:
            return
        yield Stretch(window=opening.window, start=opening.start, end=opening.start + case.needs)
        # Behind whoever is there, or right behind this one: several fit into one window.
        start = _behind(case, opening.start, opening.start + case.needs) or opening.end + _STEP


def _taken(case: Case, stretch: Stretch) -> bool:
    return _behind(case, stretch.start, stretch.end) is not None


def _behind(case: Case, start: datetime, end: datetime) -> datetime | None:
    """Return when those who have booked any of `[start, end)` on its systems have ended."""
    table = schema.slot
    found: datetime | None = case.connection.execute(
        select(func.max(func.upper(table.c.during))).where(
            table.c.system.in_(case.change.systems),
            table.c.released_at.is_(None),
            table.c.change_id != case.change.id,
            table.c.during.overlaps(Range(start, end, bounds="[)")),
        )
    ).scalar()
    return found
