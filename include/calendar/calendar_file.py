"""config/calendar.yaml read into a ChangeCalendar; see `include.calendar.sections` for its keys.

A file that is wrong anywhere is refused whole, with all its problems. Who gets no calendar has no
open window: what cannot be read is closed.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from include.calendar.blackout import EVERYWHERE, PRODUCTION, Blackout, BlackoutException
from include.calendar.calendar import ChangeCalendar
from include.calendar.holiday import HolidayPolicy, Holidays, check_place
from include.calendar.overlaps import first_running_into_next, overlaps
from include.calendar.recurrence import Recurrence, written_dates
from include.calendar.rrule import parse_rrule
from include.calendar.sections import (
    BlackoutSection,
    CalendarSection,
    ExceptionSection,
    HolidaySection,
    WindowSection,
)
from include.calendar.wall_time import DAY, Span, local_span_text, resolve, resolve_span
from include.calendar.window import WallHours, Window, WindowKind
from include.documents import Document, parse_document, read_document, validate_document
from include.errors import ConfigError, InputError, Problem, RequestError
from include.instants import format_duration

_Path = tuple[str | int, ...]


def load_calendar(path: Path, *, name: str | None = None) -> ChangeCalendar:
    """Return the calendar that the file at `path` declares; `name` is how messages call it.

    Raises ConfigError, naming file, line, key and remedy of everything that is wrong.
    """
    document = read_document(path, name=name)
    return _Reader(document, validate_document(document, CalendarSection)).read()


def read_calendar(text: str, *, name: str) -> ChangeCalendar:
    """Return the calendar that a file's text declares; see `load_calendar`."""
    document = parse_document(text.encode("utf-8", "surrogateescape"), name)
    return _Reader(document, validate_document(document, CalendarSection)).read()


