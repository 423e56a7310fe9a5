"""The judge: what it lets pass, what it stops, and when it says that it cannot tell."""

from __future__ import annotations

import math
import random

import pytest

from include.deploy.detectable import detectable
from include.deploy.judge import Look, Rules, Sample, check_ceilings, judge, planned_looks

RULES = Rules(max_error_rate=0.01, max_p95=2.0)
# Where nothing is timed.
COUNTS = Rules(max_error_rate=0.01)


def sample(requests: int, errors: int = 0, seconds: tuple[float, ...] = ()) -> Sample:
    return Sample(requests=requests, errors=errors, seconds=seconds)


def answers(chance: random.Random, number: int, factor: float = 1.0) -> tuple[float, ...]:
    return tuple(0.05 * factor * chance.lognormvariate(0, 0.3) for _ in range(number))


def test_rare_errors_beside_a_clean_version_are_found_below_the_ceiling() -> None:
    """15 of 6,000 is a quarter of the ceiling, and its neighbour had none."""
    found = judge(sample(6000, 15), sample(6000, 0), RULES)
    assert (found.verdict, found.reason) == ("no_go", "more_errors")


def test_a_twentieth_of_the_traffic_needs_few_errors_beside_a_clean_rest() -> None:
    assert judge(sample(1500, 4), sample(28_500, 0), RULES).verdict == "no_go"


def test_as_many_errors_as_its_neighbour_are_no_news() -> None:
    assert judge(sample(6000, 15), sample(6000, 15), COUNTS).verdict == "go"


def test_a_suspicion_is_neither_a_pass_nor_a_no() -> None:
    found = judge(sample(3000, 7), sample(3000, 0), RULES)
    assert (found.verdict, found.reason) == ("inconclusive", "suspicious")


def test_a_suspicion_in_mid_way_lets_it_go_on() -> None:
    look = Look(number=1, planned=4)
    assert judge(sample(3000, 6), sample(3000, 0), RULES, look).verdict == "go"


def test_the_ceiling_holds_whatever_the_neighbour_does() -> None:
    found = judge(sample(1000, 30), sample(1000, 40), RULES)
    assert (found.verdict, found.reason) == ("no_go", "error_rate")


def test_one_error_among_the_first_is_no_rate() -> None:
    assert judge(sample(12, 1), sample(12, 0), COUNTS).verdict == "go"


@pytest.mark.parametrize("base", [None, sample(1000)])
def test_too_few_requests_are_inconclusive(base: Sample | None) -> None:
    found = judge(sample(9), base, RULES)
    assert (found.verdict, found.reason) == ("inconclusive", "too_few")


def test_a_neighbour_without_traffic_is_nothing_to_compare_with() -> None:
    assert judge(sample(1000), sample(3), RULES).reason == "too_few"


QUICK = (0.1,) * 100


@pytest.mark.parametrize(
    ("new", "base"),
    [
        (sample(100, seconds=(9.0,) * 5), sample(100, seconds=QUICK)),
        (sample(100), sample(100, seconds=QUICK)),
        (sample(100, seconds=QUICK), sample(100, seconds=QUICK[:9])),
        (sample(100), None),
    ],
)
def test_a_ceiling_that_too_few_answers_were_held_against_is_not_kept(
    new: Sample, base: Sample | None
) -> None:
    found = judge(new, base, RULES)
    assert (found.verdict, found.reason) == ("inconclusive", "too_few")
    assert "timed answers" in found.message
    # On the way there it stands against nothing, and where nothing is asked, never.
    assert judge(new, base, RULES, Look(number=1, planned=2)).verdict == "go"
    assert judge(new, base, COUNTS).verdict == "go"


def test_proven_errors_are_a_no_without_any_timed_answer() -> None:
    assert judge(sample(6000, 15), sample(6000), RULES).reason == "more_errors"


def test_slow_answers_are_found_by_their_middle_and_by_their_end() -> None:
    chance = random.Random(3)
    base = answers(chance, 200)
    slower = judge(sample(200, seconds=answers(chance, 200, 1.3)), sample(200, seconds=base), RULES)
    assert (slower.verdict, slower.reason) == ("no_go", "slower")
    tail = tuple(value * (8 if number % 6 == 0 else 1) for number, value in enumerate(base))
    late = judge(sample(200, seconds=tail), sample(200, seconds=base), RULES)
    assert (late.verdict, late.reason) == ("no_go", "slower")
    assert "p95" in late.message


def test_what_is_slower_by_less_than_it_matters_passes() -> None:
    chance = random.Random(4)
    base = answers(chance, 4000)
    new = tuple(value * 1.05 for value in base)
    assert judge(sample(4000, seconds=new), sample(4000, seconds=base), RULES).verdict == "go"


@pytest.mark.parametrize("looks", [1, 2, 3, 4])
def test_false_alarms_stay_below_the_promise_however_often_it_looks(looks: int) -> None:
    rules = Rules(max_error_rate=0.5, false_alarm=0.1, tolerance=0.0)
    chance = random.Random(11)
    alarms, cases = 0, 400
    for _ in range(cases):
        new, base = answers(chance, 160), answers(chance, 160)
        bad = [[chance.random() < 0.03 for _ in range(160)] for _ in range(2)]
        for number in range(1, looks + 1):
            part = 160 * number // looks
            found = judge(
                sample(part, sum(bad[0][:part]), new[:part]),
                sample(part, sum(bad[1][:part]), base[:part]),
                rules,
                Look(number=number, planned=looks),
            )
            if found.verdict == "no_go":
                alarms += 1
                break
    # Three standard deviations above the promise.
    assert alarms / cases < 0.1 + 3 * (0.1 * 0.9 / cases) ** 0.5


