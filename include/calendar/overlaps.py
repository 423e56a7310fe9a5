"""Windows that open one system twice at one time.

Rules without an end cannot be compared for ever. They are compared for 28 years from where each
begins: by then every date has fallen on every weekday, through 56 transitions. Dates that are
written out are compared to their last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from heapq import merge as merged
from itertools import pairwise

from include.calendar.spans import merge
from include.calendar.wall_time import DAY, Span
from include.calendar.window import ALL_SYSTEMS, Occurrence, WallHours, Window
from include.errors import RequestError

COMPARED = timedelta(days=28 * 366)
_COMPARED_FROM = date(2024, 1, 1)
# What is compared within a few seconds.
_MOST_COMPARED = 150_000


def overlaps(windows: Sequence[Window]) -> Iterator[tuple[Window, Window, Span]]:
    """Yield pairs of windows that open a system at the same time, with the first such time.

    Where several meet at once, each is paired with one that it meets. Raises RequestError where
    they open too often to be compared.
    """
    seen: set[tuple[str, str]] = set()
    left = _MOST_COMPARED
    for group in _groups(windows):
        reach: Occurrence | None = None
        streams = [_hours(window, time) for time in _times(group) for window in group]
        for hours in merged(*streams, key=lambda item: (item.start, item.window.name)):
            left -= 1
            if left < 0:
                raise RequestError(
                    f"windows that may overlap open more than {_MOST_COMPARED:,} times in the "
                    "years for which they are compared; bound them by `from` and `until`, or give "
                    "them other systems"
                )
            if reach is not None and hours.start < reach.end:
                pair = reach.window.name, hours.window.name
                if hours.window is not reach.window and not {pair, pair[::-1]} & seen:
                    seen.add(pair)
                    span = Span(hours.start, min(hours.end, reach.end))
                    yield (*_as_written(windows, reach.window, hours.window), span)
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
    """Return the windows of each system, of two or more, no such list twice."""
    recurring = [window for window in windows if window.hours is not None]
    systems = {system for window in recurring for system in window.systems}
    found: dict[tuple[str, ...], list[Window]] = {}
    for system in sorted(systems):
        group = [window for window in recurring if window.covers(system)]
        if system == ALL_SYSTEMS or len(group) > 1:
            found[tuple(window.name for window in group)] = group
    return [group for group in found.values() if len(group) > 1]


def _times(group: Sequence[Window]) -> list[Span]:
    """Return the stretches of time, disjoint, in which every two of `group` are compared."""
    times = []
    for window in group:
        assert window.hours is not None  # noqa: S101 - only those are grouped
        rule = window.hours.recurrence
        first, last = rule.bounds
        first = first or _COMPARED_FROM
        end = last if rule.written and last is not None else first + COMPARED
        times.append(Span(_midnight(first) - 3 * DAY, _midnight(end) + 40 * DAY))
    return merge(times)


def _hours(window: Window, time: Span) -> Iterator[Occurrence]:
    return window.hours_between(*time)


def _as_written(windows: Sequence[Window], one: Window, other: Window) -> tuple[Window, Window]:
    return (one, other) if windows.index(one) < windows.index(other) else (other, one)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
