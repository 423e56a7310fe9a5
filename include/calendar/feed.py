"""The calendar as an RFC 5545 feed that any calendar programme can subscribe to.

Every opening is written out as an event of its own, because no recurrence rule can say which
Saturday a freeze has taken away. UIDs stay the same from one reading of the feed to the next.
Times are local, with a VTIMEZONE for each zone; an end that its local clock shows twice, and only
means the second time, is written in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from urllib.parse import quote
from zoneinfo import ZoneInfo

from include.calendar.blackout import Blackout
from include.calendar.calendar import ChangeCalendar
from include.calendar.holiday import HolidayPolicy
from include.calendar.outlook import Outlook
from include.calendar.time_zone_text import time_zone_lines, utc_form
from include.calendar.wall_time import DAY, Span, aware, local_span_text
from include.calendar.window import Window
from include.instants import format_duration

PRODUCT = "-//AROCORD-HIMS//Release Control//EN"
_DOMAIN = "release-control"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEntry:
    """An event from outside the calendar's file: a release, a change, a freeze of either.

    `uid` is unique among all entries and stays the same when the entry moves.
    """

    uid: str
    category: str
    title: str
    span: Span
    description: str = ""
    cancelled: bool = False


def calendar_feed(
    calendar: ChangeCalendar,
    start: datetime,
    end: datetime,
    *,
    stamp: datetime,
    systems: tuple[str, ...] = (),
    environment: str = "production",
    entries: Iterable[FeedEntry] = (),
    name: str = "Change calendar",
) -> str:
    """Return the feed of all that overlaps `[start, end)`; `stamp` is when it was written.

    With `systems` it holds only the windows and blackouts of those, and what is left of a window
    where all of them are open; without, every window as the systems that it opens see it.

    Lines end in CRLF and are folded at 75 octets (RFC 5545, 3.1).
    """
    start, end = aware(start), aware(end)
    events = [
        event
        for window in calendar.windows
        if not systems or any(map(window.covers, systems))
        for event in _openings(
            calendar.outlook(systems=systems or window.scope, environment=environment),
            window,
            Span(start, end),
        )
    ]
    for blackout in calendar.blackouts:
        asked = systems or tuple(blackout.systems)
        if any(blackout.concerns(system, environment) for system in asked):
            events += _blackout(blackout, calendar.zone, Span(start, end))
    events += [_Event.of(entry, calendar.zone) for entry in entries]
    zones = {event.zone.key: event.zone for event in events}
    zones[calendar.zone.key] = calendar.zone
    around = Span(
        min([start, *(event.span.start for event in events)]) - DAY,
        max([end, *(event.span.end for event in events)]) + DAY,
    )
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        f"PRODID:{PRODUCT}",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        f"NAME:{_text(name)}",
        f"X-WR-CALNAME:{_text(name)}",
        f"X-WR-TIMEZONE:{calendar.zone.key}",
        "REFRESH-INTERVAL;VALUE=DURATION:PT1H",
        "X-PUBLISHED-TTL:PT1H",
    ]
    for key in sorted(zones):
        lines += time_zone_lines(zones[key], around)
    for event in sorted(events, key=lambda event: (event.span, event.uid)):
        lines += event.lines(aware(stamp))
    if calendar.holidays.policy is not HolidayPolicy.IGNORE:
        for day, title, _ in calendar.holidays.on(start, end):
            lines += _holiday(day, title, aware(stamp))
    lines.append("END:VCALENDAR")
    return "".join(_folded(line) for line in lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    uid: str
    category: str
    title: str
    span: Span
    zone: ZoneInfo
    description: str = ""
    cancelled: bool = False

    @classmethod
    def of(cls, entry: FeedEntry, zone: ZoneInfo) -> _Event:
        return cls(
            uid=f"{quote(entry.uid, safe='')}@{_DOMAIN}",
            category=entry.category,
            title=entry.title,
            span=entry.span,
            zone=zone,
            description=entry.description,
            cancelled=entry.cancelled,
        )

    def lines(self, stamp: datetime) -> Iterator[str]:
        yield "BEGIN:VEVENT"
        yield f"UID:{self.uid}"
        yield f"DTSTAMP:{utc_form(stamp)}"
        yield _moment("DTSTART", self.span.start, self.zone)
        yield _moment("DTEND", self.span.end, self.zone)
        yield f"SUMMARY:{_text(self.title)}"
        if self.description:
            yield f"DESCRIPTION:{_text(self.description)}"
        yield f"CATEGORIES:{_text(self.category)}"
        yield f"STATUS:{'CANCELLED' if self.cancelled else 'CONFIRMED'}"
        yield "TRANSP:TRANSPARENT"
        yield "END:VEVENT"


def _openings(outlook: Outlook, window: Window, time: Span) -> Iterator[_Event]:
    scope = window.scope
    title = f"Change window {window.name}" + (f" ({', '.join(scope)})" if scope else "")
    for hours in window.hours_between(*time):
        parts = outlook.open_parts(hours)
        notes = []
        if window.every is not None and window.open_for is not None:
            every, length = format_duration(window.every), format_duration(window.open_for)
            notes.append(f"Opens every {every} for {length}.")
        if window.cutoff:
            notes.append(f"Nothing starts in the last {format_duration(window.cutoff)}.")
        if not parts:
            notes.append("Blocked: no changes in this window.")
        elif parts != [hours.span]:
            left = "; ".join(local_span_text(part, window.zone) for part in parts)
            notes.append(f"Open only {left}.")
        yield _Event(
            uid=f"window-{quote(window.name, safe='')}-{hours.date:%Y%m%d}@{_DOMAIN}",
            category="WINDOW",
            title=title if parts else f"{title} – blocked",
            span=hours.span,
            zone=window.zone,
            description="\n".join(notes),
            cancelled=not parts,
        )


def _blackout(blackout: Blackout, zone: ZoneInfo, time: Span) -> Iterator[_Event]:
    name = quote(blackout.name, safe="")
    found: list[tuple[str, Span]] = []
    if blackout.hours is not None:
        spans = blackout.hours.spans(*time)
        found = [(f"{blackout.kind}-{name}-{day:%Y%m%d}", span) for day, span, _ in spans]
    elif blackout.span is not None and any(blackout.spans(*time)):
        found = [(f"{blackout.kind}-{name}", blackout.span)]
    scope = "" if "*" in blackout.systems else f" ({', '.join(sorted(blackout.systems))})"
    for uid, span in found:
        yield _Event(
            uid=f"{uid}@{_DOMAIN}",
            category=blackout.kind.upper(),
            title=f"{blackout.kind.capitalize()} {blackout.name}{scope}",
            span=span,
            zone=blackout.hours.zone if blackout.hours else zone,
            description=blackout.reason,
        )


def _holiday(day: date, title: str, stamp: datetime) -> Iterator[str]:
    yield "BEGIN:VEVENT"
    yield f"UID:holiday-{day:%Y%m%d}@{_DOMAIN}"
    yield f"DTSTAMP:{utc_form(stamp)}"
    yield f"DTSTART;VALUE=DATE:{day:%Y%m%d}"
    yield f"DTEND;VALUE=DATE:{day + DAY:%Y%m%d}"
    yield f"SUMMARY:{_text(title)}"
    yield "CATEGORIES:HOLIDAY"
    yield "TRANSP:TRANSPARENT"
    yield "END:VEVENT"


def _moment(key: str, instant: datetime, zone: ZoneInfo) -> str:
    local = instant.astimezone(zone)
    # A local form means the first of two occurrences (RFC 5545, 3.3.5).
    if local.fold or zone.key == "UTC":
        return f"{key}:{utc_form(instant)}"
    return f"{key};TZID={zone.key}:{local:%Y%m%dT%H%M%S}"


def _text(value: str) -> str:
    """Return a TEXT value: escaped (RFC 5545, 3.3.11), and without control characters."""
    value = value.replace("\r\n", "\n").replace("\r", "\n")
    value = "".join(sign for sign in value if sign == "\n" or (sign >= " " and sign != "\x7f"))
    for sign in ("\\", ";", ","):
        value = value.replace(sign, "\\" + sign)
    return value.replace("\n", "\\n")


def _folded(line: str) -> str:
    """Return a content line in pieces of at most 75 octets, never splitting a character."""
    pieces: list[str] = []
    piece, size = "", 0
    for sign in line:
        width = len(sign.encode())
        if size + width > 75:
            pieces.append(piece)
            piece, size = "", 1  # the space that continues a line
        piece, size = piece + sign, size + width
    return "\r\n ".join([*pieces, piece]) + "\r\n"
