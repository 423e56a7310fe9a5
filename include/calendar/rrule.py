"""RFC 5545 rules read as rules on local dates, never on instants.

"Every Saturday" then stays on Saturdays through every change of the clocks. `from` is the rule's
DTSTART; a rule whose meaning hangs on it (INTERVAL, COUNT, a weekday or day that is not named) is
refused without one. Times of day are not part of a rule: those are `start` and `end`.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

from include.calendar.recurrence import LAST_YEAR, Recurrence, happening
from include.calendar.rule_dates import RuleParts
from include.errors import RequestError, did_you_mean

_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_BYDAY = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)")
_NUMBER = re.compile(r"[+-]?\d{1,4}")
_LIMITS = {"BYMONTH": 12, "BYMONTHDAY": 31, "BYYEARDAY": 366, "BYWEEKNO": 53, "BYSETPOS": 366}
_KEYS = {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", *_LIMITS}
_TIMES = {"BYHOUR", "BYMINUTE", "BYSECOND"}
_FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_UNITS = {"WEEKLY": "week", "MONTHLY": "month", "YEARLY": "year"}
_MOST = 10_000


def parse_rrule(text: str, *, first: date | None = None, until: date | None = None) -> Recurrence:
    """Return the recurrence of an RRULE value like `FREQ=MONTHLY;BYDAY=2SA`.

    `first` is the rule's DTSTART, `until` (exclusive) bounds it. Raises RequestError with the
    remedy for whatever is not a rule on dates, needs a DTSTART that is not given, or never happens.
    """
    given = _split(text)
    parts = _checked(given, first)
    last = None if until is None else until - timedelta(days=1)
    if "UNTIL" in given:
        ends = _until(given["UNTIL"])
        last = ends if last is None else min(last, ends)
    rule = Recurrence(text=text.strip(), parts=parts, first=first, last=last)
    happening(rule, first, last)
    if "COUNT" not in given:
        return rule
    count = _whole("COUNT", given["COUNT"], _MOST)
    assert first is not None  # noqa: S101 - _checked refuses COUNT without it
    dates = []
    for day in rule.between(first, date(LAST_YEAR, 12, 31)):
        dates.append(day)
        if len(dates) == count:
            break
    return Recurrence(text=text.strip(), dates=dates, first=first, last=last)


def _split(text: str) -> dict[str, str]:
    body = text.strip().removeprefix("RRULE:")
    if not body or ("\n" in body) or "DTSTART" in body.upper():
        raise RequestError(
            f"{text!r} is not an RRULE; write one rule like FREQ=WEEKLY;BYDAY=SA, and its first "
            "date under `from`"
        )
    given: dict[str, str] = {}
    for item in body.rstrip(";").split(";"):
        key, equals, value = (part.strip().upper() for part in item.partition("="))
        if not equals or not value:
            raise RequestError(f'"{item}" is not KEY=VALUE; write a rule like FREQ=WEEKLY;BYDAY=SA')
        if key in _TIMES:
            raise RequestError(f"{key} is not used: the times of day are `start` and `end`")
        if key not in _KEYS:
            raise RequestError(f'"{key}" is not part of an RRULE{did_you_mean(key, _KEYS)}')
        if key in given:
            raise RequestError(f"{key} is given twice")
        given[key] = value
    return given


def _checked(given: dict[str, str], first: date | None) -> RuleParts:
    freq = given.get("FREQ")
    if freq is None:
        raise RequestError("FREQ is missing; write a rule like FREQ=WEEKLY;BYDAY=SA")
    if freq in {"HOURLY", "MINUTELY", "SECONDLY"}:
        raise RequestError(f"FREQ={freq} is not a rule on dates; use `every` with `open_for`")
    if freq not in _FREQUENCIES:
        raise RequestError(f"FREQ={freq} is unknown{did_you_mean(freq, _FREQUENCIES)}")
    if "COUNT" in given and "UNTIL" in given:
        raise RequestError("COUNT and UNTIL exclude each other (RFC 5545)")
    parts: RuleParts = {"FREQ": freq, "INTERVAL": 1, "WKST": 0, "ANCHOR": first}
    if "INTERVAL" in given:
        parts["INTERVAL"] = _whole("INTERVAL", given["INTERVAL"], 1000)
    if "COUNT" in given:
        _whole("COUNT", given["COUNT"], _MOST)
    for key in ("INTERVAL", "COUNT"):
        if first is None and (parts["INTERVAL"] > 1 if key == "INTERVAL" else key in given):
            raise RequestError(f"{key}={given[key]} counts from a first date; give it as `from`")
    if "WKST" in given:
        if given["WKST"] not in _DAYS:
            raise RequestError(f"WKST={given['WKST']} is not a weekday; write MO, TU, …, SU")
        parts["WKST"] = _DAYS.index(given["WKST"])
    if "BYDAY" in given:
        parts["BYDAY"] = [_weekday(item, freq, given) for item in given["BYDAY"].split(",")]
    for key, most in _LIMITS.items():
        if key in given:
            parts[key] = [_signed(key, item, most) for item in given[key].split(",")]
    _check_combination(parts)
    return _complete(parts, first)


def _check_combination(parts: RuleParts) -> None:
    freq = parts["FREQ"]
    if "BYMONTHDAY" in parts and freq == "WEEKLY":
        raise RequestError("BYMONTHDAY does not go with FREQ=WEEKLY (RFC 5545)")
    for key in ("BYYEARDAY", "BYWEEKNO"):
        if key in parts and freq != "YEARLY":
            raise RequestError(f"{key} goes only with FREQ=YEARLY")
    if "BYWEEKNO" in parts and "BYDAY" not in parts:
        raise RequestError("BYWEEKNO leaves the weekday open; add BYDAY")
    chosen = {"BYDAY", "BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO"} & parts.keys()
    if "BYSETPOS" in parts and not chosen:
        raise RequestError("BYSETPOS picks from what another BY… part gives; add one")


def _complete(parts: RuleParts, first: date | None) -> RuleParts:
    """Write out what RFC 5545 takes from DTSTART, so that a rule can start in any period."""
    freq = parts["FREQ"]
    if freq == "DAILY" or {"BYDAY", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO"} & parts.keys():
        return parts
    if first is None:
        raise RequestError(
            f"which day of the {_UNITS[freq]} is meant? add BYDAY or BYMONTHDAY, or a first date "
            "as `from`"
        )
    if freq == "WEEKLY":
        return {**parts, "BYDAY": [(first.weekday(), 0)]}
    if freq == "YEARLY" and "BYMONTH" not in parts:
        parts = {**parts, "BYMONTH": [first.month]}
    return {**parts, "BYMONTHDAY": [first.day]}


def _weekday(item: str, freq: str, given: dict[str, str]) -> tuple[int, int]:
    match = _BYDAY.fullmatch(item.strip())
    if not match:
        raise RequestError(f'BYDAY: "{item}" is not a weekday; write SA, or 2SA or -1SA of a month')
    nth = int(match[1] or 0)
    if match[1] is not None:
        if freq not in {"MONTHLY", "YEARLY"} or "BYWEEKNO" in given:
            raise RequestError(f"BYDAY={item}: the nth weekday goes with FREQ=MONTHLY or YEARLY")
        most = 5 if freq == "MONTHLY" or "BYMONTH" in given else 53
        if not 1 <= abs(nth) <= most:
            raise RequestError(f"BYDAY={item}: there are at most {most} of a weekday")
    return _DAYS.index(match[2]), nth


def _signed(key: str, item: str, most: int) -> int:
    lowest = 1 if key == "BYMONTH" else -most
    if _NUMBER.fullmatch(item.strip()) and int(item) != 0 and lowest <= int(item) <= most:
        return int(item)
    allowed = f"1 to {most}" if lowest == 1 else f"1 to {most}, or -1 to -{most} from the end"
    raise RequestError(f'{key}: "{item}" is not {allowed}')


def _whole(key: str, text: str, most: int) -> int:
    if text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= most:
        return int(text)
    raise RequestError(f"{key}={text} is not a number from 1 to {most:,}")


def _until(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007 - a date has no zone
    except ValueError:
        remedy = "the rule works on dates, so write UNTIL=20271231 (that day included)"
        raise RequestError(f"UNTIL={text} is not a date; {remedy}") from None
