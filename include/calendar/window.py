"""Windows: when production may be changed at all.

A window is one of three kinds. *standard* recurs on local dates from a wall time to a wall time.
*extended* is time that an approval grants to one change (`Extension`). *emergency* is any time,
needs an incident, and never passes a hard blackout.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from include.calendar.recurrence import Recurrence
from include.calendar.wall_time import DAY, Span, resolve_span, set_backs

ALL_SYSTEMS = "*"


class WindowKind(StrEnum):
    """Who may use a window."""

    STANDARD = "standard"  # every approved change
    EXTENDED = "extended"  # the one change it was granted to
    EMERGENCY = "emergency"  # a change that an incident needs, at any time


class Occurrence(NamedTuple):
    """One opening of a window: its local date, and `[start, end)` in UTC."""

    window: Window
    date: date
    start: datetime
    end: datetime
    shifted: bool

    @property
    def span(self) -> Span:
        """The opening as an interval."""
        return Span(self.start, self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class WallHours:
    """Wall times on the dates of a recurrence: what windows and recurring blackouts share.

    `days` is how many dates after its start the end lies; `shift` says what becomes of hours that
    a transition swallows whole: they open at the first instant after the gap for their nominal
    length, or not at all.
    """

    recurrence: Recurrence
    start: time
    end: time
    days: int
    zone: ZoneInfo
    shift: bool = True

    @property
    def length(self) -> timedelta:
        """The nominal length, by the clock on the wall."""
        midnight = datetime.min  # noqa: DTZ901 - only the difference counts
        end = datetime.combine(midnight + self.days * DAY, self.end)
        return end - datetime.combine(midnight, self.start)

    def spans(self, start: datetime, end: datetime) -> Iterator[tuple[date, Span, bool]]:
        """Yield (date, span, shifted) for all that overlaps `[start, end)`, in order.

        Hours that run into the next ones of the same rule end where those begin. That happens
        after a shift over a gap, where a zone skips a day.
        """
        first = start.astimezone(self.zone).date() - (self.days + 2) * DAY
        last = end.astimezone(self.zone).date() + (self.days + 3) * DAY
        held: tuple[date, Span, bool] | None = None
        for day in self.recurrence.between(first, last):
            opens = datetime.combine(day, self.start)
            closes = datetime.combine(day + self.days * DAY, self.end)
            span = resolve_span(opens, closes, self.zone, shift=self.shift)
            if span is None:
                continue
            if held is not None:
                before = Span(held[1].start, min(held[1].end, span.start))
                if max(before.start, start) < min(before.end, end):
                    yield held[0], before, held[2]
            if span.start >= end:
                return
            shown = span.start.astimezone(self.zone).replace(tzinfo=None)
            held = day, span, shown != opens
        if held is not None and max(held[1].start, start) < min(held[1].end, end):
            yield held


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A window as config/calendar.yaml declares it; `cutoff` before the end nothing more starts.

    With `every` and `open_for` the window opens again every `every` of real time within its hours
    and stays open for `open_for` each time. Extended and emergency windows have no hours; `longest`
    bounds what an approval may grant.
    """

    name: str
    kind: WindowKind = WindowKind.STANDARD
    aliases: tuple[str, ...] = ()
    zone: ZoneInfo
    hours: WallHours | None = None
    cutoff: timedelta = timedelta(0)
    systems: frozenset[str] = frozenset({ALL_SYSTEMS})
    max_changes: int | None = None
    every: timedelta | None = None
    open_for: timedelta | None = None
    longest: timedelta | None = None

    def covers(self, system: str) -> bool:
        """Whether this window opens `system`; `*` asks for a window that opens all of them."""
        return ALL_SYSTEMS in self.systems or system in self.systems

    @property
    def scope(self) -> tuple[str, ...]:
        """The systems that it is for, none where it is for all."""
        return () if ALL_SYSTEMS in self.systems else tuple(sorted(self.systems))

    def hours_between(
        self, start: datetime, end: datetime, *, least: timedelta = timedelta(0)
    ) -> Iterator[Occurrence]:
        """Yield the recurring hours that overlap `[start, end)`, whole, in order.

        Those without an opening as long as `least` may be left out.
        """
        if self.hours is None or (self.open_for is not None and self.open_for < least):
            return
        if self.open_for is None and self.hours.length < least:
            yield from self._longer_hours(self.hours, start, end, least)
            return
        for day, span, shifted in self.hours.spans(start, end):
            yield Occurrence(self, day, span.start, span.end, shifted)

    def _longer_hours(
        self, hours: WallHours, start: datetime, end: datetime, least: timedelta
    ) -> Iterator[Occurrence]:
        """Yield hours that are `least` long, though they are shorter on the wall."""
        begun: datetime | None = None
        for around in set_backs(hours.zone, start, end):
            for day, span, shifted in hours.spans(*around):
                new = begun is None or span.start > begun
                if new and span.end - span.start >= least:
                    begun = span.start
                    yield Occurrence(self, day, span.start, span.end, shifted)

    def openings_of(
        self, hours: Occurrence, start: datetime, end: datetime
    ) -> Iterator[Occurrence]:
        """Yield the openings within `hours` that overlap `[start, end)`, in order."""
        if self.every is None or self.open_for is None:
            yield hours
            return
        index = max(0, (start - hours.start - self.open_for) // self.every)
        opens = hours.start + index * self.every
        while opens < min(hours.end, end):
            closes = min(opens + self.open_for, hours.end)
            if closes > start:
                yield hours._replace(start=opens, end=closes)
            opens += self.every

    def openings(self, start: datetime, end: datetime) -> Iterator[Occurrence]:
        """Yield every opening that overlaps `[start, end)`, in order."""
        for hours in self.hours_between(start, end):
            yield from self.openings_of(hours, start, end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """Time granted to one change by an approval, under an extended window of the calendar."""

    window: str
    change: str
    start: datetime
    end: datetime
    systems: frozenset[str] = frozenset({ALL_SYSTEMS})
    approved_by: str = ""
