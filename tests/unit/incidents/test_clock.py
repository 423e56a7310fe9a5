"""The two clocks: where they warn, run out, and stop."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from include.incidents.clock import Clock

START = datetime(2026, 11, 28, 7, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def at(minutes: float, *, stopped: float | None = None) -> str:
    clock = Clock(
        name="response",
        start=START,
        due=START + timedelta(minutes=20),
        stopped=None if stopped is None else START + timedelta(minutes=stopped),
    )
    return clock.state(START + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("minutes", "state"),
    [(0, "runs"), (14.99, "runs"), (15, "warned"), (19.99, "warned"), (20, "breached")],
)
def test_a_running_clock(minutes: float, state: str) -> None:
    assert at(minutes) == state


@pytest.mark.parametrize(("stopped", "state"), [(3, "met"), (20, "met"), (20.1, "breached")])
def test_a_stopped_clock_stays_as_it_was(stopped: float, state: str) -> None:
    assert at(500, stopped=stopped) == state
