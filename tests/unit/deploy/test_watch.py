"""Watching a version under traffic, with real answers over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from include.deploy.target import Colour
from include.deploy.watch import Bystander, Watched, watch
from include.services.environment import Watch
from tests.unit.deploy.hand_target import HandTarget, says

BLUE, GREEN = Colour.BLUE, Colour.GREEN
PATHS = ("/appointments", "/patients/1")


def rules(**changed: object) -> Watch:
    given: dict[str, Any] = {"duration": "6s", "interval": "1s", "max_error_rate": 0.01}
    return Watch.model_validate({**given, "max_p95": "2s", **changed})


@pytest.fixture
def target() -> Iterator[HandTarget]:
    with HandTarget().open() as opened:
        opened.shares = {BLUE: 0, GREEN: 100}
        yield opened


def look(target: HandTarget, *, seconds: float = 0.05, by: Watch | None = None) -> Watched:
    return watch(
        target, GREEN, PATHS, by or rules(), duration=timedelta(seconds=seconds), pause=_briefly
    )


def _briefly(seconds: float) -> None:
    time.sleep(min(seconds, 0.01))


def test_good_answers_are_a_go_with_figures(target: HandTarget) -> None:
    seen = look(target)
    assert (seen.verdict, seen.reason, seen.errors) == ("go", "no_worse", 0)
    assert seen.requests >= 10
    assert seen.p95_seconds is not None
    assert 0 < seen.p95_seconds < 1


def test_errors_above_the_rate_end_the_watch_at_once(target: HandTarget) -> None:
    target.slots[GREEN].reply = says(500)
    begun = time.monotonic()
    seen = look(target, seconds=60)
    assert (seen.verdict, seen.reason) == ("no_go", "error_rate")
    assert time.monotonic() - begun < 10


def test_errors_that_people_met_count_though_our_own_requests_went_well(
    target: HandTarget,
) -> None:
    def fails_for_people(handler: BaseHTTPRequestHandler) -> None:
        target.people(GREEN, requests=10, errors=1)
        says()(handler)

    target.slots[GREEN].reply = fails_for_people
    seen = look(target)
    assert (seen.verdict, seen.reason) == ("no_go", "error_rate")


def test_what_was_counted_before_the_watch_began_does_not_count(target: HandTarget) -> None:
    target.people(GREEN, requests=1000, errors=1000)
    assert look(target).verdict == "go"


def test_a_load_balancer_that_starts_anew_meanwhile_is_no_error(target: HandTarget) -> None:
    target.people(GREEN, requests=1000, errors=500)

    def forgets(handler: BaseHTTPRequestHandler) -> None:
        target.slots[GREEN].requests = target.slots[GREEN].errors = 0
        says()(handler)

    target.slots[GREEN].reply = forgets
    seen = look(target)
    assert (seen.verdict, seen.errors) == ("go", 0)


def test_refusals_of_bad_requests_are_no_errors(target: HandTarget) -> None:
    target.slots[GREEN].reply = says(404)
    assert look(target).verdict == "go"


def test_no_answer_is_an_error_and_never_silence(target: HandTarget) -> None:
    target.front = "http://127.0.0.1:1"
    seen = look(target)
    assert (seen.verdict, seen.reason) == ("no_go", "error_rate")
    assert seen.errors >= 10


def test_a_slow_version_is_a_no(target: HandTarget) -> None:
    def slow(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.02)
        says()(handler)

    target.slots[GREEN].reply = slow
    seen = look(target, by=rules(max_p95=timedelta(milliseconds=5)))
    assert (seen.verdict, seen.reason) == ("no_go", "latency")


def test_without_a_latency_ceiling_slowness_is_only_told(target: HandTarget) -> None:
    assert look(target, by=rules(max_p95=None)).verdict == "go"


def test_a_version_that_is_no_longer_ready_is_a_no(target: HandTarget) -> None:
    target.slots[GREEN].ready = False
    seen = look(target, seconds=60)
    assert (seen.verdict, seen.reason) == ("no_go", "not_ready")
    assert "/readyz answers 503" in seen.message


def test_no_paths_to_ask_is_inconclusive_and_no_pass(target: HandTarget) -> None:
    seen = watch(target, GREEN, (), rules(), duration=timedelta(0))
    assert (seen.verdict, seen.reason) == ("inconclusive", "too_few")


def test_a_ceiling_that_nothing_was_timed_for_is_held_and_no_pass(target: HandTarget) -> None:
    """5,500 requests of people that went well, and not one of our own."""
    heard: list[str] = []

    def people(seconds: float) -> None:
        target.people(GREEN, requests=5500)
        target.people(BLUE, requests=5500)
        _briefly(seconds)

    def watched(by: Watch) -> Watched:
        return watch(
            target,
            GREEN,
            (),
            by,
            duration=timedelta(seconds=0.02),
            bystander=Bystander(held=lambda reason, message: heard.append(message)),
            pause=people,
        )

    seen = watched(rules(max_p95=timedelta(milliseconds=50), hold=timedelta(seconds=0.1)))
    assert (seen.verdict, seen.reason) == ("inconclusive", "too_few")
    assert len(heard) == 1
    assert "0 timed answers are too few" in heard[0]
    assert watched(rules(max_p95=None)).verdict == "go"


def test_a_hold_for_timed_answers_ends_with_them_and_compares_once_more(
    target: HandTarget,
) -> None:
    """Every tick brings five; once there are thirty, there is nothing left to wait for."""

    def people(seconds: float) -> None:
        target.people(GREEN, requests=100)
        target.people(BLUE, requests=100)
        time.sleep(0.02)

    seen = watch(
        target,
        GREEN,
        PATHS[:1],
        rules(minimum_requests=30, hold=timedelta(seconds=30)),
        duration=timedelta(seconds=0.02),
        pause=people,
    )
    assert (seen.verdict, seen.reason) == ("go", "no_worse")
    assert 0 < seen.held < 20


def test_lost_figures_are_inconclusive_and_no_pass(target: HandTarget) -> None:
    asked = []

    def then_silent(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        target.silent = len(asked) > 3
        says()(handler)

    target.slots[GREEN].reply = then_silent
    seen = look(target)
    assert (seen.verdict, seen.reason) == ("inconclusive", "no_figures")


@pytest.mark.parametrize(
    ("share", "found"), [(100, ("go", "no_worse")), (25, ("inconclusive", "no_figures"))]
)
def test_no_figures_of_the_neighbour_matter_only_while_people_are_led_there(
    target: HandTarget, share: int, found: tuple[str, str]
) -> None:
    target.shares = {BLUE: 100 - share, GREEN: share}
    # As CloudWatch does: what nobody asked for has no data at all.
    target.silent_slots.add(BLUE)
    seen = look(target)
    assert (seen.verdict, seen.reason) == found


def test_without_figures_from_the_start_it_is_held_and_left_without_a_verdict(
    target: HandTarget,
) -> None:
    target.silent = True
    heard: list[str] = []
    seen = watch(
        target,
        GREEN,
        PATHS,
        rules(hold=timedelta(seconds=0.2)),
        duration=timedelta(seconds=0.02),
        bystander=Bystander(held=lambda reason, message: heard.append(reason)),
        pause=_briefly,
    )
    assert (seen.verdict, seen.reason) == ("inconclusive", "no_figures")
    assert heard == ["no_figures"]
    assert seen.held > 0.1


def test_failed_connections_are_errors(target: HandTarget) -> None:
    def refused(handler: BaseHTTPRequestHandler) -> None:
        target.slots[GREEN].refused += 1
        target.people(GREEN, requests=1)
        says()(handler)

    target.slots[GREEN].reply = refused
    seen = look(target)
    assert (seen.verdict, seen.reason) == ("no_go", "error_rate")


def test_a_version_far_slower_than_its_neighbour_is_a_no_below_any_ceiling(
    target: HandTarget,
) -> None:
    def slow(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.01)
        says()(handler)

    target.slots[GREEN].reply = slow
    seen = look(target, seconds=0.5)
    assert (seen.verdict, seen.reason) == ("no_go", "slower")


def test_another_artefact_in_the_slot_ends_the_watch(target: HandTarget) -> None:
    asked = []

    def replaced(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        target.slots[GREEN].digest = f"sha256:{len(asked) // 30}"
        says()(handler)

    target.slots[GREEN].digest = "sha256:0"
    target.slots[GREEN].reply = replaced
    assert look(target, seconds=5).reason == "replaced"


def test_a_closing_window_ends_the_watch_without_a_verdict(target: HandTarget) -> None:
    seen = watch(
        target,
        GREEN,
        PATHS,
        rules(),
        duration=timedelta(seconds=60),
        bystander=Bystander(closing=lambda: "the window closes at 04:00"),
        pause=_briefly,
    )
    assert (seen.verdict, seen.reason) == ("inconclusive", "window_closing")


def test_what_it_can_find_is_said_before_it_begins(target: HandTarget) -> None:
    said: list[str] = []
    watch(
        target,
        GREEN,
        PATHS,
        rules(),
        duration=timedelta(seconds=0.02),
        bystander=Bystander(began=lambda found: said.append(found.sentence())),
        pause=_briefly,
    )
    assert len(said) == 1
    assert "error rate +" in said[0]


def test_figures_that_come_back_are_enough(target: HandTarget) -> None:
    looks = []

    def pause(seconds: float) -> None:
        looks.append(seconds)
        target.silent = len(looks) == 1
        time.sleep(0.02)

    seen = watch(target, GREEN, PATHS, rules(), duration=timedelta(seconds=0.8), pause=pause)
    assert len(looks) >= 2
    assert seen.verdict == "go"


def test_a_small_share_is_judged_by_its_own_answers_alone(target: HandTarget) -> None:
    """Nine of ten answers of a canary are wrong, and all of blue's are right."""
    target.shares = {BLUE: 95, GREEN: 5}
    answered = []

    def mostly_wrong(handler: BaseHTTPRequestHandler) -> None:
        answered.append(handler.path)
        says(200 if len(answered) % 10 == 0 else 500)(handler)

    target.slots[GREEN].reply = mostly_wrong
    seen = look(target)
    assert (seen.verdict, seen.reason) == ("no_go", "error_rate")
    assert seen.errors / seen.requests > 0.5


def test_a_small_share_is_not_blamed_for_the_version_that_has_the_rest(target: HandTarget) -> None:
    target.shares = {BLUE: 95, GREEN: 5}
    target.slots[BLUE].reply = says(500)
    assert look(target).verdict == "go"


def test_people_s_errors_count_at_a_small_share_as_well(target: HandTarget) -> None:
    target.shares = {BLUE: 95, GREEN: 5}

    def fails_for_people(handler: BaseHTTPRequestHandler) -> None:
        target.people(GREEN, requests=1, errors=1)
        says()(handler)

    target.slots[GREEN].reply = fails_for_people
    assert look(target).reason == "error_rate"
