"""Every opening of the calendar, whoever may use it: what a schedule runs by.

An opening is a slot of a recurring window of which a blackout, a freeze or a holiday leaves
something to somebody. Windows that open at the same instant are one opening.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from include.calendar.calendar import ChangeCalendar
from include.calendar.holiday import HolidayPolicy
from include.calendar.outlook import HORIZON, Outlook
from include.calendar.wall_time import Span, aware
from include.calendar.window import ALL_SYSTEMS, Occurrence, Window


class OpeningTime(NamedTuple):
    """The slot `[start, end)` with its true ends; `opens` is when it is open for the first time."""

    start: datetime
    end: datetime
    opens: datetime
    windows: tuple[str, ...]


class Openings:
    """The openings of one calendar. Made once and asked often."""

    def __init__(self, calendar: ChangeCalendar) -> None:
        self._windows = [
            (window, _askers(calendar, window))
            for window in calendar.windows
            if window.hours is not None
        ]

    def after(self, instant: datetime) -> Iterator[OpeningTime]:
        """Yield the openings whose slots end after `instant`, by start, for twelve years ahead."""
        instant = aware(instant)
        streams = [_openings(window, outlooks, instant) for window, outlooks in self._windows]
        both = streams[0] if len(streams) == 1 else heapq.merge(*streams)
        held: OpeningTime | None = None
        for following in both:
            if held is None or following.start != held.start:
                if held is not None:
                    yield held
                held = following
            else:
                held = OpeningTime(
                    start=held.start,
                    end=max(held.end, following.end),
                    opens=min(held.opens, following.opens),
                    windows=(*held.windows, *following.windows),
                )
        if held is not None:
            yield held


def _openings(window: Window, outlooks: list[Outlook], instant: datetime) -> Iterator[OpeningTime]:
    for hours in window.hours_between(instant, instant + HORIZON):
        parts = [part for outlook in outlooks for part in outlook.open_parts(hours)]
        if parts:
            yield from _within(window, hours, parts, instant)


def _within(
    window: Window, hours: Occurrence, parts: list[Span], instant: datetime
) -> Iterator[OpeningTime]:
    for slot in window.openings_of(hours, instant, hours.end):
        open_from = [
            max(part.start, slot.start)
            for part in parts
            if part.start < slot.end and slot.start < part.end
        ]
        if open_from and slot.end > instant:
            yield OpeningTime(slot.start, slot.end, min(open_from), (window.name,))


def _askers(calendar: ChangeCalendar, window: Window) -> list[Outlook]:
    """Return all who may see an opening of `window`: its systems, or all of them, and those whom an
    exception or a holiday's policy treats otherwise."""
    named: set[str] = set(window.systems)
    changes: set[str | None] = {None}
    for blackout in calendar.blackouts:
        for exception in blackout.exceptions:
            named |= exception.systems
            changes |= exception.changes
    if calendar.holidays.policy is HolidayPolicy.BLOCK:
        named |= set(calendar.holidays.systems)
    systems: list[tuple[str, ...]] = [()] if ALL_SYSTEMS in window.systems else []
    systems += [(name,) for name in sorted(named - {ALL_SYSTEMS}) if window.covers(name)]
    return [
        calendar.outlook(systems=scope, change=change)
        for scope in systems
        for change in sorted(changes, key=lambda name: name or "")
    ]
