"""Wall-clock times of a place, resolved to instants; and instants told in that place's words.

The rules, which every window, freeze and holiday shares:

- a wall time that a transition skips becomes the first instant after the gap;
- a wall time that happens twice is its first occurrence;
- zones are IANA names. `EST` is UTC−5 all year, so 02:00 EST in July is 03:00 on New York's
  clocks: abbreviations and bare offsets are refused, never guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from include.errors import RequestError, did_you_mean

DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# What people write for a place that changes its clocks, and the place they mean.
_MEANT = {
    "ET": "America/New_York", "EST": "America/New_York", "EDT": "America/New_York",
    "CT": "America/Chicago", "CST": "America/Chicago", "CDT": "America/Chicago",
    "MT": "America/Denver", "MST": "America/Denver", "MDT": "America/Denver",
    "PT": "America/Los_Angeles", "PST": "America/Los_Angeles", "PDT": "America/Los_Angeles",
    "EST5EDT": "America/New_York", "CST6CDT": "America/Chicago",
    "MST7MDT": "America/Denver", "PST8PDT": "America/Los_Angeles",
    "GMT": "Europe/London", "BST": "Europe/London", "WET": "Europe/Lisbon",
    "CET": "Europe/Berlin", "CEST": "Europe/Berlin", "MET": "Europe/Berlin",
    "EET": "Europe/Athens", "HST": "Pacific/Honolulu", "IST": "Asia/Kolkata",
    "JST": "Asia/Tokyo", "AEST": "Australia/Sydney", "AEDT": "Australia/Sydney",
    "Z": "UTC", "ZULU": "UTC", "UCT": "UTC",
}  # fmt: skip
# Links of the time zone database that have no slash, and the zone that each of them is.
_LINKS = {
    "CUBA": "America/Havana", "EGYPT": "Africa/Cairo", "EIRE": "Europe/Dublin",
    "GB": "Europe/London", "GB-EIRE": "Europe/London", "GREENWICH": "UTC",
    "HONGKONG": "Asia/Hong_Kong", "ICELAND": "Atlantic/Reykjavik", "IRAN": "Asia/Tehran",
    "ISRAEL": "Asia/Jerusalem", "JAMAICA": "America/Jamaica", "JAPAN": "Asia/Tokyo",
    "KWAJALEIN": "Pacific/Kwajalein", "LIBYA": "Africa/Tripoli", "NAVAJO": "America/Denver",
    "NZ": "Pacific/Auckland", "NZ-CHAT": "Pacific/Chatham", "POLAND": "Europe/Warsaw",
    "PORTUGAL": "Europe/Lisbon", "PRC": "Asia/Shanghai", "ROC": "Asia/Taipei",
    "ROK": "Asia/Seoul", "SINGAPORE": "Asia/Singapore", "TURKEY": "Europe/Istanbul",
    "UNIVERSAL": "UTC", "W-SU": "Europe/Moscow",
}  # fmt: skip
_FIXED = {
    "EST": "EST is UTC-5 all year, also in summer",
    "MST": "MST is UTC-7 all year, also in summer",
    "HST": "HST is an abbreviation",
}
_OFFSET = re.compile(r"(?:UTC|GMT|Etc/GMT)?[+-]\d{1,2}(?::?\d{2})?|Etc/(?!UTC$).*")


class Span(NamedTuple):
    """The half-open interval `[start, end)` of instants."""

    start: datetime
    end: datetime


def zone_of(name: str) -> ZoneInfo:
    """Return the zone with this IANA name; `UTC` is the only one without a slash.

    Raises RequestError, with the name that was probably meant, for abbreviations, bare offsets,
    links without a slash and names that the time zone database does not know.
    """
    if name.upper() in _LINKS:
        zone = _LINKS[name.upper()]
        raise RequestError(
            f'"{name}" is a link name that the time zone database keeps for old programs; write '
            f"{zone}"
        )
    if name.upper() in _MEANT:
        why = _FIXED.get(name.upper(), f"{name} is an abbreviation, not a place")
        meant = _MEANT[name.upper()]
        raise RequestError(f'"{name}" is not an IANA zone: {why}; write {meant}')
    if _OFFSET.fullmatch(name):
        raise RequestError(
            f'"{name}" is not an IANA zone: a fixed offset follows the clocks of no place; '
            "write an IANA zone like America/New_York"
        )
    if name == "UTC" or "/" in name:
        try:
            if not name.startswith(("posix/", "right/")):
                return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    places = (known for known in available_timezones() if "/" in known)
    raise RequestError(
        f'"{name}" is not an IANA zone that this machine knows{_nearest(name, places)}'
    )


def _nearest(name: str, places: Iterable[str]) -> str:
    # Without a near one did_you_mean lists them all, and there are six hundred.
    remedy = did_you_mean(name, places)
    return remedy if remedy.startswith("; did you mean") else "; write one like America/New_York"


def resolve(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the UTC instant of the naive `wall` time in `zone`; see the module for the rules."""
    instant = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return instant
    return _end_of_gap(wall, zone, instant)


