"""Strategies as lists of steps."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from include.deploy.strategy import STRATEGIES, Shift, shifts
from include.services.environment import Share, Shares
from include.settings import load_settings

WATCH = timedelta(minutes=16)


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("profile", ["production", "rehearsal"])
def test_shares_only_grow_and_end_with_everybody(name: str, profile: str) -> None:
    steps = shifts(name, load_settings().environment(profile).shares, WATCH)
    percents = [shift.percent for shift in steps]
    assert percents == sorted(set(percents))
    assert 0 < percents[0] <= percents[-1] == 100
    assert all(shift.bake > timedelta(0) for shift in steps)


def test_blue_green_is_one_switch() -> None:
    assert shifts("blue_green", Shares(), WATCH) == (Shift(percent=100, bake=WATCH),)


def test_a_canary_begins_with_five_percent_and_is_looked_at_at_every_step() -> None:
    steps = shifts("canary", load_settings().environment("production").shares, WATCH)
    assert steps[0] == Shift(percent=5, bake=WATCH / 2)
    assert len(steps) > 2


def test_a_canary_takes_the_steps_that_its_environment_says() -> None:
    shares = Shares(canary=(Share(percent=1, of_watch=1), Share(percent=10, of_watch=0.5)))
    assert shifts("canary", shares, WATCH) == (
        Shift(percent=1, bake=WATCH),
        Shift(percent=10, bake=WATCH / 2),
        Shift(percent=100, bake=WATCH),
    )


@pytest.mark.parametrize("percents", [(), (25, 5), (5, 5), (0,), (100,), (5, 101)])
def test_shares_that_lead_nowhere_are_refused(percents: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError):
        Shares.model_validate({"canary": [{"percent": p, "of_watch": 1} for p in percents]})
