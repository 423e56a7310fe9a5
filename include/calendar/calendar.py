"""The change calendar: one calculus that answers every question about time.

Intervals are half-open, deny beats allow, and several systems are open where each of them is.
Everybody asks here, sensors, timetables, permits, commands and feeds alike, so nobody can forget
a freeze.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import chain
from zoneinfo import ZoneInfo

from include.calendar.answers import CalendarState, Opening, Reason, WindowSlot
from include.calendar.blackout import PRODUCTION, Blackout
from include.calendar.digest import digest_of
from include.calendar.holiday import Holidays
from include.calendar.outlook import HORIZON, Asker, Outlook
from include.calendar.reasons import outside_reasons, reasons_against, shift_reason, slot_reasons
from include.calendar.wall_time import Span, aware, local_text
from include.calendar.window import Extension, Occurrence, Window, WindowKind
from include.errors import RequestError, did_you_mean
from include.instants import format_duration

_INSTANT = timedelta(microseconds=1)
_MOST_OUTLOOKS = 256


class ChangeCalendar:
    """Windows, blackouts and holidays, asked by instant; immutable, and safe between threads.

    Without `systems` only windows and blackouts that apply to all systems (`*`) count. `change`
    admits the extensions granted to it; `environment` is production unless said otherwise.
    """

    def __init__(
        self,
        *,
        zone: ZoneInfo,
        windows: Iterable[Window],
        blackouts: Iterable[Blackout] = (),
        holidays: Holidays | None = None,
        extensions: Iterable[Extension] = (),
    ) -> None:
        self.zone = zone
        self.windows = tuple(windows)
        self.blackouts = tuple(blackouts)
        self.holidays = holidays or Holidays(zone=zone)
        self.extensions = tuple(extensions)
        self._names = {
            _plain(word): window
            for window in self.windows
            for word in (*window.aliases, window.name)
        }
        self._digest: str | None = None
        self._outlooks: dict[Asker, Outlook] = {}

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of what was loaded and entered: equal when every answer is equal.

        Comments, order of keys and layout of the file do not count.
        """
        if self._digest is None:
            self._digest = digest_of(
                zone=self.zone,
                windows=self.windows,
                blackouts=self.blackouts,
                holidays=self.holidays,
                extensions=self.extensions,
            )
        return self._digest

    def window(self, name: str) -> Window:
        """Return the window with this name or alias; RequestError where there is none."""
        try:
            return self._names[_plain(name)]
        except KeyError:
            known = chain.from_iterable((item.name, *item.aliases) for item in self.windows)
            message = f'there is no window "{name}"{did_you_mean(name, known)}'
            raise RequestError(message) from None

    def including(
        self, *, blackouts: Iterable[Blackout] = (), extensions: Iterable[Extension] = ()
    ) -> ChangeCalendar:
        """Return this calendar with freezes and extensions that were entered elsewhere.

        Raises RequestError for an extension under a window that is not of kind `extended`, or
        longer than that window allows.
        """
        extensions = tuple(extensions)
        for item in extensions:
            self._check_extension(item)
        return ChangeCalendar(
            zone=self.zone,
            windows=self.windows,
            blackouts=(*self.blackouts, *blackouts),
            holidays=self.holidays,
            extensions=(*self.extensions, *extensions),
        )

    def outlook(
        self,
        *,
        systems: Sequence[str] = (),
        environment: str = PRODUCTION,
        change: str | None = None,
        emergency: bool = False,
    ) -> Outlook:
        """Return the calendar as this asker sees it."""
        asker = Asker(
            systems=tuple(sorted(set(systems))),
            environment=environment,
            change=change,
            emergency=emergency,
        )
        outlook = self._outlooks.get(asker)
        if outlook is None:
            outlook = Outlook(
                asker,
                windows=self.windows,
                extensions=[(self.window(item.window), item) for item in self.extensions],
                blackouts=self.blackouts,
                holidays=self.holidays,
            )
            if len(self._outlooks) >= _MOST_OUTLOOKS:
                self._outlooks.clear()
            self._outlooks[asker] = outlook
        return outlook

    def state(
        self,
        at: datetime,
        *,
        systems: Sequence[str] = (),
        environment: str = PRODUCTION,
        change: str | None = None,
        incident: str | None = None,
    ) -> CalendarState:
        """Return whether production is open at `at`, with every reason and the next transition.

        With `incident` the question is an emergency's: no window is needed where the calendar
        declares one of kind `emergency`, and only hard blackouts close it.
        """
        at = aware(at)
        emergency = incident is not None
        outlook = self.outlook(
            systems=systems, environment=environment, change=change, emergency=emergency
        )
        if emergency:
            return self._emergency_state(outlook, at)
        inside = list(outlook.openings(at, at + _INSTANT))
        here = [item for item in outlook.stretches(at, at + _INSTANT) if item[1].start <= at]
        transition = _end_of_open(outlook, at) if here else _next_open(outlook, at)
        closes = max((stretch.end for _, stretch in here), default=None)
        latest = max(
            (stretch.end - outlook.cutoff_of(opening) for opening, stretch in here), default=None
        )
        reasons = reasons_against(outlook, Span(at, at + _INSTANT), self.zone)
        reasons += [shift_reason(opening) for opening in inside if opening.shifted]
        missing = outlook.uncovered(at, inside)
        reasons += outside_reasons(missing, None if reasons else transition, self.zone)
        if latest is not None and at > latest:
            message = f"nothing more starts after {local_text(latest, self.zone)}"
            reasons.append(Reason(code="cutoff", message=message))
        return CalendarState(
            at=at,
            open=bool(here),
            windows=tuple(sorted({opening.window.name for opening in inside})),
            reasons=tuple(reasons),
            next_transition=transition,
            closes=closes,
            latest_start=latest,
        )

    def slots(
        self,
        start: datetime,
        end: datetime,
        *,
        systems: Sequence[str] = (),
        environment: str = PRODUCTION,
        change: str | None = None,
    ) -> list[WindowSlot]:
        """Return every slot that overlaps `[start, end)`, in order, each with its true ends."""
        start, end = aware(start), aware(end)
        if end < start:
            raise RequestError(f"the end {end.isoformat()} lies before {start.isoformat()}")
        outlook = self.outlook(systems=systems, environment=environment, change=change)
        return [
            WindowSlot(
                window=opening.window.name,
                start=opening.start,
                end=opening.end,
                open=tuple(parts),
                reasons=tuple(slot_reasons(outlook, opening, self.zone)),
                zone=opening.window.zone,
            )
            for opening, parts in outlook.slots(start, end)
        ]

    def every_slot(
        self, start: datetime, end: datetime, *, environment: str = PRODUCTION
    ) -> list[WindowSlot]:
        """Return the slots of every window that overlap `[start, end)`, in order: one that opens
        some systems only as those see it."""
        found = self.slots(start, end, environment=environment)
        for window in self.windows:
            if window.scope:
                seen = self.slots(start, end, systems=window.scope, environment=environment)
                found += [slot for slot in seen if slot.window == window.name]
        return sorted(found, key=lambda slot: (slot.start, slot.window))

    def next(
        self,
        *,
        needs: timedelta,
        not_before: datetime,
        systems: Sequence[str] = (),
        window: str | None = None,
        environment: str = PRODUCTION,
        change: str | None = None,
    ) -> Opening | None:
        """Return the earliest opening in which `needs` fits before the cutoff, or None.

        It starts at `not_before` or later and lies in one open stretch of one slot: slots that
        adjoin are not joined, as each has its own cutoff and its own limit of changes. Among equal
        starts the opening that closes last wins. None means none until the end of 2200.
        """
        first = aware(not_before)
        if needs < timedelta(0):
            raise RequestError(f"needs {format_duration(needs)}: work takes no negative time")
        only = None if window is None else self.window(window)
        outlook = self.outlook(systems=systems, environment=environment, change=change)
        for time in outlook.times_ahead(first):
            found = outlook.stretches(*time, least=needs, only=only)
            best = _first_fit(outlook, found, needs, first)
            if best is not None:
                return best
        return None

    def _emergency_state(self, outlook: Outlook, at: datetime) -> CalendarState:
        kinds = [item.name for item in self.windows if item.kind is WindowKind.EMERGENCY]
        ahead = _next_closed(outlook, at) if kinds else None
        begins, ends = ahead or (None, None)
        shut = begins is not None and begins <= at
        reasons = reasons_against(outlook, Span(at, at + _INSTANT), self.zone)
        if not kinds:
            message = "the calendar declares no window of kind emergency"
            reasons.append(Reason(code="no_emergency_window", message=message))
        is_open = bool(kinds) and not shut
        closes = begins if is_open else None
        return CalendarState(
            at=at,
            open=is_open,
            windows=tuple(sorted(kinds)),
            reasons=tuple(reasons),
            next_transition=ends if shut else closes,
            closes=closes,
            latest_start=closes,
        )

    def _check_extension(self, item: Extension) -> None:
        window = self.window(item.window)
        if window.kind is not WindowKind.EXTENDED:
            raise RequestError(
                f"{item.change}: {window.name} is a window of kind {window.kind}; an extension "
                "goes under one of kind extended"
            )
        length = aware(item.end) - aware(item.start)
        if length <= timedelta(0):
            raise RequestError(f"{item.change}: the extension ends before it starts")
        if window.longest is not None and length > window.longest:
            raise RequestError(
                f"{item.change}: {format_duration(length)} is longer than {window.name} may be "
                f"({format_duration(window.longest)})"
            )