def resolve_span(start: datetime, end: datetime, zone: ZoneInfo, *, shift: bool) -> Span | None:
    """Return `[start, end)` of naive wall times as instants.

    Where both fall into one gap nothing is left: with `shift` the span then begins at the first
    instant after the gap and keeps its nominal length, without it there is none.
    """
    first, last = resolve(start, zone), resolve(end, zone)
    if first < last:
        return Span(first, last)
    return Span(first, first + (end - start)) if shift else None


def _end_of_gap(wall: datetime, zone: ZoneInfo, after: datetime) -> datetime:
    # PEP 495: with fold=1 a missing wall time is read with the offset after the gap, which lands
    # before the transition; with fold=0 it lands after it. The transition is between the two.
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC).replace(microsecond=0)
    offset = before.astimezone(zone).utcoffset()
    low, high = 0, -((before - after) // _SECOND)
    while high - low > 1:
        middle = (low + high) // 2
        here = (before + middle * _SECOND).astimezone(zone).utcoffset()
        low, high = (middle, high) if here == offset else (low, middle)
    return before + high * _SECOND


def set_backs(zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[Span]:
    """Yield a few days around each time between `start` and `end` at which clocks go back."""
    for year in range(start.year - 1, end.year + 1):
        for (_, before), (day, after) in pairwise(_offsets_in(zone, year)):
            around = Span(max(day - 3 * DAY, start), min(day + 2 * DAY, end))
            if after < before and around.start < around.end:
                yield around


def offsets(zone: ZoneInfo, start: datetime, end: datetime) -> tuple[timedelta, timedelta]:
    """Return the least and the greatest offset from UTC that hold between `start` and `end`."""
    years = range(start.year - 1, end.year + 2)
    found = {offset for year in years for _, offset in _offsets_in(zone, year)}
    return min(found), max(found)


@lru_cache(maxsize=2048)
def _offsets_in(zone: ZoneInfo, year: int) -> tuple[tuple[datetime, timedelta], ...]:
    """Return the offset of New Year's Day, and each that differs from that of the day before."""
    midnight = datetime(year, 1, 1, tzinfo=zone)
    found: list[tuple[datetime, timedelta]] = []
    for number in range(367):
        offset = (midnight + number * DAY).utcoffset() or timedelta(0)
        if not found or offset != found[-1][1]:
            found.append((datetime(year, 1, 1, tzinfo=UTC) + number * DAY, offset))
    return tuple(found)


def aware(value: datetime) -> datetime:
    """Return `value` in UTC; raise RequestError where it bears no zone or no year of ours."""
    if value.tzinfo is None:
        raise RequestError(f"{value.isoformat()} bears no zone, so it is no instant")
    if not 1800 <= value.year <= 2200:
        raise RequestError(f"{value.isoformat()}: the calendar answers for 1800 to 2200")
    return value.astimezone(UTC)


def local_text(instant: datetime, zone: ZoneInfo) -> str:
    """Return an instant as `Sat 28 Nov 2026 02:00 EST`."""
    here = instant.astimezone(zone)
    return f"{date_text(here)} {_time_text(here)} {_zone_text(here)}"


def local_span_text(span: Span, zone: ZoneInfo) -> str:
    """Return a span as `Sat 28 Nov 2026 02:00–04:00 EST`, both dates and zones if they differ."""
    first, last = span.start.astimezone(zone), span.end.astimezone(zone)
    if first.date() != last.date():
        return f"{local_text(span.start, zone)} – {local_text(span.end, zone)}"
    if _zone_text(first) != _zone_text(last):
        return f"{local_text(span.start, zone)} – {_time_text(last)} {_zone_text(last)}"
    seconds = bool(first.second or last.second)
    hours = f"{_time_text(first, seconds=seconds)}–{_time_text(last, seconds=seconds)}"
    return f"{date_text(first)} {hours} {_zone_text(first)}"


def date_text(here: date) -> str:
    """Return a date as `Sat 28 Nov 2026`; not by strftime, which speaks the process's locale."""
    return f"{_DAYS[here.weekday()]} {here.day} {_MONTHS[here.month - 1]} {here.year}"


def _time_text(here: datetime, *, seconds: bool = False) -> str:
    return f"{here:%H:%M:%S}" if here.second or seconds else f"{here:%H:%M}"


def _zone_text(here: datetime) -> str:
    name = here.tzname() or ""
    # Zones without an abbreviation of their own have one like "+0545".
    return f"UTC{name}" if name[:1] in {"+", "-"} else name
