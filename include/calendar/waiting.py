"""What is said of work that waits: until when, for how long, and what has to fit.

opens Sat 02:00 EST, in 3 d 4 h; needs 55 min before the 03:40 cutoff
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from include.calendar.answers import Opening
from include.calendar.calendar import ChangeCalendar
from include.calendar.reasons import reasons_against
from include.calendar.wall_time import DAY, Span, aware

_UNITS = ((timedelta(days=1), "d"), (timedelta(hours=1), "h"), (timedelta(minutes=1), "min"))
_MICROSECOND = timedelta(microseconds=1)


def opens_text(
    calendar: ChangeCalendar,
    opening: Opening,
    *,
    now: datetime,
    needs: timedelta,
    systems: Sequence[str] = (),
    environment: str = "production",
    change: str | None = None,
) -> str:
    """Return when `opening` opens, what has to fit, and what keeps production closed until then."""
    now = aware(now)
    said = f"opens {_when(opening.start, now, opening.zone)}, in {span_words(opening.start - now)}"
    outlook = calendar.outlook(systems=systems, environment=environment, change=change)
    cutoff = opening.end - opening.cutoff
    last = f"{cutoff.astimezone(opening.zone):%H:%M}"
    what = "end" if cutoff == opening.end else "cutoff"
    said += f"; needs {span_words(needs)} before the {last} {what}"
    for slot, parts in outlook.slots(now, opening.start):
        if slot.start < opening.start and not parts:
            against = reasons_against(outlook, slot.span, calendar.zone)
            why = f" ({against[0].message})" if against else ""
            said += f"; passes over {_when(slot.start, now, slot.window.zone)}{why}"
            break
    return said


def ends_text(ends: datetime, *, now: datetime, zone: ZoneInfo) -> str:
    """Return when something ends, like `ends Sat 02:00 EST, in 3 d 4 h`."""
    return f"ends {_when(ends, aware(now), zone)}, in {span_words(ends - now)}"


def span_words(length: timedelta) -> str:
    """Return the two largest units of a length: `3 d 4 h`, `55 min`, `40 s`.

    >>> span_words(timedelta(days=3, hours=4, minutes=5))
    '3 d 4 h'
    """
    if length < timedelta(minutes=2):
        return f"{max(0, round(length.total_seconds()))} s"
    left = length + timedelta(seconds=30)
    parts: list[str] = []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}")
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if not part.startswith("0 "))


def _when(instant: datetime, now: datetime, zone: ZoneInfo) -> str:
    local = instant.astimezone(zone)
    day = f"{local:%a}" if instant - now < 6 * DAY else f"{local:%a} {local.day} {local:%b}"
    if local.date() == now.astimezone(zone).date():
        day = "today"
    return f"{day} {local:%H:%M}{f':{local:%S}' if local.second else ''} {local:%Z}"


def denied_until(
    calendar: ChangeCalendar,
    at: datetime,
    *,
    systems: Sequence[str] = (),
    environment: str = "production",
    change: str | None = None,
) -> tuple[datetime, str] | None:
    """Return when the last of adjoining freezes, blackouts and closing holidays that hold at `at`
    ends, and which ones they are; None where nothing holds, whatever windows there are."""
    at = aware(at)
    outlook = calendar.outlook(systems=systems, environment=environment, change=change)
    here = [span for span in outlook.closed(at, at + _MICROSECOND) if span.start <= at < span.end]
    if not here:
        return None
    ends = here[0].end
    while more := [span.end for span in outlook.closed(ends, ends + _MICROSECOND)]:
        ends = max(more)
    why = reasons_against(outlook, Span(at, at + _MICROSECOND), calendar.zone)
    return ends, "; ".join(reason.message for reason in why)