@pytest.mark.parametrize("planned", [1, 2, 3, 4])
def test_all_looks_together_spend_what_there_is(planned: int) -> None:
    shares = [Look(number=number, planned=planned).share for number in range(1, planned + 2)]
    assert sum(shares) == pytest.approx(1)


def test_looks_are_planned_by_what_will_be_seen() -> None:
    assert [planned_looks(expected) for expected in (0, 20, 45, 60, 10_000)] == [1, 1, 2, 3, 4]


@pytest.mark.parametrize("base_rate", [0.0, 0.002])
def test_what_it_says_it_detects_it_detects_that_often(base_rate: float) -> None:
    said = detectable(
        RULES, requests=2000, base_requests=8000, base_rate=base_rate, share=Look().share
    )
    assert said.error_points is not None
    chance = random.Random(5)
    rate = base_rate + said.error_points
    found = 0
    for _ in range(300):
        new = sum(chance.random() < rate for _ in range(2000))
        base = round(base_rate * 8000)
        found += judge(sample(2000, new), sample(8000, base), RULES).verdict == "no_go"
    assert found / 300 > 0.84


def test_without_traffic_it_says_that_it_sees_nothing() -> None:
    said = detectable(RULES, requests=3, base_requests=0)
    assert said.error_points is None
    assert "no rise of the error rate" in said.sentence()


@pytest.mark.parametrize("strange", [(math.nan,) * 50, (0.1,) * 49 + (math.nan,)])
def test_answers_that_took_no_number_of_seconds_are_no_pass(strange: tuple[float, ...]) -> None:
    known = sample(100, seconds=(0.1,) * 50)
    for new, base in ((sample(100, seconds=strange), known), (known, sample(100, seconds=strange))):
        found = judge(new, base, RULES)
        assert (found.verdict, found.reason) == ("inconclusive", "no_figures")


@pytest.mark.parametrize(("requests", "errors"), [(10, 11), (10, -1), (-1, 0), (math.nan, 0)])
def test_counts_that_count_nothing_are_misuse(requests: int, errors: int) -> None:
    with pytest.raises(ValueError, match="no counts"):
        Sample(requests=requests, errors=errors)


@pytest.mark.parametrize(("number", "planned"), [(0, 1), (3, 1), (1, 5)])
def test_a_look_that_nobody_plans_is_misuse(number: int, planned: int) -> None:
    with pytest.raises(ValueError, match="planned"):
        Look(number=number, planned=planned)


def test_nothing_measured_is_no_pass_whatever_is_configured() -> None:
    rules = Rules(max_error_rate=1, minimum=0)
    assert judge(sample(0), sample(0), rules).verdict == "inconclusive"
    assert judge(sample(5), sample(0), rules).verdict == "inconclusive"


def test_identical_answers_are_no_evidence_and_a_shift_of_all_is() -> None:
    same = sample(50, seconds=(0.1,) * 50)
    assert judge(same, same, RULES).verdict == "go"
    assert judge(sample(50, seconds=(0.2,) * 50), same, RULES).reason == "slower"


def test_a_version_within_its_ceilings_is_not_stopped_by_its_first_answers() -> None:
    """Asked after every answer; the first two errors of 0.5 % are above 1 % wherever they come."""
    chance = random.Random(17)
    rules = Rules(max_error_rate=0.01, max_p95=1.0)
    stopped, cases = 0, 300
    for _ in range(cases):
        errors, seconds = 0, []
        for number in range(1, 301):
            errors += chance.random() < 0.005
            seconds.append(2.0 if chance.random() < 0.04 else 0.1)
            if check_ceilings(sample(number, errors, tuple(seconds)), rules) is not None:
                stopped += 1
                break
    # 0.4 % by each of two ceilings are promised, and three standard deviations of so many cases.
    assert stopped / cases < 0.008 + 3 * (0.008 / cases) ** 0.5


@pytest.mark.parametrize(("requests", "errors"), [(2, 2), (25, 5), (100, 9)])
def test_a_disaster_breaks_the_ceiling_at_once(requests: int, errors: int) -> None:
    found = check_ceilings(sample(requests, errors), RULES)
    assert found is not None
    assert (found.verdict, found.reason) == ("no_go", "error_rate")


def test_slow_answers_break_their_ceiling_before_the_end() -> None:
    found = check_ceilings(sample(10, seconds=(3.0,) * 10), RULES)
    assert found is not None
    assert found.reason == "latency"
    assert check_ceilings(sample(10, seconds=(*(0.1,) * 9, 3.0)), RULES) is None


def test_at_the_end_a_ceiling_is_broken_by_what_was_measured() -> None:
    almost = sample(100, 2)
    assert check_ceilings(almost, RULES) is None
    assert check_ceilings(almost, RULES, last=True) is not None
    assert judge(almost, sample(100, 2), RULES).reason == "error_rate"
    assert judge(almost, sample(100, 2), RULES, Look(number=1, planned=2)).verdict == "go"
