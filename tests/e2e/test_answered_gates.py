"""An answer that comes at once is not lost, however quick the scheduler is.

A human task runs in two legs. With the settings that we ship (`scheduler_idle_sleep_time` 0.1) and
Airflow's own LocalExecutor, an answer within moments of the parking makes the scheduler take the
end of the first leg for the end of the second, and fail the task: measured on two cores, 41 and 38
of 60 gates (`python -m tests.bench gates` measures it anew). Our executor keeps the legs apart.
"""

from __future__ import annotations

import pytest

from tests.bench.gates import choice, run_gates
from tests.bench.stand import Stand, parsed
from tests.e2e.station import Station, wait_for

pytestmark = pytest.mark.timeout(400)

SINGLE = {(f"gate_{number:02}", -1) for number in range(20)}
MAPPED = {("mapped_gate", number) for number in range(40)}


@pytest.fixture
def running(second_station: Station) -> Stand:
    """Return the second station as the bench sees it."""
    made = Stand(second_station)
    wait_for(lambda: parsed(made), seconds=120)
    return made


def test_sixty_gates_answered_the_moment_they_park_keep_their_answers(running: Stand) -> None:
    went = run_gates(running)
    gates = SINGLE | MAPPED
    assert set(went.accepted) == gates
    assert went.states == dict.fromkeys(gates, "success")
    assert went.kept == {gate: choice(gate) for gate in gates}
    # Begun once to ask and once to go on: nobody was asked again, no answer was acted on twice.
    assert went.starts == dict.fromkeys(gates, 2)
    assert went.twice == ()
