"""Real rehearsal trains of the sample service, and what they leave behind to be measured."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from include.output import print_progress
from include.rehearsal.airflow_api import DAG
from include.rehearsal.rehearsal import Rehearsed
from include.rehearsal.sample import next_version
from include.rehearsal.work import add_work
from tests.bench.stand import Instance, Stand
from tests.e2e.station import conf

# One person decides, one task follows; votes of the CAB are several at a time.
CHECKPOINTS = {"staging.approve_uat", "window.decide_go_no_go"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """One train: its task instances, the ledger's steps, and when each checkpoint was answered."""

    instances: tuple[Instance, ...]
    steps: tuple[Mapping[str, Any], ...]
    answered: Mapping[str, float]


def travel(stand: Stand) -> Journey:
    """Run one train from freeze to production; raise RuntimeError if it does not get there.

    Checkpoints are answered one to two and a half seconds after they began to wait, at random, so
    that no answer keeps time with the scheduler.
    """
    station = stand.station
    path = station.settings.path(station.settings.service("hims-api").repository.path)
    if stand.get(f"/dags/{DAG}/dagRuns?limit=1")["total_entries"]:
        add_work(path)
    version = next_version(path)
    due: dict[str, float] = {}
    answered: dict[str, float] = {}

    def answer(task_id: str, question: Mapping[str, Any]) -> tuple[str, str] | None:
        if task_id in CHECKPOINTS:
            moment = time.time()
            if moment < due.setdefault(task_id, moment + random.uniform(1, 2.5)):
                return None
            answered[task_id] = time.time()
        return str(question["options"][0]), "bench"

    rehearsal = station.rehearsal(answer)
    run = rehearsal.start(conf(version))
    ended: Rehearsed = rehearsal.follow(f"hims-api-{version}", run, limit=600)
    if ended.outcome != "released":
        raise RuntimeError(f"hims-api {version} ended {ended.outcome}: {ended.message}")
    print_progress(f"  train {version}: {ended.seconds:.0f} s")
    return Journey(instances=tuple(stand.instances(DAG, run)), steps=ended.steps, answered=answered)