def _end_of_open(outlook: Outlook, at: datetime) -> datetime | None:
    reach, limit = at, at + HORIZON
    for _, stretch in outlook.stretches(at, limit):
        if stretch.start > reach:
            break
        reach = max(reach, stretch.end)
    return reach if reach < limit else None


def _first_fit(
    outlook: Outlook,
    stretches: Iterable[tuple[Occurrence, Span]],
    needs: timedelta,
    first: datetime,
) -> Opening | None:
    """Return where `needs` fits first, `first` or later, in `stretches`, which come by start."""
    best: Opening | None = None
    for opening, stretch in stretches:
        start = max(stretch.start, first)
        if best is not None and start > best.start:
            break
        if stretch.end - start < needs:
            continue
        cutoff = outlook.cutoff_of(opening)
        latest = stretch.end - max(needs, cutoff)
        if start <= latest and (best is None or stretch.end > best.end):
            best = Opening(
                window=opening.window.name,
                start=start,
                latest_start=latest,
                end=stretch.end,
                cutoff=cutoff,
                zone=opening.window.zone,
            )
    return best


def _next_open(outlook: Outlook, at: datetime) -> datetime | None:
    for time in outlook.times_ahead(at):
        for _, stretch in outlook.stretches(*time):
            return stretch.start
    return None


def _next_closed(outlook: Outlook, at: datetime) -> tuple[datetime, datetime | None] | None:
    """Return when something denies next, `at` or later, and its end; None for one out of sight."""
    found: list[Span] = []
    for time in outlook.times_ahead(at):
        found = outlook.closed(at, time.end)
        # What reaches the end may be continued behind it.
        if found and found[0].end < time.end:
            return found[0]
    return (found[0].start, None) if found else None


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())
