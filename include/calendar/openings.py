"""Every opening of the calendar, whoever may use it: what a schedule runs by.

An opening is a slot of a recurring window of which a blackout, a freeze or a holiday leaves
something to somebody. Slots that start at the same instant are one opening.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from include.calendar.calendar import ChangeCalendar
from include.calendar.holiday import HolidayPolicy
from include.calendar.outlook import HORIZON, Outlook
from include.calendar.wall_time import Span, aware
from include.calendar.window import ALL_SYSTEMS, Occurrence, Window

_INSTANT = timedelta(microseconds=1)


class OpeningTime(NamedTuple):
    """The slot `[start, end)` with its true ends; `opens` is when it is open for the first time.

    `parts` are the stretches in which it is open to one or another, in no order.
    """

    start: datetime
    end: datetime
    opens: datetime
    windows: tuple[str, ...]
    parts: tuple[Span, ...]

    def open_from(self, instant: datetime) -> datetime | None:
        """Return the first instant, `instant` or later, at which it is open to anybody."""
        starts = [max(part.start, instant) for part in self.parts if part.end > instant]
        return min(starts, default=None)


class Openings:
    """The openings of one calendar. Made once and asked often."""

    def __init__(self, calendar: ChangeCalendar) -> None:
        self._windows = [
            (window, _askers(calendar, window))
            for window in calendar.windows
            if window.hours is not None
        ]

    def after(self, instant: datetime, *, last: datetime | None = None) -> Iterator[OpeningTime]:
        """Yield the openings whose slots end after `instant`, in the order in which they open.

        One that a blackout holds back at first comes behind those that open meanwhile. `last` is
        the start of a slot: it and what opens before it are left out. Twelve years ahead are seen.
        """
        instant = aware(instant)
        streams = [_openings(window, outlooks, instant) for window, outlooks in self._windows]
        if len(streams) == 1:
            # The slots of one window are disjoint: they open in the order of their starts.
            yield from (found for found in streams[0] if last is None or found.start > last)
            return
        passed = None if last is None else (self._opens(aware(last)), last)
        for found in _in_order_of_opening(self._by_start(streams, instant)):
            if passed is None or (found.opens, found.start) > passed:
                yield found

    def around(self, instant: datetime) -> OpeningTime | None:
        """Return the opening that is open at `instant`, else the one that opens next."""
        instant = aware(instant)
        best: OpeningTime | None = None
        begins: datetime | None = None
        for found in self.after(instant):
            if begins is not None and found.opens >= begins:
                break
            opens = found.open_from(instant)
            if opens is not None and (begins is None or opens < begins):
                best, begins = found, opens
        return best

    def _by_start(
        self, streams: list[Iterator[OpeningTime]], instant: datetime
    ) -> Iterator[OpeningTime]:
        """Yield what `streams` hold by the start of the slots, those that start together as one."""
        held: OpeningTime | None = None
        for following in heapq.merge(*streams):
            if held is not None and following.start == held.start:
                if held.start >= instant:
                    held = _joined(held, following)
                continue
            if held is not None:
                yield held
            held = following
            if following.start < instant:
                # Of those that started together some may be over by now.
                held = self._at(following.start) or following
        if held is not None:
            yield held

    def _at(self, start: datetime) -> OpeningTime | None:
        """Return the opening whose slot starts at `start`, if there is one."""
        whole: OpeningTime | None = None
        for window, outlooks in self._windows:
            for found in _openings(window, outlooks, start, start + _INSTANT):
                if found.start == start:
                    whole = found if whole is None else _joined(whole, found)
        return whole

    def _opens(self, start: datetime) -> datetime:
        found = self._at(start)
        return start if found is None else found.opens


def _in_order_of_opening(openings: Iterator[OpeningTime]) -> Iterator[OpeningTime]:
    """Yield `openings`, which come by start, by the instant at which they open."""
    waiting: list[tuple[datetime, OpeningTime]] = []
    for following in openings:
        # What is yet to come opens no earlier than it starts.
        while waiting and waiting[0][0] <= following.start:
            yield heapq.heappop(waiting)[1]
        heapq.heappush(waiting, (following.opens, following))
    while waiting:
        yield heapq.heappop(waiting)[1]


def _joined(one: OpeningTime, other: OpeningTime) -> OpeningTime:
    return OpeningTime(
        start=one.start,
        end=max(one.end, other.end),
        opens=min(one.opens, other.opens),
        windows=(*one.windows, *other.windows),
        parts=(*one.parts, *other.parts),
    )


def _openings(
    window: Window, outlooks: list[Outlook], instant: datetime, end: datetime | None = None
) -> Iterator[OpeningTime]:
    for hours in window.hours_between(instant, end or instant + HORIZON):
        parts = [part for outlook in outlooks for part in outlook.open_parts(hours)]
        if parts:
            yield from _within(window, hours, parts, instant)


def _within(
    window: Window, hours: Occurrence, parts: list[Span], instant: datetime
) -> Iterator[OpeningTime]:
    for slot in window.openings_of(hours, instant, hours.end):
        inside = [
            Span(max(part.start, slot.start), min(part.end, slot.end))
            for part in parts
            if part.start < slot.end and slot.start < part.end
        ]
        if inside and slot.end > instant:
            yield OpeningTime(
                slot.start, slot.end, min(inside).start, (window.name,), tuple(inside)
            )


def _askers(calendar: ChangeCalendar, window: Window) -> list[Outlook]:
    """Return all who may see an opening of `window`: its systems, or all of them, and those whom an
    exception or a holiday's policy treats otherwise."""
    exceptions = [item for blackout in calendar.blackouts for item in blackout.exceptions]
    named = set(window.systems).union(*(item.systems for item in exceptions))
    if calendar.holidays.policy is HolidayPolicy.BLOCK:
        named |= set(calendar.holidays.systems)
    systems = [name for name in sorted(named - {ALL_SYSTEMS}) if window.covers(name)]
    if ALL_SYSTEMS in window.systems:
        systems.insert(0, ALL_SYSTEMS)
    asked: dict[tuple[str, str | None], None] = {(name, None): None for name in systems}
    for item in exceptions:
        # A change is treated otherwise on the systems of its own exceptions only.
        for change in sorted(item.changes):
            asked |= {(name, change): None for name in systems if item.lifts(name, change)}
    return [
        calendar.outlook(systems=() if name == ALL_SYSTEMS else (name,), change=change)
        for name, change in asked
    ]
