"""The dates of one year that belong to an RFC 5545 rule, period by period.

A period (day, week, month or year) gives its days; every BY… part keeps those that it names, and
BYSETPOS picks among what is left. A rule arrives here with what RFC 5545 takes from DTSTART
written out, so that any period can be the first one computed.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

RuleParts = dict[str, Any]
_Check = Callable[[date], bool]


def dates_in_year(parts: RuleParts, year: int) -> Iterator[date]:
    """Yield the dates of `year` that the rule names, in order."""
    begin, end = date(year, 1, 1), date(year, 12, 31)
    start = _aligned(parts, begin)
    if parts["FREQ"] == "WEEKLY" and not {"BYMONTH", "BYSETPOS"} & parts.keys():
        yield from _weekdays(parts, start, begin, end)
        return
    chosen = [_CHECKS[key](parts) for key in _CHECKS if key in parts]
    while start is not None and start <= end:
        following = _following(parts, start)
        days = [
            day
            for day in map(date.fromordinal, range(start.toordinal(), _end(parts, start)))
            if all(check(day) for check in chosen)
        ]
        if "BYSETPOS" in parts:
            picked = {place - 1 if place > 0 else len(days) + place for place in parts["BYSETPOS"]}
            days = [day for place, day in enumerate(days) if place in picked]
        # A week may begin in the year before, or run into the next one.
        yield from (day for day in days if begin <= day <= end)
        start = following


def _aligned(parts: RuleParts, begin: date) -> date | None:
    """Return the first day of the first period of the rule that matters from `begin` on."""
    every, anchor = parts["INTERVAL"], parts["ANCHOR"] or begin
    match parts["FREQ"]:
        case "DAILY":
            return begin + timedelta(days=(anchor - begin).days % every)
        case "WEEKLY":
            week = begin - timedelta(days=(begin.weekday() - parts["WKST"]) % 7)
            zero = anchor - timedelta(days=(anchor.weekday() - parts["WKST"]) % 7)
            return week + timedelta(weeks=((zero - week).days // 7) % every)
        case "MONTHLY":
            months = (anchor.year - begin.year) * 12 + anchor.month - 1
            skipped = months % every
            return date(begin.year, 1 + skipped, 1) if skipped < 12 else None
        case _:
            return begin if (begin.year - anchor.year) % every == 0 else None


def _following(parts: RuleParts, start: date) -> date | None:
    """Return the first day of the next period of the rule, None in another year."""
    every = parts["INTERVAL"]
    match parts["FREQ"]:
        case "DAILY":
            return start + timedelta(days=every)
        case "WEEKLY":
            return start + timedelta(weeks=every)
        case "MONTHLY":
            return start.replace(month=start.month + every) if start.month + every <= 12 else None
        case _:
            return None


def _end(parts: RuleParts, start: date) -> int:
    """Return the ordinal of the day after the period that starts on `start`."""
    match parts["FREQ"]:
        case "DAILY":
            return start.toordinal() + 1
        case "WEEKLY":
            return start.toordinal() + 7
        case "MONTHLY":
            return start.toordinal() + _month_length(start)
        case _:
            return date(start.year + 1, 1, 1).toordinal()


def _month_length(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def _year_length(year: int) -> int:
    return 366 if calendar.isleap(year) else 365


def _by_month(parts: RuleParts) -> _Check:
    months = set(parts["BYMONTH"])
    return lambda day: day.month in months


def _by_monthday(parts: RuleParts) -> _Check:
    numbers = set(parts["BYMONTHDAY"])
    return lambda day: day.day in numbers or day.day - _month_length(day) - 1 in numbers


def _by_yearday(parts: RuleParts) -> _Check:
    numbers = set(parts["BYYEARDAY"])

    def check(day: date) -> bool:
        number = day.timetuple().tm_yday
        return number in numbers or number - _year_length(day.year) - 1 in numbers

    return check


def _by_weekno(parts: RuleParts) -> _Check:
    numbers, wkst = set(parts["BYWEEKNO"]), parts["WKST"]

    def check(day: date) -> bool:
        # The week belongs to the year in which most of it lies (RFC 5545: at least four days).
        middle = day - timedelta(days=(day.weekday() - wkst) % 7 - 3)
        number = (middle.timetuple().tm_yday - 1) // 7 + 1
        weeks = (_year_length(middle.year) - middle.timetuple().tm_yday) // 7 + number
        return number in numbers or number - weeks - 1 in numbers

    return check


def _by_day(parts: RuleParts) -> _Check:
    plain = {day for day, nth in parts["BYDAY"] if not nth}
    nths = {(day, nth) for day, nth in parts["BYDAY"] if nth}
    of_month = parts["FREQ"] == "MONTHLY" or "BYMONTH" in parts

    def check(day: date) -> bool:
        weekday = day.weekday()
        if weekday in plain:
            return True
        if not nths:
            return False
        number = day.day if of_month else day.timetuple().tm_yday
        length = _month_length(day) if of_month else _year_length(day.year)
        nth, nth_last = (number - 1) // 7 + 1, -((length - number) // 7 + 1)
        return (weekday, nth) in nths or (weekday, nth_last) in nths

    return check


_CHECKS: dict[str, Callable[[RuleParts], _Check]] = {
    "BYDAY": _by_day,
    "BYMONTH": _by_month,
    "BYMONTHDAY": _by_monthday,
    "BYYEARDAY": _by_yearday,
    "BYWEEKNO": _by_weekno,
}


def _weekdays(parts: RuleParts, start: date | None, begin: date, end: date) -> Iterator[date]:
    """Yield plain weekdays of every nth week: what most windows are, by arithmetic alone."""
    assert start is not None  # noqa: S101 - every year has weeks
    offsets = sorted({(day - parts["WKST"]) % 7 for day, _ in parts["BYDAY"]})
    low, high = begin.toordinal(), end.toordinal()
    for week in range(start.toordinal(), high + 1, 7 * parts["INTERVAL"]):
        for offset in offsets:
            if low <= week + offset <= high:
                yield date.fromordinal(week + offset)
