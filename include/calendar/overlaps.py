"""Windows that open one system twice at one time.

Windows whose times of day never meet need no comparing, whatever their dates are. The others are
compared for 28 years from where each rule begins, as rules without an end cannot be compared for
ever: by then every date has fallen on every weekday, through 56 transitions. Dates that are written
out are compared to their last.

What counts is how they are declared. Hours that a transition swallows and that open behind the gap
instead may lie beside others there, for that one night: neither window was meant for that time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from heapq import merge as merged
from itertools import pairwise
from typing import NamedTuple

from include.calendar.spans import merge
from include.calendar.wall_time import DAY, Span, offsets, resolve, resolve_span
from include.calendar.window import Occurrence, WallHours, Window
from include.errors import RequestError

COMPARED = timedelta(days=28 * 366)
_COMPARED_FROM = date(2024, 1, 1)
# What is compared within a few seconds.
_MOST_COMPARED = 150_000


class _Hours(NamedTuple):
    """Hours on one date: on the wall where all that are compared share a zone, else in UTC."""

    start: datetime
    end: datetime
    window: Window


def overlaps(windows: Sequence[Window]) -> Iterator[tuple[Window, Window, Span]]:
    """Yield pairs of windows that open a system at the same time, with the first such time.

    Where several meet at once, each is paired with one that it meets. Raises RequestError where
    they open too often to be compared.
    """
    seen: set[tuple[str, str]] = set()
    left = _MOST_COMPARED
    for group in _groups(windows):
        reach: _Hours | None = None
        for hours in _in_order(group):
            left -= 1
            if left < 0:
                raise RequestError(
                    f"windows that may overlap open more than {_MOST_COMPARED:,} times in the "
                    "years for which they are compared; bound them by `from` and `until`, or give "
                    "them other systems"
                )
            if reach is not None and _meet(reach, hours):
                pair = reach.window.name, hours.window.name
                if not {pair, pair[::-1]} & seen:
                    seen.add(pair)
                    both = _as_written(windows, reach.window, hours.window)
                    yield (*both, _common(reach, hours))
            if reach is None or hours.end > reach.end:
                reach = hours


def first_running_into_next(hours: WallHours) -> tuple[date, date] | None:
    """Return the first two dates of one rule of which the hours of the one reach the other's."""
    first = hours.recurrence.bounds[0] or _COMPARED_FROM
    days = list(hours.recurrence.between(first, first + COMPARED))
    for day, after in pairwise(days):
        if datetime.combine(day, hours.start) + hours.length > datetime.combine(after, hours.start):
            return day, after
    return None


def _groups(windows: Sequence[Window]) -> list[list[Window]]:
    """Return the windows of each system, of two or more that may meet, no such list twice."""
    recurring = [window for window in windows if window.hours is not None]
    systems = {system for window in recurring for system in window.systems}
    found: dict[tuple[str, ...], list[Window]] = {}
    for system in sorted(systems):
        for group in _that_may_meet([window for window in recurring if window.covers(system)]):
            found[tuple(window.name for window in group)] = group
    return list(found.values())


def _that_may_meet(windows: list[Window]) -> Iterator[list[Window]]:
    """Yield the parts of `windows` within which each may meet some other."""
    left = list(range(len(windows)))
    while left:
        part = [left.pop()]
        for index in part:
            found = [other for other in left if _may_meet(windows[index], windows[other])]
            left = [other for other in left if other not in found]
            part += found
        if len(part) > 1:
            yield [windows[index] for index in sorted(part)]


def _may_meet(one: Window, other: Window) -> bool:
    on_the_wall = one.zone.key == other.zone.key
    return any(
        start < other_end and other_start < end
        for start, end in _times_of_day(one, on_the_wall=on_the_wall)
        for other_start, other_end in _times_of_day(other, on_the_wall=on_the_wall)
    )


def _times_of_day(window: Window, *, on_the_wall: bool) -> list[tuple[timedelta, timedelta]]:
    """Return the times since midnight, and to it, at which a window may be open on some day."""
    assert window.hours is not None  # noqa: S101 - only those are grouped
    midnight = datetime.min  # noqa: DTZ901 - only the difference counts
    start = datetime.combine(midnight, window.hours.start) - midnight
    length = window.hours.length
    if not on_the_wall:
        least, most = offsets(window.zone, *_time(window))
        start, length = start - most, length + most - least
    if length >= DAY:
        return [(timedelta(0), DAY)]
    start %= DAY
    return [(start, start + length), (start - DAY, start + length - DAY)]


def _in_order(group: Sequence[Window]) -> Iterator[_Hours]:
    """Yield the hours of `group`, by start, in all the time in which two of them are compared."""
    hours_of = _on_the_wall if len({window.zone.key for window in group}) == 1 else _in_utc
    times = merge(_time(window) for window in group)
    streams = [hours_of(window, time) for time in times for window in group]
    return merged(*streams, key=lambda hours: (hours.start, hours.window.name))


def _time(window: Window) -> Span:
    """Return the time in which a window is compared with others."""
    assert window.hours is not None  # noqa: S101 - only those are grouped
    rule = window.hours.recurrence
    first, last = rule.bounds
    first = first or _COMPARED_FROM
    end = last if rule.written and last is not None else first + COMPARED
    return Span(_midnight(first) - 3 * DAY, _midnight(end) + 40 * DAY)


def _on_the_wall(window: Window, time: Span) -> Iterator[_Hours]:
    # The clocks of one place never show hours in another order than they are written in.
    assert window.hours is not None  # noqa: S101 - only those are grouped
    length = window.hours.length
    for day in window.hours.recurrence.between(time.start.date(), time.end.date()):
        start = datetime.combine(day, window.hours.start)
        yield _Hours(start, start + length, window)


def _in_utc(window: Window, time: Span) -> Iterator[_Hours]:
    for hours in window.hours_between(*time):
        yield _Hours(hours.start, hours.start if _is_swallowed(hours) else hours.end, window)


def _is_swallowed(hours: Occurrence) -> bool:
    """Whether a transition leaves nothing of the hours as they are written."""
    if not hours.shifted or hours.window.hours is None:
        return False
    wall = hours.window.hours
    closes = datetime.combine(hours.date, wall.start) + wall.length
    return resolve(closes, wall.zone) <= hours.start


def _meet(reach: _Hours, hours: _Hours) -> bool:
    """Whether `hours`, which start no earlier than `reach`, are those of another window inside it.

    Swallowed hours are an instant. They are inside where others are open before it and after it.
    """
    swallowed = hours.start == hours.end
    inside = hours.start < reach.end and not (swallowed and hours.start == reach.start)
    return inside and hours.window is not reach.window


def _common(reach: _Hours, hours: _Hours) -> Span:
    end = reach.end if hours.start == hours.end else min(hours.end, reach.end)
    if hours.start.tzinfo is not None:
        return Span(hours.start, end)
    span = resolve_span(hours.start, end, hours.window.zone, shift=True)
    assert span is not None  # noqa: S101 - a shift leaves one
    return span


def _as_written(windows: Sequence[Window], one: Window, other: Window) -> tuple[Window, Window]:
    return (one, other) if windows.index(one) < windows.index(other) else (other, one)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
