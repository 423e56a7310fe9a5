"""What every source of metrics can do.

A source counts what people asked of a slot. It never guesses: no answer, no data and half an answer
are MetricsLost, for nothing measured is not the same as nothing wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from include.deploy.target import Colour
from include.errors import MetricsLost


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Requests of people to a slot since the mark, and how many of them failed."""

    requests: int
    errors: int


class MetricSource(Protocol):
    """Counts per slot; every method raises MetricsLost when there is no saying."""

    def mark(self, slot: Colour) -> None:
        """Let counting begin now."""

    def counts(self, slot: Colour) -> Counts:
        """Return what was counted since the mark."""


def whole(value: object, what: str) -> int:
    """Return a count that a source gave, rounded; MetricsLost for what is no number of things.

    Rates that a source extrapolates (Prometheus' `increase`) are seldom whole.
    """
    return round(amount(value, what))


def amount(value: object, what: str) -> float:
    """Return a part of a count; MetricsLost for what is no number of things."""
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise MetricsLost(f"{what}: {str(value)[:40]} is no number of requests")
    return number


def paired(requests: int, errors: int) -> Counts:
    """Return counts of which both are known; two queries may be read an instant apart."""
    return Counts(requests=max(requests, errors), errors=errors)
