"""The tests of counts and ranks against the same in exact fractions, counted out."""

from __future__ import annotations

import itertools
import math
import random
import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.deploy.exact import binomial_tail, evidence_above, fisher, rank_test

SIZES = st.integers(1, 60)


def exactly(events: int, trials: int, base_events: int, base_trials: int) -> Fraction:
    both = events + base_events
    ways = math.comb(trials + base_trials, both)
    above = sum(
        math.comb(trials, count) * math.comb(base_trials, both - count)
        for count in range(events, min(both, trials) + 1)
    )
    return Fraction(above, ways)


@given(SIZES, SIZES, st.data())
def test_fisher_is_what_counting_out_gives(trials: int, base: int, data: st.DataObject) -> None:
    events, base_events = data.draw(st.integers(0, trials)), data.draw(st.integers(0, base))
    wanted = float(exactly(events, trials, base_events, base))
    assert fisher(events, trials, base_events, base) == pytest.approx(wanted, rel=1e-9, abs=1e-15)


def test_fisher_holds_for_a_night_s_traffic() -> None:
    for events in (40, 55, 80, 140):
        wanted = float(exactly(events, 5_000, 900, 95_000))
        assert fisher(events, 5_000, 900, 95_000) == pytest.approx(wanted, rel=1e-7)
    assert fisher(10**6 // 2, 10**6, 10**6 // 2, 10**6) == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(
    ("events", "trials", "base_events", "least", "most"),
    [
        (10**14, 10**15, 10**14, 0.4999, 0.5001),
        (10**14 + 10**8, 10**15, 10**14, 1e-14, 1e-12),
        (5 * 10**8, 10**9, 25 * 10**7, 0.0, 1e-300),
        (10, 10**18, 0, 2.0**-10 * 0.999, 2.0**-10 * 1.001),
        (10**12, 10**12, 10**12, 1.0, 1.0),
    ],
)
def test_huge_counts_are_told_apart_at_once(
    events: int, trials: int, base_events: int, least: float, most: float
) -> None:
    begin = time.process_time()
    assert least <= fisher(events, trials, base_events, trials) <= most
    assert time.process_time() - begin < 1


@given(st.integers(1, 60), st.data(), st.floats(0.001, 0.9))
def test_evidence_is_the_mean_of_what_every_higher_rate_would_say(
    trials: int, data: st.DataObject, rate: float
) -> None:
    events = data.draw(st.integers(1, trials))
    steps = 4000
    total = 0.0
    for number in range(steps):
        other = rate ** (1 - (number + 0.5) / steps)
        total += math.exp(
            events * math.log(other / rate) + (trials - events) * math.log((1 - other) / (1 - rate))
        )
    assert evidence_above(events, trials, rate) == pytest.approx(total / steps, rel=0.02)


def test_evidence_seldom_ever_speaks_against_what_is_within_its_rate() -> None:
    chance = random.Random(3)
    spoke = 0
    for _ in range(400):
        events = 0
        for number in range(1, 201):
            events += chance.random() < 0.05
            if evidence_above(events, number, 0.05) >= 10:
                spoke += 1
                break
    assert spoke / 400 < 0.1 + 3 * (0.1 * 0.9 / 400) ** 0.5


def test_evidence_about_what_may_never_happen_is_beyond_doubt() -> None:
    assert evidence_above(1, 10, 0.0) == math.inf
    assert evidence_above(0, 10, 0.0) == 0.0
    assert evidence_above(10, 10, 1.0) == 0.0


def test_fisher_says_nothing_without_trials() -> None:
    assert fisher(0, 0, 3, 10) == 1.0
    assert fisher(3, 10, 0, 0) == 1.0


@pytest.mark.parametrize("counts", [(3, 2, 0, 5), (-1, 2, 0, 5), (0, 5, 6, 5)])
def test_more_events_than_trials_are_misuse(counts: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="no counts"):
        fisher(*counts)


@given(st.integers(1, 40), st.integers(0, 41), st.floats(0.01, 0.99))
def test_binomial_tails_are_what_adding_up_gives(trials: int, events: int, rate: float) -> None:
    wanted = sum(
        math.comb(trials, count) * rate**count * (1 - rate) ** (trials - count)
        for count in range(events, trials + 1)
    )
    assert binomial_tail(events, trials, rate) == pytest.approx(wanted, rel=1e-9, abs=1e-12)


VALUES = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=5)


@given(VALUES, VALUES)
def test_ranks_of_small_samples_are_counted_out_also_with_ties(
    values: list[float], base: list[float]
) -> None:
    def wins(chosen: tuple[float, ...], others: list[float]) -> Fraction:
        return sum(
            (Fraction((a > b) * 2 + (a == b), 2) for a in chosen for b in others), Fraction(0)
        )

    together = [*values, *base]
    observed = wins(tuple(values), base)
    places = range(len(together))
    found = [
        wins(
            tuple(together[place] for place in choice),
            [together[place] for place in places if place not in choice],
        )
        >= observed
        for choice in itertools.combinations(places, len(values))
    ]
    assert rank_test(values, base) == pytest.approx(sum(found) / len(found))


def test_ranks_of_large_samples_keep_their_promise() -> None:
    """Under no difference a p-value below 5 % comes in 5 % of all cases."""
    chance = random.Random(7)
    below = 0
    for _ in range(2000):
        values = [chance.lognormvariate(0, 0.3) for _ in range(60)]
        base = [chance.lognormvariate(0, 0.3) for _ in range(50)]
        below += rank_test(values, base) <= 0.05
    assert 0.035 < below / 2000 < 0.065


def test_all_the_same_is_no_evidence() -> None:
    assert rank_test([1.0] * 50, [1.0] * 50) == 1.0
    assert rank_test([], [1.0]) == 1.0
