"""A task's process that has closed its sockets keeps its slot no longer than it lives."""

from __future__ import annotations

import os
import time
from uuid import uuid4

import httpx
import pytest
import structlog
from airflow.executors.workloads.base import BundleInfo
from airflow.executors.workloads.task import TaskInstanceDTO
from airflow.sdk.api.client import Client
from airflow.sdk.execution_time import supervisor

from release_control.prompt_subprocess import supervise_promptly

# Airflow's own supervisor would look again after its whole interval.
LIVES_ON = 0.3


AT = "2026-11-28T07:00:00Z"
RUN = {
    "dag_id": "release_train", "run_id": "run-1", "logical_date": None, "run_after": AT,
    "start_date": AT, "end_date": None, "data_interval_start": None, "data_interval_end": None,
    "run_type": "manual", "state": "running", "partition_key": None, "consumed_asset_events": [],
}  # fmt: skip


def execution_api(request: httpx.Request) -> httpx.Response:
    """Let every task begin, and hear how it ended."""
    return httpx.Response(200, json={"dag_run": RUN, "max_tries": 0, "should_retry": False})


def silent_end() -> None:
    """End as a process does, in slow motion: what it had open is closed, and it is still there."""
    os.closerange(0, 1024)
    time.sleep(LIVES_ON)


def test_the_end_of_a_process_is_seen_when_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "ActivitySubprocess", supervisor.ActivitySubprocess)
    supervise_promptly()
    begun = time.monotonic()
    process = supervisor.ActivitySubprocess.start(
        what=TaskInstanceDTO(
            id=uuid4(), task_id="approve_uat", dag_id="release_train", run_id="run-1",
            try_number=1, pool_slots=1, priority_weight=1, dag_version_id=uuid4(),
        ),
        dag_rel_path="release_train.py",
        bundle_info=BundleInfo(name="dags"),
        client=Client(
            base_url="http://airflow", token="", transport=httpx.MockTransport(execution_api)
        ),
        target=silent_end,
        logger=structlog.get_logger(),
    )  # fmt: skip
    assert process.wait() == 0
    assert LIVES_ON <= time.monotonic() - begun < supervisor.MIN_HEARTBEAT_INTERVAL
