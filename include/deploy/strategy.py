"""Strategies: in which shares, and with how long a look after each, traffic reaches a new version.

A strategy is a list of steps and nothing else, so it can be shown before it begins, resumed at any
step, and judged the same way whatever the target (plan §4.3). The shares of a canary and of a
rolling deploy are the environment's to say (`shares` in config/environments).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from include.services.environment import Shares

STRATEGIES = ("blue_green", "canary", "rolling")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """Give the new version `percent` of the traffic, then look at it for `bake`."""

    percent: int
    bake: timedelta


def shifts(strategy: str, shares: Shares, watch: timedelta) -> tuple[Shift, ...]:
    """Return the shifts of a strategy, the last of which gives the new version everything.

    `watch` is how long a version is watched at full traffic. Raises KeyError for no strategy.
    """
    parts = {"blue_green": (), "canary": shares.canary, "rolling": shares.rolling}[strategy]
    steps = [Shift(percent=share.percent, bake=watch * share.of_watch) for share in parts]
    return (*steps, Shift(percent=100, bake=watch))
