"""A zone as a VTIMEZONE: each change of its offset within a stretch of time, written out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from include.calendar.wall_time import DAY, Span

_SECOND = timedelta(seconds=1)


class Onset(NamedTuple):
    """A change of what the clocks of a zone show; `before` is the offset until then."""

    at: datetime
    before: timedelta
    after: timedelta
    name: str
    daylight: bool


def utc_form(instant: datetime) -> str:
    """Return an instant as `20261128T070000Z`."""
    return f"{instant.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def time_zone_lines(zone: ZoneInfo, around: Span) -> Iterator[str]:
    """Yield the VTIMEZONE of `zone`, good for all instants in `around`; nothing for UTC."""
    if zone.key == "UTC":
        return
    yield "BEGIN:VTIMEZONE"
    yield f"TZID:{zone.key}"
    for onset in onsets(zone, around):
        kind = "DAYLIGHT" if onset.daylight else "STANDARD"
        # The onset is told by the clock that is about to change (RFC 5545, 3.6.5).
        local = onset.at.replace(tzinfo=None) + onset.before
        yield f"BEGIN:{kind}"
        yield f"DTSTART:{local:%Y%m%dT%H%M%S}"
        yield f"TZOFFSETFROM:{_offset(onset.before)}"
        yield f"TZOFFSETTO:{_offset(onset.after)}"
        yield f"TZNAME:{onset.name}"
        yield f"END:{kind}"
    yield "END:VTIMEZONE"


def onsets(zone: ZoneInfo, around: Span) -> Iterator[Onset]:
    """Yield what holds at the start of `around` and every change until its end."""
    at = around.start.astimezone(UTC).replace(microsecond=0)
    shown = _shown(zone, at)
    yield Onset(at, shown[0], *shown)
    while at < around.end:
        following = _shown(zone, at + DAY)
        if following != shown:
            low, high = at, at + DAY
            while high - low > _SECOND:
                middle = low + (high - low) // 2
                middle = middle.replace(microsecond=0)
                middle = max(middle, low + _SECOND)
                low, high = (middle, high) if _shown(zone, middle) == shown else (low, middle)
            yield Onset(high, shown[0], *following)
            shown = following
        at += DAY


def _shown(zone: ZoneInfo, at: datetime) -> tuple[timedelta, str, bool]:
    local = at.astimezone(zone)
    return local.utcoffset() or timedelta(0), local.tzname() or zone.key, bool(local.dst())


def _offset(offset: timedelta) -> str:
    seconds = round(offset.total_seconds())
    sign = "-" if seconds < 0 else "+"
    minutes, seconds = divmod(abs(seconds), 60)
    text = f"{sign}{minutes // 60:02}{minutes % 60:02}"
    return f"{text}{seconds:02}" if seconds else text
