"""What the judge will be able to see, said before it begins.

    at 1,200 requests beside 22,800: error rate +0.9 points, p95 +18 % (power 90 %)

A difference below that may well be missed, and whoever decides shall know it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from include.deploy.exact import binomial_tail, fisher
from include.deploy.judge import SLOW, Rules, quantile

POWER = 0.9
_STEPS = 40
_LARGEST_SLOWDOWN = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Detectable:
    """The smallest differences that are found with `power`; None where none is.

    `error_points` is a rise of the error rate as a fraction (0.004 is 0.4 points), `slowdown` one
    of p95 as a part of it (0.18 is +18 %).
    """

    requests: int
    base_requests: int
    error_points: float | None
    slowdown: float | None
    power: float = POWER

    def sentence(self) -> str:
        """Return it for people."""
        beside = f" beside {self.base_requests:,}" if self.base_requests else ""
        errors = "no rise of the error rate"
        if self.error_points is not None:
            errors = f"error rate +{self.error_points * 100:.2g} points"
        slower = "p95: cannot be said yet"
        if self.slowdown is not None:
            slower = f"p95 +{self.slowdown * 100:.0f} %"
        return (
            f"at about {self.requests:,} requests{beside} it would find: {errors}, {slower} "
            f"(power {self.power * 100:.0f} %)"
        )


def detectable(
    rules: Rules,
    *,
    requests: int,
    base_requests: int,
    base_rate: float = 0.0,
    answers: int = 0,
    base_seconds: Sequence[float] = (),
    share: float = 1.0,
) -> Detectable:
    """Return what will be seen at so many requests of each version.

    `base_rate` is the error rate of the version beside it; `answers` how many timed answers of the
    new version there will be, `base_seconds` those that its neighbour has given; `share` the last
    look's part of the false alarms. The neighbour's errors are taken at their expected number.
    """
    alarm = rules.false_alarm * share
    return Detectable(
        requests=requests,
        base_requests=base_requests,
        error_points=_errors(rules, alarm * 0.5, requests, base_requests, base_rate),
        slowdown=_slowdown(rules, alarm * 0.25, answers, base_seconds),
    )


def _errors(
    rules: Rules, alarm: float, requests: int, base_requests: int, base_rate: float
) -> float | None:
    """Return the smallest rise that reaches the critical count, or the ceiling, with power."""
    if requests < rules.minimum:
        return None
    critical = max(2, math.floor(rules.max_error_rate * requests) + 1)
    if base_requests >= rules.minimum:
        expected = round(base_rate * base_requests)
        critical = min(critical, _critical(alarm, requests, base_requests, expected))
    if critical > requests:
        return None
    low, high = base_rate, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if binomial_tail(critical, requests, middle) >= POWER:
            high = middle
        else:
            low = middle
    return high - base_rate


def _critical(alarm: float, requests: int, base_requests: int, base_errors: int) -> int:
    """Return the smallest number of errors that is proof beside `base_errors`."""
    low, high = 0, requests
    if fisher(high, requests, base_errors, base_requests) > alarm:
        return requests + 1
    while low < high:
        middle = (low + high) // 2
        if fisher(middle, requests, base_errors, base_requests) <= alarm:
            high = middle
        else:
            low = middle + 1
    return low


def _slowdown(
    rules: Rules, alarm: float, answers: int, base_seconds: Sequence[float]
) -> float | None:
    """Return the smallest factor that the comparison of slow ends would find, by bisection."""
    line = quantile(base_seconds, SLOW)
    if line is None or line <= 0 or answers < rules.minimum or len(base_seconds) < rules.minimum:
        return None
    base = len(base_seconds)
    ordered = sorted(base_seconds)

    def found(factor: float) -> bool:
        if factor < rules.tolerance:
            return False
        slow = sum(value * (1 + factor) > line for value in ordered) / base
        base_slow = round((1 - SLOW) * base)
        critical = _critical(alarm, answers, base, base_slow)
        return critical <= answers and binomial_tail(critical, answers, slow) >= POWER

    if not found(_LARGEST_SLOWDOWN):
        return None
    low, high = 0.0, _LARGEST_SLOWDOWN
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if found(middle):
            high = middle
        else:
            low = middle
    return high
