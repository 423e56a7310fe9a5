"""The stretches that reports are about: ISO weeks, months and quarters of one zone.

A period begins and ends at local midnight; it is `[start, end)` in UTC. Its report is due on the
zone's clocks at 07:00: on the Monday after a week, on the first working day after a month or a
quarter. What the ledger learns after that instant belongs to the next report, so a period's report
is the same whenever it is made; `as_of` asks for a later view.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from include.calendar.wall_time import resolve
from include.errors import RequestError

DUE = time(7)
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_WEEK = re.compile(r"(\d{4})-W(\d{2})", re.ASCII)
_MONTH = re.compile(r"(\d{4})-(\d{2})", re.ASCII)
_QUARTER = re.compile(r"(\d{4})-Q([1-4])", re.ASCII)


class Kind(StrEnum):
    """Which of the plan's three reports."""

    WEEKLY = "weekly"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"


TITLES = {
    Kind.WEEKLY: "Weekly change report",
    Kind.MONTHLY: "Monthly quality report",
    Kind.QUARTERLY: "Quarterly review",
}
_EXAMPLES = {Kind.WEEKLY: "2026-W47", Kind.MONTHLY: "2026-11", Kind.QUARTERLY: "2026-Q4"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """One ISO week, month or quarter in `zone`; `first` and `after` are its local dates."""

    kind: Kind
    name: str
    first: date
    after: date
    zone: ZoneInfo

    @property
    def start(self) -> datetime:
        """Return the instant of the first local midnight."""
        return _midnight(self.first, self.zone)

    @property
    def end(self) -> datetime:
        """Return the instant of the local midnight after the last day; exclusive."""
        return _midnight(self.after, self.zone)

    @property
    def words(self) -> str:
        """Return the period as people say it."""
        if self.kind is Kind.WEEKLY:
            last = self.after - timedelta(days=1)
            year = f" {self.first.year}" if self.first.year != last.year else ""
            return f"{_day(self.first)}{year} to {_day(last)} {last.year}"
        if self.kind is Kind.MONTHLY:
            return f"{_MONTHS[self.first.month - 1]} {self.first.year}"
        return f"{_ORDINALS[(self.first.month - 1) // 3]} quarter of {self.first.year}"

    def previous(self) -> Period:
        """Return the period before this one."""
        return period_on(self.kind, self.first - timedelta(days=1), self.zone)

    def following(self) -> Period:
        """Return the period after this one."""
        return period_on(self.kind, self.after, self.zone)

    def due(self, is_holiday: Callable[[date], bool]) -> datetime:
        """Return when the report of this period is made: 07:00 local, see above."""
        day = self.after
        if self.kind is not Kind.WEEKLY:
            while day.weekday() >= 5 or is_holiday(day):
                day += timedelta(days=1)
        return resolve(datetime.combine(day, DUE), self.zone)


_ORDINALS = ("First", "Second", "Third", "Fourth")


def period_on(kind: Kind, day: date, zone: ZoneInfo) -> Period:
    """Return the period of `kind` that holds a local date."""
    if kind is Kind.WEEKLY:
        first = day - timedelta(days=day.weekday())
        year, week, _ = first.isocalendar()
        return Period(
            kind=kind,
            name=f"{year}-W{week:02d}",
            first=first,
            after=first + timedelta(days=7),
            zone=zone,
        )
    if kind is Kind.MONTHLY:
        first, name, months = day.replace(day=1), f"{day.year}-{day.month:02d}", 1
    else:
        quarter = (day.month - 1) // 3
        first, name, months = day.replace(month=3 * quarter + 1, day=1), "", 3
        name = f"{day.year}-Q{quarter + 1}"
    return Period(kind=kind, name=name, first=first, after=_months_on(first, months), zone=zone)


def parse_period(kind: Kind, text: str, zone: ZoneInfo) -> Period:
    """Return the period that `text` names (`2026-W47`, `2026-11`, `2026-Q4`).

    Raises RequestError for anything else.
    """
    wanted = text.strip()
    try:
        day = _first_day(kind, wanted)
    except ValueError:
        day = None
    if day is None or not 1970 <= day.year <= 9000:
        raise RequestError(
            f'"{ascii(wanted)[1:-1][:40]}" is not a period of a {kind} report; '
            f"write it like {_EXAMPLES[kind]}"
        )
    return period_on(kind, day, zone)


def _first_day(kind: Kind, text: str) -> date | None:
    if kind is Kind.WEEKLY and (match := _WEEK.fullmatch(text)):
        return date.fromisocalendar(int(match[1]), int(match[2]), 1)
    if kind is Kind.MONTHLY and (match := _MONTH.fullmatch(text)):
        return date(int(match[1]), int(match[2]), 1)
    if kind is Kind.QUARTERLY and (match := _QUARTER.fullmatch(text)):
        return date(int(match[1]), 3 * int(match[2]) - 2, 1)
    return None


def latest_complete(
    kind: Kind, at: datetime, zone: ZoneInfo, is_holiday: Callable[[date], bool]
) -> Period:
    """Return the newest period whose report is due at `at`."""
    period = period_on(kind, at.astimezone(zone).date(), zone).previous()
    while period.due(is_holiday) > at:
        period = period.previous()
    return period


def _months_on(first: date, months: int) -> date:
    number = first.year * 12 + first.month - 1 + months
    return date(number // 12, number % 12 + 1, 1)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return resolve(datetime.combine(day, time()), zone)


def _day(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]}"
