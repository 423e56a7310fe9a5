"""Exact two-sample tests on counts, and a rank test, in plain arithmetic.

All are one-sided: how likely is it that the second sample looks at least this much worse if nothing
differs? Small is evidence against it.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

# Up to so many values in both samples the rank test counts every arrangement.
_COUNTABLE = 40
# Beyond this standard deviation of a count its terms are too many to add up.
_ADDABLE = 1e5


def fisher(events: int, trials: int, base_events: int, base_trials: int) -> float:
    """Return Fisher's exact p-value that `events` of `trials` are too many beside the base's.

    Conditional on the number of events in both. Exact; where the standard deviation of the count
    is beyond a hundred thousand, its normal approximation. Without trials on either side nothing
    can be said: 1.
    """
    _require(events, trials)
    _require(base_events, base_trials)
    if not trials or not base_trials:
        return 1.0
    both = events + base_events
    return _upper_tail(events, both, trials, base_trials)


def rank_test(values: Sequence[float], base: Sequence[float]) -> float:
    """Return the Mann-Whitney p-value that `values` lie above `base`.

    Every arrangement is counted where the samples are small, ties by mid-ranks; else the normal
    approximation with tie and continuity correction. Without values on either side: 1.
    """
    if not values or not base:
        return 1.0
    ranks, ties = _doubled_ranks(values, base)
    total, one = len(values) + len(base), len(values)
    observed = sum(ranks[:one])
    if total <= _COUNTABLE:
        return _arrangements_above(ranks, one, observed)
    mean = one * (total + 1)
    variance = one * len(base) / 3.0 * ((total + 1) - ties / (total * (total - 1)))
    if variance <= 0:
        return 1.0
    # In doubled ranks a step is two, so half a step of continuity is one.
    return _normal_tail((observed - mean - 1) / math.sqrt(variance))


def binomial_tail(events: int, trials: int, rate: float) -> float:
    """Return the chance of at least `events` in `trials` that each fail with chance `rate`."""
    if events <= 0:
        return 1.0
    if events > trials or rate <= 0:
        return 0.0
    if rate >= 1:
        return 1.0
    if events > trials * rate:
        return min(1.0, _sum_up(_binomial_up(events, trials, rate)))
    return max(0.0, 1.0 - _sum_up(_binomial_down(events - 1, trials, rate)))


def evidence_above(events: int, trials: int, rate: float) -> float:
    """Return the evidence that trials fail with a chance above `rate`, as a factor of belief.

    All chances from `rate` to 1 are weighed beside `rate` itself, each magnitude like the next.
    Looked at after each trial, it ever exceeds 1/a with a chance of at most a where the true chance
    is no higher (Ville's inequality), so it may be looked at as often as one likes.
    """
    _require(events, trials)
    if rate >= 1 or not events:
        return 0.0
    if rate <= 0:
        return math.inf
    # The part above `rate` of the area under all chances is a binomial's lower tail.
    if events > trials * rate:
        above = 1.0 - binomial_tail(events, trials, rate)
    else:
        above = _sum_up(_binomial_down(events - 1, trials, rate))
    logarithm = (
        math.log(max(above, 1e-300))
        - math.log(events)
        - _log_binomial(events, trials, rate)
        - math.log(-math.log(rate))
    )
    return math.exp(min(logarithm, 700.0))


def _require(events: int, trials: int) -> None:
    if not 0 <= events <= trials:
        message = f"{events} events of {trials} trials are no counts"
        raise ValueError(message)


def _upper_tail(events: int, both: int, trials: int, base_trials: int) -> float:
    """Return P(X ≥ events) for X hypergeometric: `both` events fall on trials + base_trials."""
    low, high = max(0, both - base_trials), min(both, trials)
    if events <= low:
        return 1.0
    total = trials + base_trials
    mean = both * trials / total
    deviation = math.sqrt(mean * (base_trials / total) * ((total - both) / max(total - 1, 1)))
    if deviation > _ADDABLE:
        # In whole numbers: as floats, counts of this size would lose the difference.
        above = (2 * events - 1) * total - 2 * both * trials
        return _normal_tail(above / (2 * total) / deviation)
    if events > mean:
        return min(1.0, _sum_up(_hyper_up(events, high, both, trials, base_trials)))
    return max(0.0, 1.0 - _sum_up(_hyper_down(events - 1, low, both, trials, base_trials)))


def _hyper_up(first: int, last: int, both: int, trials: int, base: int) -> Iterator[float]:
    chance = math.exp(_log_hyper(first, both, trials, base))
    for count in range(first, last + 1):
        yield chance
        chance *= (both - count) / (count + 1) * (trials - count) / (base - both + count + 1)


def _hyper_down(first: int, last: int, both: int, trials: int, base: int) -> Iterator[float]:
    chance = math.exp(_log_hyper(first, both, trials, base))
    for count in range(first, last - 1, -1):
        yield chance
        if count > last:
            chance *= count / (both - count + 1) * (base - both + count) / (trials - count + 1)


def _binomial_up(first: int, trials: int, rate: float) -> Iterator[float]:
    chance = math.exp(_log_binomial(first, trials, rate))
    odds = rate / (1 - rate)
    for count in range(first, trials + 1):
        yield chance
        chance *= (trials - count) / (count + 1) * odds


def _binomial_down(first: int, trials: int, rate: float) -> Iterator[float]:
    chance = math.exp(_log_binomial(first, trials, rate))
    odds = (1 - rate) / rate
    for count in range(first, -1, -1):
        yield chance
        chance *= count / (trials - count + 1) * odds


def _sum_up(chances: Iterator[float]) -> float:
    """Add falling terms until they no longer matter."""
    total = 0.0
    for chance in chances:
        total += chance
        # Terms too small for a float are no sum either.
        if chance <= total * 1e-17:
            break
    return total


def _doubled_ranks(values: Sequence[float], base: Sequence[float]) -> tuple[list[int], int]:
    """Return twice the mid-rank of every value (`values` first), and the sum of t³ − t of ties."""
    ordered = sorted([*values, *base])
    ranks = [bisect_left(ordered, v) + bisect_right(ordered, v) + 1 for v in [*values, *base]]
    ties, position = 0, 0
    while position < len(ordered):
        end = bisect_right(ordered, ordered[position], lo=position)
        same = end - position
        ties += same**3 - same
        position = end
    return ranks, ties


def _arrangements_above(ranks: Sequence[int], chosen: int, observed: int) -> float:
    """Return the share of choices of `chosen` ranks whose sum is at least `observed`."""
    ways: list[dict[int, int]] = [{} for _ in range(chosen + 1)]
    ways[0][0] = 1
    for rank in ranks:
        for size in range(chosen, 0, -1):
            into = ways[size]
            for total, count in ways[size - 1].items():
                into[total + rank] = into.get(total + rank, 0) + count
    above = sum(count for total, count in ways[chosen].items() if total >= observed)
    return above / math.comb(len(ranks), chosen)


def _normal_tail(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2))


def _log_hyper(count: int, both: int, trials: int, base: int) -> float:
    """By three binomials of the same rate: differences of large logarithms would cancel."""
    rate = both / (trials + base)
    return (
        _log_binomial(count, trials, rate)
        + _log_binomial(both - count, base, rate)
        - _log_binomial(both, trials + base, rate)
    )


def _log_binomial(count: int, trials: int, rate: float) -> float:
    """Return the logarithm of a binomial chance, for 0 < rate < 1 (or where it is certain).

    Loader's saddle point: Stirling's errors and deviances are small where factorials are huge.
    """
    rest = trials - count
    if count == 0:
        return trials * math.log1p(-rate) if rate < 1 else (0.0 if not trials else -math.inf)
    if rest == 0:
        return trials * math.log(rate) if rate > 0 else -math.inf
    return (
        _stirling_error(trials)
        - _stirling_error(count)
        - _stirling_error(rest)
        - _deviance(count, trials * rate)
        - _deviance(rest, trials * (1 - rate))
        + 0.5 * math.log(trials / (2 * math.pi * count) / rest)
    )


def _stirling_error(number: int) -> float:
    """Return log n! minus Stirling's approximation of it."""
    if number < 16:
        return math.lgamma(number + 1) - (
            (number + 0.5) * math.log(number) - number + 0.5 * math.log(2 * math.pi)
        )
    square = float(number) * number
    return (1 / 12 - (1 / 360 - (1 / 1260 - 1 / 1680 / square) / square) / square) / number


def _deviance(count: float, mean: float) -> float:
    """Return count × log(count / mean) + mean - count, without loss where the two are close."""
    gap = count - mean
    if abs(gap) < 0.1 * (count + mean):
        part = gap / (count + mean)
        total, power, term = gap * part, 2 * count * part, 1
        while True:
            power *= part * part
            term += 2
            further = total + power / term
            if further == total:
                return total
            total = further
    return count * math.log(count / mean) + mean - count
