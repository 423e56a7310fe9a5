"""Another Dag that a change runs: started once, followed to its end, never longer than it may."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import (
    DagRunStateResult,
    ErrorResponse,
    GetDagRunState,
    OKResponse,
    TriggerDagRun,
)

from release_control import runs
from release_control.runs import AirflowDags

START = datetime(2026, 11, 28, 7, tzinfo=UTC)


class Supervisor:
    """What a task's supervisor answers: runs by id, and the states that they go through."""

    def __init__(self, *states: str) -> None:
        self.states = list(states)
        self.started: list[tuple[str, str, Any]] = []
        self.refuses = False

    def send(self, message: Any) -> Any:
        if isinstance(message, GetDagRunState):
            state = self.states[0] if len(self.states) == 1 else self.states.pop(0)
            return DagRunStateResult(state=state)
        assert isinstance(message, TriggerDagRun)
        if self.refuses:
            return ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 404})
        if (message.dag_id, message.run_id, message.conf) in self.started:
            return ErrorResponse(error=ErrorType.DAGRUN_ALREADY_EXISTS)
        self.started.append((message.dag_id, str(message.run_id), message.conf))
        return OKResponse(ok=True)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    found = SimpleNamespace(now=START)

    def sleep(seconds: float) -> None:
        found.now += timedelta(seconds=seconds)

    monkeypatch.setattr(runs, "now", lambda: found.now)
    monkeypatch.setattr(runs, "time", SimpleNamespace(sleep=sleep))
    return found


def ran(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> str | None:
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    return AirflowDags().run(
        "rebuild_search", "CHG-000001-7", {"shards": 4}, until=START + timedelta(minutes=1)
    )


@pytest.mark.parametrize(
    ("states", "said"),
    [
        (("queued", "running", "success"), None),
        (("running", "failed"), "has failed"),
        (("running",), "is still running, and the permit has ended"),
    ],
)
def test_it_is_followed_to_its_end(
    clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, states: tuple[str, ...], said: str
) -> None:
    supervisor = Supervisor(*states)
    problem = ran(supervisor, monkeypatch)
    assert problem is None if said is None else said in str(problem)
    assert supervisor.started == [("rebuild_search", "CHG-000001-7", {"shards": 4})]
    assert clock.now <= START + timedelta(minutes=1)


def test_a_run_that_is_there_is_met_again(
    clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = Supervisor("success")
    assert ran(supervisor, monkeypatch) is None
    assert ran(supervisor, monkeypatch) is None
    assert len(supervisor.started) == 1


def test_a_dag_that_is_not_there_is_told(
    clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = Supervisor("running")
    supervisor.refuses = True
    assert "cannot be started" in str(ran(supervisor, monkeypatch))
