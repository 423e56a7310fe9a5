"""The arithmetic of another judge, to measure ours beside: Kayenta's NetflixACAJudge-v1.0.

What it does is described in the reference (Mann-Whitney confidence interval at 98 % around the
Hodges-Lehmann shift, normal approximation with tie and continuity correction; "High" where its
lower bound is above a quarter of the shift); this is our own code for that description.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from statistics import NormalDist

CONFIDENCE = 0.98
TOLERANCE = 0.25
_STEPS = 40
_PRECISION = 1e-4


def is_high(new: Sequence[float], base: Sequence[float]) -> bool:
    """Return whether it would call the new version's figures too high."""
    if sorted(new) == sorted(base):
        return False
    quantile = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2)
    lower = _root(new, base, quantile, correct=True)
    shift = _root(new, base, 0.0, correct=False)
    # Roots are found to a ten-thousandth; what is nearer to nothing is nothing.
    return lower > max(TOLERANCE * abs(shift), _PRECISION)


def _root(new: Sequence[float], base: Sequence[float], quantile: float, *, correct: bool) -> float:
    low, high = min(new) - max(base), max(new) - min(base)
    if _score(new, base, low, quantile, correct=correct) <= 0:
        return low
    if _score(new, base, high, quantile, correct=correct) >= 0:
        return high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _score(new, base, middle, quantile, correct=correct) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _score(
    new: Sequence[float], base: Sequence[float], shift: float, quantile: float, *, correct: bool
) -> float:
    moved = [value - shift for value in new]
    ordered = sorted([*moved, *base])
    ranks = sum((bisect_left(ordered, v) + bisect_right(ordered, v) + 1) / 2 for v in moved)
    one, other = len(new), len(base)
    away = ranks - one * (one + 1) / 2 - one * other / 2
    ties, place = 0, 0
    while place < len(ordered):
        end = bisect_right(ordered, ordered[place], lo=place)
        ties += (end - place) ** 3 - (end - place)
        place = end
    total = one + other
    variance = one * other / 12 * ((total + 1) - ties / (total * (total - 1)))
    if variance <= 0:
        return -quantile
    correction = math.copysign(0.5, away) if correct and away else 0.0
    return (away - correction) / math.sqrt(variance) - quantile
