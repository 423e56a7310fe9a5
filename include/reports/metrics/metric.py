"""One figure with everything needed to check it: formula, numerator, denominator and rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from include.instants import format_duration
from include.notices.wording import rounded

NO_DATA = "no data"


class Unit(StrEnum):
    """What a value counts; `share` is between 0 and 1, `duration` in seconds."""

    SHARE = "share"
    DURATION = "duration"
    COUNT = "count"
    PER_WEEK = "per_week"
    PERCENT = "percent"
    SCORE = "score"
    DAYS = "days"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row behind a figure: whether it is in the numerator, and why or why not."""

    id: str
    counted: bool
    why: str
    value: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A figure. `value` is None where there is no data; `said` says so, or says it in words.

    `parts` are the figures that belong with it (median, p90, counts apart), in their own `unit`
    unless the name ends in `_count`.
    """

    name: str
    family: str
    title: str
    formula: str
    unit: Unit
    value: float | None
    numerator: float | None
    denominator: float | None
    said: str
    parts: Mapping[str, float | None] = field(default_factory=dict)
    rows: Sequence[Line] = ()

    @property
    def text(self) -> str:
        """Return the value as people read it."""
        return shown(self.value, self.unit)

    @property
    def told(self) -> str:
        """Return what is said beside `text`, which says already that there is no data."""
        return self.said.removeprefix(f"{NO_DATA}: ") if self.value is None else self.said


def shown(value: float | None, unit: Unit) -> str:
    """Return a value in its unit, `no data` for None.

    >>> shown(0.9712, Unit.SHARE), shown(5400, Unit.DURATION), shown(None, Unit.COUNT)
    ('97.1 %', '1h30m', 'no data')
    """
    if value is None:
        return NO_DATA
    match unit:
        case Unit.SHARE:
            return f"{100 * value:.1f} %"
        case Unit.PERCENT:
            return f"{value:.1f} %"
        case Unit.DURATION:
            return _length(value)
        case Unit.COUNT:
            return f"{value:,.0f}"
        case Unit.PER_WEEK:
            return f"{value:,.2f} a week"
        case Unit.DAYS:
            return f"{value:,.1f} days"
        case _:
            return f"{value:,.1f}"


def share(part: float, whole: float) -> float | None:
    """Return `part / whole`, None where there is nothing to divide by."""
    return part / whole if whole else None


def mean(values: Sequence[float]) -> float | None:
    """Return the arithmetic mean, None for nothing."""
    return math.fsum(values) / len(values) if values else None


def quantile(values: Iterable[float], q: float) -> float | None:
    """Return the q-quantile by linear interpolation (type 7, PostgreSQL's percentile_cont)."""
    ordered = sorted(values)
    if not ordered:
        return None
    place = (len(ordered) - 1) * q
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def lengths(values: Sequence[float]) -> dict[str, float | None]:
    """Return median and p90 of some lengths in seconds."""
    return {"median": quantile(values, 0.5), "p90": quantile(values, 0.9)}


def _length(seconds: float) -> str:
    if seconds >= 172_800:
        return f"{seconds / 86_400:.1f} days"
    whole = rounded(seconds)
    if seconds >= 3600:
        # To the minute: seconds say nothing beside hours.
        return format_duration(rounded(60 * round(seconds / 60)))
    return format_duration(whole)