class _Reader:
    """Turns what was written into what is meant, and collects what cannot be."""

    def __init__(self, document: Document, section: CalendarSection) -> None:
        self.document = document
        self.section = section
        self.zone: ZoneInfo = section.timezone
        self.problems: list[Problem] = []

    def read(self) -> ChangeCalendar:
        windows = [
            window
            for name, section in self.section.windows.items()
            if (window := self.window(name, section)) is not None
        ]
        blackouts = [
            blackout
            for name, section in self.section.blackouts.items()
            if (blackout := self.blackout(name, section)) is not None
        ]
        holidays = self.holidays(
            self.section.holidays or HolidaySection(policy=HolidayPolicy.IGNORE)
        )
        self.check_names(windows)
        self.check_environments(blackouts)
        self.check_overlaps(windows)
        if self.problems:
            raise ConfigError(self.problems)
        return ChangeCalendar(
            zone=self.zone, windows=windows, blackouts=blackouts, holidays=holidays
        )

    def complain(self, path: _Path, message: str) -> None:
        self.problems.append(self.document.problem(path, message))

    # -- windows -------------------------------------------------------------------------------

    def window(self, name: str, section: WindowSection) -> Window | None:
        path: _Path = ("windows", name)
        before = len(self.problems)
        hours = None
        if section.kind is WindowKind.STANDARD:
            hours = self.window_hours(path, section)
            if section.longest is not None:
                self.complain((*path, "longest"), "goes with kind extended only")
        else:
            self.check_unrecurring(path, section)
        self.check_lengths(path, section, hours)
        if len(self.problems) > before:
            return None
        return Window(
            name=name,
            kind=section.kind,
            aliases=section.aliases,
            zone=section.timezone or self.zone,
            hours=hours,
            cutoff=section.cutoff,
            systems=frozenset(section.systems),
            max_changes=section.max_changes,
            every=section.every,
            open_for=section.open_for,
            longest=section.longest,
        )

    def window_hours(self, path: _Path, section: WindowSection) -> WallHours | None:
        for key in ("start", "end"):
            if getattr(section, key) is None:
                self.complain(path, f'"{key}" is required')
        recurrence = self.recurrence(path, section)
        if recurrence is None or section.start is None or section.end is None:
            return None
        return self.wall_hours(path, section, recurrence, section.start, section.end)

    def check_unrecurring(self, path: _Path, section: WindowSection) -> None:
        keys = ["rrule", "dates", "start", "end", "end_day", "every", "open_for", "until"]
        if section.kind is WindowKind.EMERGENCY:
            keys += ["longest", "max_changes"]
        for key in keys:
            if getattr(section, key) is not None:
                self.complain((*path, key), f"does not go with kind {section.kind}")
        if section.kind is WindowKind.EXTENDED and section.longest is None:
            self.complain(path, '"longest" is required: how much an approval may grant, like 8h')

    def check_lengths(self, path: _Path, section: WindowSection, hours: WallHours | None) -> None:
        if (section.every is None) != (section.open_for is None):
            given, missing = ("every", "open_for") if section.every else ("open_for", "every")
            self.complain((*path, given), f'needs "{missing}" beside it')
            return
        length = section.longest if hours is None else hours.length
        if section.every is not None and section.open_for is not None:
            if section.open_for <= timedelta(0):
                self.complain((*path, "open_for"), "must be longer than 0s")
            elif section.open_for >= section.every:
                ours, theirs = map(format_duration, (section.open_for, section.every))
                message = f"{ours} is not shorter than every {theirs}: it would never close"
                self.complain((*path, "open_for"), message)
            length = section.open_for
        if length is not None and section.cutoff >= length > timedelta(0):
            ours, theirs = format_duration(section.cutoff), format_duration(length)
            message = f"{ours} leaves no time to start in a window of {theirs}; make it shorter"
            self.complain((*path, "cutoff"), message)

    # -- what windows and blackouts share ------------------------------------------------------

    def recurrence(
        self, path: _Path, section: WindowSection | BlackoutSection
    ) -> Recurrence | None:
        if section.rrule is not None and section.dates is not None:
            self.complain((*path, "dates"), "give either rrule or dates, not both")
            return None
        if (
            section.until is not None
            and section.first is not None
            and section.until <= section.first
        ):
            self.complain((*path, "until"), f"{section.until} is not after from {section.first}")
            return None
        try:
            if section.rrule is not None:
                return parse_rrule(section.rrule, first=section.first, until=section.until)
            if section.dates is not None:
                return written_dates(section.dates, first=section.first, until=section.until)
        except RequestError as error:
            key = "rrule" if section.rrule is not None else "dates"
            self.complain((*path, key), str(error))
            return None
        self.complain(path, 'one of "rrule" (like FREQ=WEEKLY;BYDAY=SA) or "dates" is required')
        return None

    def wall_hours(
        self,
        path: _Path,
        section: WindowSection | BlackoutSection,
        recurrence: Recurrence,
        start: time,
        end: time,
    ) -> WallHours | None:
        days = section.end_day
        if days is None:
            days = 0 if end > start else 1
        if days == 0 and end <= start:
            self.complain((*path, "end_day"), f"0: the end {end:%H:%M} is not after the start")
            return None
        hours = WallHours(
            recurrence=recurrence,
            start=start,
            end=end,
            days=days,
            zone=section.timezone or self.zone,
            shift=section.dst_gap == "shift",
        )
        if hours.length > DAY and (dates := first_running_into_next(hours)):
            self.complain(
                (*path, "end_day"), f"the hours of {dates[0]} run into those of {dates[1]}"
            )
            return None
        return hours

    # -- blackouts -----------------------------------------------------------------------------

    def blackout(self, name: str, section: BlackoutSection) -> Blackout | None:
        path: _Path = ("blackouts", name)
        before = len(self.problems)
        zone = section.timezone or self.zone
        hours, span = None, None
        if section.rrule is not None or section.dates is not None:
            hours = self.blackout_hours(path, section)
        else:
            span = self.blackout_span(path, section, zone)
        exceptions = [
            exception
            for index, item in enumerate(section.exceptions)
            if (exception := self.exception((*path, "exceptions", index), item, zone)) is not None
        ]
        if len(self.problems) > before:
            return None
        return Blackout(
            name=name,
            reason=section.reason,
            span=span,
            hours=hours,
            systems=frozenset(section.systems),
            environments=frozenset(section.environments),
            hard=section.hard,
            exceptions=tuple(exceptions),
        )

    def blackout_hours(self, path: _Path, section: BlackoutSection) -> WallHours | None:
        recurrence = self.recurrence(path, section)
        for key in ("start", "end"):
            if not isinstance(getattr(section, key), time):
                self.complain(
                    (*path, key), 'of a recurring blackout is a time of day, like "02:00"'
                )
                return None
        if recurrence is None or not isinstance(section.start, time):
            return None
        assert isinstance(section.end, time)  # noqa: S101 - seen to in the loop above
        return self.wall_hours(path, section, recurrence, section.start, section.end)

    def blackout_span(self, path: _Path, section: BlackoutSection, zone: ZoneInfo) -> Span | None:
        for key in ("first", "until", "end_day"):
            if getattr(section, key) is not None:
                shown = "from" if key == "first" else key
                self.complain((*path, shown), "goes with rrule or dates only")
        start, end = section.start, section.end
        for key, value in (("start", start), ("end", end)):
            if isinstance(value, time):
                message = "a time of day alone; add its date like 2026-12-19T00:00, or an rrule"
                self.complain((*path, key), message)
        if isinstance(start, time) or isinstance(end, time):
            return None
        if start.tzinfo is None and end.tzinfo is None and start < end:
            return resolve_span(start, end, zone, shift=section.dst_gap == "shift") or Span(
                resolve(start, zone), resolve(start, zone)
            )
        span = Span(_instant(start, zone), _instant(end, zone))
        if span.start >= span.end:
            self.complain((*path, "end"), "is not after start (the end is exclusive)")
            return None
        return span

    def exception(
        self, path: _Path, section: ExceptionSection, zone: ZoneInfo
    ) -> BlackoutException | None:
        if isinstance(section.end, time) or isinstance(section.start, time):
            key = "end" if isinstance(section.end, time) else "start"
            self.complain((*path, key), "needs its date, like 2026-12-19T00:00")
            return None
        end = _instant(section.end, zone)
        start = None if section.start is None else _instant(section.start, zone)
        if start is not None and start >= end:
            self.complain((*path, "end"), "is not after start (the end is exclusive)")
            return None
        return BlackoutException(
            owner=section.owner,
            reason=section.reason,
            control=section.control,
            start=start,
            end=end,
            systems=frozenset(section.systems),
            changes=frozenset(section.changes),
        )

    # -- the whole -----------------------------------------------------------------------------

    def holidays(self, section: HolidaySection) -> Holidays:
        used = {section.policy, *section.systems.values()} != {HolidayPolicy.IGNORE}
        if used and section.country is None:
            self.complain(("holidays",), '"country" is required, like US')
        elif section.country is None and section.subdivision is not None:
            self.complain(("holidays", "subdivision"), "needs its country beside it")
        elif used and section.country is not None:
            try:
                check_place(section.country, section.subdivision)
            except InputError as error:
                key = "subdivision" if "subdivision" in str(error) else "country"
                self.complain(("holidays", key), str(error))
        return Holidays(
            zone=self.zone,
            country=section.country,
            subdivision=section.subdivision,
            observed=section.observed,
            policy=section.policy,
            adjacent=section.adjacent,
            systems=dict(section.systems),
        )

    def check_names(self, windows: list[Window]) -> None:
        taken: dict[str, str] = {}
        for window in windows:
            for word in (window.name, *window.aliases):
                owner = taken.setdefault(" ".join(word.casefold().split()), window.name)
                if owner != window.name:
                    path = ("windows", window.name, "aliases")
                    self.complain(path, f'"{word}" already names the window {owner}')

    def check_environments(self, blackouts: list[Blackout]) -> None:
        """Refuse a blackout of an environment in which nothing runs: it would stop nothing."""
        for blackout in blackouts:
            if blackout.environments <= {EVERYWHERE, PRODUCTION}:
                continue
            from include.settings import load_settings

            settings = load_settings()
            written = self.section.blackouts[blackout.name].environments
            for index, name in enumerate(written):
                try:
                    if name != EVERYWHERE:
                        settings.checked_environment(name)
                except RequestError as error:
                    self.complain(("blackouts", blackout.name, "environments", index), str(error))

    def check_overlaps(self, windows: list[Window]) -> None:
        """Refuse windows that open one system twice at one time: whose cutoff would hold?"""
        try:
            for one, other, overlap in overlaps(windows):
                when = local_span_text(overlap, other.zone)
                message = f"overlaps windows.{one.name} for the same systems on {when}; "
                remedy = "give one of them other hours, dates or systems"
                self.complain(("windows", other.name), message + remedy)
        except RequestError as error:
            self.complain(("windows",), str(error))


def _instant(value: datetime, zone: ZoneInfo) -> datetime:
    return resolve(value, zone) if value.tzinfo is None else value.astimezone(UTC)
