"""A private stack to measure on, with the bench's Dags beside ours, and what REST says of it."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from include.output import print_progress
from include.rehearsal.airflow_api import AirflowApi
from include.settings import ROOT, Settings
from tests.e2e.station import Station, bundles, wait_for

DAGS = ROOT / "tests" / "bench" / "dags"
BENCH_DAGS = (
    "bench_empty_chain", "bench_approvals", "bench_gates", "bench_waiting_train",
    "bench_waiting_stock",
)  # fmt: skip
POLL_SECONDS = 0.5

# Airflow's own LocalExecutor in place of ours.
STOCK_EXECUTOR = {"AIRFLOW__CORE__EXECUTOR": "LocalExecutor"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One task instance as the metadata has it; instants in seconds since the epoch.

    `start` is when its first leg began, `end` when its last one ended: waiting for a person, an
    instant or a window lies between them.
    """

    task: str
    map_index: int
    state: str
    tries: int
    start: float | None
    end: float | None


class Stand:
    """A stack that runs, and an administrator's session on it."""

    def __init__(self, station: Station) -> None:
        self.station = station
        self.api = self.session()

    def session(self) -> AirflowApi:
        """Return one more session; each thread should have its own."""
        cast = self.station.cast
        known = cast.session("admin")
        return AirflowApi(self.station.settings.ui_url, known.user, known._password)

    def get(self, path: str, api: AirflowApi | None = None) -> Any:
        """Return what Airflow has at `path` below /api/v2."""
        answer = (api or self.api).request("GET", f"/api/v2{path}")
        answer.raise_for_status()
        return answer.json()

    def start(
        self, dag: str, conf: Mapping[str, Any] | None = None, *, run_id: str | None = None
    ) -> str:
        """Start a run, by an id that Airflow makes where none is given, and return the id."""
        body: dict[str, Any] = {"logical_date": None, "conf": dict(conf or {})}
        if run_id is not None:
            body["dag_run_id"] = run_id
        answer = self.api.request("POST", f"/api/v2/dags/{dag}/dagRuns", body)
        answer.raise_for_status()
        return str(answer.json()["dag_run_id"])

    def ended(self, dag: str, run: str) -> str | None:
        """Return the run's state if it has ended."""
        state = str(self.get(f"/dags/{dag}/dagRuns/{quote(run)}")["state"])
        return state if state in ("success", "failed") else None

    def run(self, dag: str, *, seconds: float = 300) -> str:
        """Start a run, wait for its success and return its id."""
        run = self.start(dag)
        state = wait_for(lambda: self.ended(dag, run), seconds=seconds, every=POLL_SECONDS)
        if state != "success":
            raise RuntimeError(f"{dag} {run} ended {state}")
        return run

    def instances(self, dag: str, run: str) -> list[Instance]:
        """Return the task instances of a run."""
        path = f"/dags/{dag}/dagRuns/{quote(run)}/taskInstances?limit=200"
        document = self.get(path)
        if document["total_entries"] > len(document["task_instances"]):
            raise RuntimeError(f"{dag} {run} has more task instances than one page holds")
        return [
            Instance(
                task=item["task_id"],
                map_index=int(item["map_index"]),
                state=str(item["state"]),
                tries=int(item["try_number"]),
                start=_epoch(item["start_date"]),
                end=_epoch(item["end_date"]),
            )
            for item in document["task_instances"]
        ]

    def upstream(self, dag: str) -> dict[str, set[str]]:
        """Return which tasks each task of a Dag waits for."""
        tasks = self.get(f"/dags/{dag}/tasks")["tasks"]
        found: dict[str, set[str]] = {task["task_id"]: set() for task in tasks}
        for task in tasks:
            for later in task["downstream_task_ids"]:
                found[later].add(task["task_id"])
        return found


@contextmanager
def stand(
    title: str,
    overrides: Mapping[str, str] | None = None,
    *,
    prepare: Callable[[Settings], None] | None = None,
) -> Iterator[Stand]:
    """Run a stack of its own as long as the block lasts; nothing of it is left afterwards.

    `overrides` are AIRFLOW__… variables that win over the settings that we ship; `prepare` changes
    the configuration before anything is started.
    """
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as home:
        station = Station(Path(home))
        # Nothing of the caller's own Airflow settings: they would be measured instead of ours.
        station.environment = {
            key: value
            for key, value in station.environment.items()
            if not key.startswith("AIRFLOW__")
        }
        if prepare is not None:
            prepare(station.settings)
        print_progress(f"{title}: starting")
        try:
            status, _, err = station.run("up", env={**bundles(beside=DAGS), **(overrides or {})})
            if status:
                raise RuntimeError(err)
            made = Stand(station)
            wait_for(lambda: parsed(made), seconds=120)
            yield made
        finally:
            print_progress(f"{title}: stopping")
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)
            try:
                station.stop()
            finally:
                signal.signal(signal.SIGINT, before)


def stock_scheduler() -> dict[str, str]:
    """Return what puts every scheduler setting and the executor back to Airflow's defaults.

    How many tasks may run at once stays as we ship it: it follows the machine.
    """
    options = yaml.safe_load((_templates() / "config.yml").read_text())["scheduler"]["options"]
    # A server on a fixed port that other stacks of this machine may hold; it decides nothing.
    options.pop("enable_health_check")
    return STOCK_EXECUTOR | {
        f"AIRFLOW__SCHEDULER__{name.upper()}": option["default"]
        for name, option in options.items()
        if option["default"] is not None and "{" not in option["default"]
    }


def load() -> float:
    """Return the machine's load average of the last minute."""
    return os.getloadavg()[0]


def parsed(made: Stand) -> bool:
    """Tell whether Airflow knows the bench's Dags and ours."""
    document = made.get("/dags?limit=100&exclude_stale=true")
    found = {dag["dag_id"] for dag in document["dags"]}
    ours = {"release_train", "change_window", "change_implementation"}
    return {*ours, *BENCH_DAGS} <= found


def _epoch(text: str | None) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None


def _templates() -> Path:
    spec = find_spec("airflow")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("Airflow is not installed here")
    return Path(spec.submodule_search_locations[0]) / "config_templates"
