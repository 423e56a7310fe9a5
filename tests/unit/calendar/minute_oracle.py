"""An independent reading of a calendar: every minute of a stretch of time, looked at one by one.

It shares no code with include.calendar. A wall time is resolved by scanning the minutes for the
first whose clock shows it or a later time; that is what both rules of transitions come to.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - wall times are counted from here
DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]


@dataclass(frozen=True)
class Hours:
    """Wall hours on dates: what a window and a recurring blackout have in common."""

    dates: tuple[date, ...]
    start: time
    end: time
    days: int
    shift: bool = True

    @property
    def minutes_of_day(self) -> set[int]:
        """Return the minutes after midnight that the clock shows while they last."""
        start, end = (moment.hour * 60 + moment.minute for moment in (self.start, self.end))
        return {minute % 1440 for minute in range(start, end + self.days * 1440)}


class Minutes:
    """All minutes of `[begin, begin + days)`, with what the clocks of `zone` show in each.

    Wall times outside of these minutes cannot be resolved, so what is compared is only what lies
    between `first` and `last`, well inside.
    """

    def __init__(self, zone: str, begin: datetime, days: int) -> None:
        self.zone = ZoneInfo(zone)
        self.begin = begin
        self.count = days * 24 * 60
        self.first, self.last = 9 * 24 * 60, self.count - 9 * 24 * 60
        self.highest: list[int] = []
        # Wall times that the clocks skipped or showed twice, some per transition.
        self.odd: list[datetime] = []
        highest = -(10**12)
        before: datetime | None = None
        moment = begin
        for _ in range(self.count):
            shown = moment.astimezone(self.zone).replace(tzinfo=None)
            if before is not None and shown != before + MINUTE:
                low, high = sorted([before + MINUTE, shown])
                steps = max((high - low) // MINUTE // 4, 1)
                self.odd += [low + step * steps * MINUTE for step in range(5)]
            before = shown
            highest = max(highest, (shown - EPOCH) // MINUTE)
            self.highest.append(highest)
            moment += MINUTE

    def at(self, index: int) -> datetime:
        return self.begin + index * MINUTE

    def index(self, instant: datetime) -> int:
        return (instant - self.begin) // MINUTE

    def resolve(self, wall: datetime) -> int:
        """Return the first minute whose clock shows `wall` or later."""
        return bisect.bisect_left(self.highest, (wall - EPOCH) // MINUTE)

    def spans(self, hours: Hours, *, swallowed: bool = True) -> list[tuple[int, int]]:
        """Return the minutes of `hours`, `swallowed` with those that a transition leaves none."""
        found = []
        for day in hours.dates:
            opens = datetime.combine(day, hours.start)
            closes = datetime.combine(day + timedelta(days=hours.days), hours.end)
            start, end = self.resolve(opens), self.resolve(closes)
            if start == end and hours.shift and swallowed:
                end = start + (closes - opens) // MINUTE
            if start < end:
                found.append((start, end))
        return found

    def paint(self, spans: list[tuple[int, int]]) -> bytearray:
        line = bytearray(self.count)
        for start, end in spans:
            low, high = max(start, 0), min(end, self.count)
            if low < high:
                line[low:high] = b"\1" * (high - low)
        return line


@cache
def minutes_of(zone: str, year: int, days: int = 420) -> Minutes:
    return Minutes(zone, datetime(year, 1, 1, tzinfo=UTC), days)


def every(lines: list[bytearray]) -> bytearray:
    """Return where all lines are set."""
    result = int.from_bytes(lines[0])
    for line in lines[1:]:
        result &= int.from_bytes(line)
    return bytearray(result.to_bytes(len(lines[0])))


def either(lines: list[bytearray], count: int) -> bytearray:
    """Return where at least one line is set."""
    result = int.from_bytes(bytes(count))
    for line in lines:
        result |= int.from_bytes(line)
    return bytearray(result.to_bytes(count))


def without(line: bytearray, denied: bytearray) -> bytearray:
    """Return where `line` is set and `denied` is not."""
    both = int.from_bytes(line) & ~int.from_bytes(denied)
    return bytearray(both.to_bytes(len(line)))


def dates_of(rule: str, first: date | None, begin: date, end: date) -> tuple[date, ...]:
    """Return the dates of an RRULE in `[begin, end)`, by asking each date whether it belongs."""
    parts = dict(item.split("=") for item in rule.split(";"))
    until = parts.get("UNTIL")
    count = int(parts.get("COUNT", 10**9))
    found = []
    day = first or begin
    while day < end:
        past = until is not None and day.strftime("%Y%m%d") > until
        if past or count == 0:
            break
        if _belongs(day, parts, first):
            count -= 1
            if day >= begin:
                found.append(day)
        day += timedelta(days=1)
    return tuple(found)


def _belongs(day: date, parts: dict[str, str], first: date | None) -> bool:
    step = int(parts.get("INTERVAL", 1))
    anchor = first or day
    week_start = DAYS.index(parts.get("WKST", "MO"))
    weeks = [(each.toordinal() - 1 - week_start) // 7 for each in (day, anchor)]
    periods = {
        "DAILY": (day - anchor).days,
        "WEEKLY": weeks[0] - weeks[1],
        "MONTHLY": (day.year - anchor.year) * 12 + day.month - anchor.month,
        "YEARLY": day.year - anchor.year,
    }
    if periods[parts["FREQ"]] % step:
        return False
    if "BYMONTH" in parts and str(day.month) not in parts["BYMONTH"].split(","):
        return False
    month_end = (day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    if "BYMONTHDAY" in parts:
        numbers = {str(day.day), str(day.day - month_end.day - 1)}
        if not numbers & set(parts["BYMONTHDAY"].split(",")):
            return False
    if "BYDAY" in parts:
        name = DAYS[day.weekday()]
        nth, nth_last = (day.day - 1) // 7 + 1, -((month_end.day - day.day) // 7 + 1)
        if not {name, f"{nth}{name}", f"{nth_last}{name}"} & set(parts["BYDAY"].split(",")):
            return False
    return True
