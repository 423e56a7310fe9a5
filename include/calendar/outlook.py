"""The calendar as one asker sees it: these systems, this environment, this change.

Production is open for several systems where it is open for each of them. For one system it is
open inside any window that covers it and outside everything that denies it.
"""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple

from include.calendar.blackout import Blackout
from include.calendar.holiday import HolidayPolicy, Holidays
from include.calendar.spans import clip, merge, subtract
from include.calendar.wall_time import Span
from include.calendar.window import ALL_SYSTEMS, Extension, Occurrence, Window

# Far enough for a 29 February across a skipped leap day and for a decade of freezes.
HORIZON = timedelta(days=4383)
# Nobody asks for what lies beyond: see `aware`.
_END = datetime(2201, 1, 1, tzinfo=UTC)
# Until then the time zone database lists transitions, from then on it has rules for them.
_ZONES_SETTLED = datetime(2038, 1, 1, tzinfo=UTC)
# By then there was every kind of year, beside its neighbours: a leap year that begins on a certain
# weekday comes back after 40 years at most.
_EVERY_KIND_OF_YEAR = timedelta(days=43 * 366)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks: nothing named means whatever concerns all systems."""

    systems: tuple[str, ...] = ()
    environment: str = "production"
    change: str | None = None
    emergency: bool = False

    @property
    def tracks(self) -> tuple[str, ...]:
        """The systems to be open, `*` alone where none is named."""
        return self.systems or (ALL_SYSTEMS,)


class Denial(NamedTuple):
    """A stretch of time in which a blackout holds, and the whole of that blackout there."""

    start: datetime
    end: datetime
    blackout: Blackout
    whole: Span


class Outlook:
    """Windows less denials, for one asker. Made by the calendar, which keeps them."""

    def __init__(
        self,
        asker: Asker,
        *,
        windows: Iterable[Window],
        extensions: Iterable[tuple[Window, Extension]],
        blackouts: Iterable[Blackout],
        holidays: Holidays,
    ) -> None:
        self.asker = asker
        self.holidays = holidays
        self.holiday_policy = holidays.policy_for(asker.systems)
        self._windows = [
            window
            for window in windows
            if window.hours is not None and any(map(window.covers, asker.tracks))
        ]
        self._granted = [
            (_granted_hours(window, item), item)
            for window, item in extensions
            if asker.change is not None
            and item.change == asker.change
            and any(_covers(item.systems, system) for system in asker.tracks)
        ]
        concerned = [
            blackout
            for blackout in blackouts
            if (blackout.hard or not asker.emergency)
            and any(blackout.concerns(system, asker.environment) for system in asker.tracks)
        ]
        self._recurring = [blackout for blackout in concerned if blackout.hours is not None]
        self._once = sorted(
            (
                denial
                for blackout in concerned
                if blackout.span is not None
                for denial in self._denials_of(blackout, blackout.span)
            ),
            key=lambda denial: denial[:2],
        )
        self._once_starts = [denial.start for denial in self._once]
        self._once_reach = _running_maximum(denial.end for denial in self._once)
        self._closed = merge(Span(denial.start, denial.end) for denial in self._once)
        self._closed_ends = [span.end for span in self._closed]

    def times_ahead(self, start: datetime) -> Iterator[Span]:
        """Yield the time from `start` on in adjoining pieces, until there can be nothing new.

        Nearly every search ends in the first one. It is `HORIZON` long, so a rule that happens once
        in a generation costs the others no search through all its years.
        """
        length = HORIZON
        yield Span(start, start + length)
        last = self._seen_through(start)
        while (begin := start + length) < last:
            length *= 3
            yield Span(begin, min(start + length, last))

    def _seen_through(self, start: datetime) -> datetime:
        """Return by when everything has happened, in every constellation, that happens at all."""
        hours = [window.hours for window in self._windows] + [
            item.hours for item in self._recurring
        ]
        settled = [item.recurrence.settled for item in hours if item is not None]
        # Easter keeps to no kind of year.
        if None in settled or self.holiday_policy is HolidayPolicy.BLOCK:
            return _END
        ends = [start, _ZONES_SETTLED, *self._once_reach[-1:]]
        ends += [granted.end for granted, _ in self._granted]
        ends += [datetime.combine(day, time(), UTC) for day in settled if day is not None]
        return min(_END, max(ends) + _EVERY_KIND_OF_YEAR)

    # -- what denies ---------------------------------------------------------------------------

    def denials(self, start: datetime, end: datetime) -> list[Denial]:
        """Return all blackouts that hold somewhere in `[start, end)`, in order."""
        found: list[Denial] = []
        index = bisect.bisect_left(self._once_starts, end)
        while index > 0 and self._once_reach[index - 1] > start:
            index -= 1
            if self._once[index].end > start:
                found.append(self._once[index])
        for blackout in self._recurring:
            for span in blackout.spans(start, end):
                found += [
                    denial
                    for denial in self._denials_of(blackout, span)
                    if denial.start < end and start < denial.end
                ]
        return sorted(found, key=lambda denial: denial[:2])

    def closed(self, start: datetime, end: datetime) -> list[Span]:
        """Return the union of all that denies within `[start, end)`, in order."""
        spans: list[Span] = []
        index = bisect.bisect_right(self._closed_ends, start)
        while index < len(self._closed) and self._closed[index].start < end:
            spans.append(self._closed[index])
            index += 1
        if self._recurring:
            spans += [
                Span(denial.start, denial.end)
                for blackout in self._recurring
                for span in blackout.spans(start, end)
                for denial in self._denials_of(blackout, span)
            ]
        # An incident does not wait for a holiday to pass.
        if self.holiday_policy is HolidayPolicy.BLOCK and not self.asker.emergency:
            spans += [day for _, _, day in self.holidays.on(start, end)]
        return merge(spans) if len(spans) > 1 else spans

    def _denials_of(self, blackout: Blackout, span: Span) -> list[Denial]:
        held = merge(
            left
            for system in self.asker.tracks
            if blackout.concerns(system, self.asker.environment)
            for left in blackout.holds(span, system=system, change=self.asker.change)
        )
        return [Denial(left.start, left.end, blackout, span) for left in held]

    # -- what allows ---------------------------------------------------------------------------

    def _streams(
        self,
        start: datetime,
        end: datetime,
        least: timedelta = timedelta(0),
        only: Window | None = None,
        system: str | None = None,
    ) -> list[Iterator[Occurrence]]:
        """Return the hours of every window concerned that overlap `[start, end)`.

        With `system` those of windows that do not cover it may be left out.
        """
        streams = [
            # A window too short, or one that blinks, would be walked through for years.
            window.hours_between(start, end, least=least)
            for window in self._windows
            if (only is None or only is window) and (system is None or window.covers(system))
        ]
        for hours, _ in self._granted:
            wanted = only is None or only is hours.window
            if wanted and hours.start < end and start < hours.end:
                streams.append(iter([hours]))
        return streams

    def open_parts(self, hours: Occurrence) -> list[Span]:
        """Return the stretches of `hours` in which all systems are open."""
        parts: list[Span] = [hours.span]
        for system in self.asker.tracks:
            if parts and not self._opens(hours, system):
                parts = clip(parts, self._opened_by_others(hours, system))
        if not parts:
            return parts
        holes = self.closed(hours.start, hours.end)
        return subtract(parts, holes) if holes else parts

    def missing_in(self, hours: Occurrence) -> list[str]:
        """Return the systems that no window opens for some part of `hours`."""
        return [
            system
            for system in self.asker.tracks
            if not self._opens(hours, system)
            and subtract([hours.span], self._opened_by_others(hours, system))
        ]

    def _opened_by_others(self, hours: Occurrence, system: str) -> list[Span]:
        return merge(
            other.span
            for other in self.openings(hours.start, hours.end, system=system)
            if self._opens(other, system)
        )

    def openings(
        self, start: datetime, end: datetime, *, system: str | None = None
    ) -> Iterator[Occurrence]:
        """Yield every opening that overlaps `[start, end)`, denied or not, window by window.

        With `system` those that do not open it may be left out.
        """
        for stream in self._streams(start, end, system=system):
            for hours in stream:
                yield from hours.window.openings_of(hours, start, end)

    def slots(self, start: datetime, end: datetime) -> Iterator[tuple[Occurrence, list[Span]]]:
        """Yield every opening that overlaps `[start, end)` with its open stretches, by start."""
        streams = [self._slots(stream, start, end) for stream in self._streams(start, end)]
        return heapq.merge(*streams, key=lambda item: (item[0].start, item[0].window.name))

    def stretches(
        self,
        start: datetime,
        end: datetime,
        *,
        least: timedelta = timedelta(0),
        only: Window | None = None,
    ) -> Iterator[tuple[Occurrence, Span]]:
        """Yield the open stretches that overlap `[start, end)`, each with its opening, by start.

        Windows whose openings are never as long as `least` may be left out. With `only` they are
        those of openings of that window.
        """
        streams = [
            self._stretches(stream, start, end) for stream in self._streams(start, end, least, only)
        ]
        if len(streams) == 1:
            return streams[0]
        return heapq.merge(*streams, key=lambda item: (item[1], item[0].window.name))

    def _slots(
        self, stream: Iterator[Occurrence], start: datetime, end: datetime
    ) -> Iterator[tuple[Occurrence, list[Span]]]:
        for hours in stream:
            parts = self.open_parts(hours)
            for opening in hours.window.openings_of(hours, start, end):
                yield opening, clip(parts, [opening.span])

    def _stretches(
        self, stream: Iterator[Occurrence], start: datetime, end: datetime
    ) -> Iterator[tuple[Occurrence, Span]]:
        for hours in stream:
            # Hours that are denied whole cost one look, however often they open.
            for part in self.open_parts(hours):
                low, high = max(part.start, start), min(part.end, end)
                if low >= high:
                    continue
                for opening in hours.window.openings_of(hours, low, high):
                    yield from ((opening, found) for found in clip([part], [opening.span]))

    def cutoff_of(self, opening: Occurrence) -> timedelta:
        """Return the longest cutoff among the windows that this opening needs."""
        missing = [item for item in self.asker.tracks if not self._opens(opening, item)]
        cutoffs = [opening.window.cutoff]
        if missing:
            cutoffs += [
                other.window.cutoff
                for other in self.openings(opening.start, opening.end)
                if any(self._opens(other, system) for system in missing)
            ]
        return max(cutoffs)

    def uncovered(self, at: datetime, inside: Sequence[Occurrence]) -> list[str]:
        """Return the systems asked about that none of the openings `inside` at `at` opens."""
        return [
            system
            for system in self.asker.tracks
            if not any(self._opens(opening, system) for opening in inside)
        ]

    def _opens(self, opening: Occurrence, system: str) -> bool:
        for granted, item in self._granted:
            if granted is opening:
                return _covers(item.systems, system)
        return opening.window.covers(system)


def _granted_hours(window: Window, item: Extension) -> Occurrence:
    day = item.start.astimezone(window.zone).date()
    return Occurrence(window, day, item.start, item.end, shifted=False)


def _covers(systems: frozenset[str], system: str) -> bool:
    return ALL_SYSTEMS in systems or system in systems


def _running_maximum(instants: Iterable[datetime]) -> list[datetime]:
    reach: list[datetime] = []
    for instant in instants:
        reach.append(instant if not reach or instant > reach[-1] else reach[-1])
    return reach
