"""On which local dates something happens: a rule, or dates that are written out.

A year's dates are computed from the first period of the rule in that year, never by walking from
its first date: those ten years ahead cost what those of this year cost. That keeps the meaning of
INTERVAL, as periods are counted by arithmetic; COUNT is counted out once, when the rule is read.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from itertools import pairwise

from include.calendar.rule_dates import RuleParts, dates_in_year
from include.errors import RequestError

LAST_YEAR = 2230


class Recurrence:
    """An ascending sequence of local dates, without end or with one."""

    def __init__(
        self,
        *,
        text: str,
        parts: RuleParts | None = None,
        dates: Iterable[date] = (),
        first: date | None = None,
        last: date | None = None,
    ) -> None:
        self.text = text
        self._parts = parts
        self._dates = sorted(dates)
        self._first = first
        self._last = last
        self._years: dict[int, tuple[date, ...]] = {}

    @property
    def bounds(self) -> tuple[date | None, date | None]:
        """The first and the last date there can be, as far as either is known."""
        if self._parts is None and self._dates:
            return self._dates[0], self._dates[-1]
        return self._first, self._last

    @property
    def written(self) -> bool:
        """Whether the dates are a list, given or counted out, and not a rule."""
        return self._parts is None

    @property
    def settled(self) -> date | None:
        """From when on it knows no dates but those that every year of its kind has.

        None where its years differ for ever, as those of every third one do.
        """
        first, last = self.bounds
        if last is None and self._parts is not None and self._parts["INTERVAL"] > 1:
            return None
        return last or first or date.min

    def __repr__(self) -> str:
        return f"Recurrence({self.text!r}, first={self._first}, last={self._last})"

    def between(self, first: date, last: date) -> Iterator[date]:
        """Yield the dates from `first` to `last`, both included, in order."""
        if self._first is not None:
            first = max(first, self._first)
        if self._last is not None:
            last = min(last, self._last)
        if self._parts is None:
            low = bisect.bisect_left(self._dates, first)
            yield from self._dates[low : bisect.bisect_right(self._dates, last)]
            return
        for year in range(first.year, min(last.year, LAST_YEAR) + 1):
            for day in self._year(year):
                if day > last:
                    return
                if day >= first:
                    yield day

    def _year(self, year: int) -> tuple[date, ...]:
        known = self._years.get(year)
        if known is None:
            assert self._parts is not None  # noqa: S101 - written-out dates never come here
            known = self._years[year] = tuple(dates_in_year(self._parts, year))
        return known


def written_dates(dates: Iterable[date], *, first: date | None, until: date | None) -> Recurrence:
    """Return a recurrence on exactly these dates within `[first, until)`.

    Raises RequestError for a date given twice and for a list of which nothing is left.
    """
    days = sorted(dates)
    twice = next((day for day, after in pairwise(days) if day == after), None)
    if twice:
        raise RequestError(f"{twice} is given twice")
    text = ",".join(day.isoformat() for day in days)
    last = None if until is None else until - timedelta(days=1)
    return happening(Recurrence(text=text, dates=days, first=first, last=last), first, last)


def happening(rule: Recurrence, first: date | None, last: date | None) -> Recurrence:
    """Return `rule`; raise RequestError where it has no date from `first` to `last`."""
    # Asked only for its first date, a rule that happens answers at once. 29 February on a certain
    # weekday comes back after at most 40 years.
    begin = rule.bounds[0] or date(2000, 1, 1)
    if next(rule.between(begin, date(LAST_YEAR, 12, 31)), None) is None:
        bounds = f" from {first or 'ever'} to {last or 'ever'}" if first or last else ""
        raise RequestError(f'"{rule.text}" never happens{bounds}')
    return rule
