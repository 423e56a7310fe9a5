"""From a person's answer to the start of the task that follows."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from include.output import print_progress
from tests.bench.figures import Figure, median, p90
from tests.bench.stand import Instance, Stand
from tests.bench.trains import Journey

DAG = "bench_approvals"
SECONDS = 120


def run_approvals(stand: Stand) -> list[float]:
    """Answer each ApprovalOperator of one run; return from each answer to the next task's start."""
    run = stand.start(DAG)
    due: dict[str, float] = {}
    answered: dict[str, float] = {}
    path = f"/dags/{DAG}/dagRuns/{quote(run)}"
    begun = time.monotonic()
    while stand.ended(DAG, run) is None:
        if time.monotonic() - begun > SECONDS:
            raise RuntimeError(f"{DAG} {run} has not ended after {SECONDS} s")
        time.sleep(0.2)
        asked = stand.get(f"{path}/hitlDetails?response_received=false")["hitl_details"]
        for question in asked:
            instance, moment = question["task_instance"], time.time()
            task = str(instance["task_id"])
            if instance["state"] != "awaiting_input":
                continue
            if moment < due.setdefault(task, moment + random.uniform(1, 2.5)):
                continue
            answered[task] = time.time()
            body = {"chosen_options": ["Approve"], "params_input": {}}
            url = f"/api/v2{path}/taskInstances/{task}/-1/hitlDetails"
            stand.api.request("PATCH", url, body).raise_for_status()
    found = delays(answered, stand.instances(DAG, run), stand.upstream(DAG))
    print_progress(f"  approvals: median {median(found):.3f} s from answer to next task")
    return found


def delays(
    answered: Mapping[str, float],
    instances: Sequence[Instance],
    upstream: Mapping[str, set[str]],
) -> list[float]:
    """Return, for each answered task, how long after the answer its follower started."""
    found = []
    for task, moment in answered.items():
        starts = [
            one.start
            for one in instances
            if task in upstream[one.task] and one.start is not None and one.state != "skipped"
        ]
        if not starts:
            raise RuntimeError(f"nothing started after {task}")
        found.append(min(starts) - moment)
    return found


def train_delays(journeys: Sequence[Journey], upstream: Mapping[str, set[str]]) -> list[float]:
    """Return the delays after the answers of trains."""
    return [delay for one in journeys for delay in delays(one.answered, one.instances, upstream)]


def figures(train: Sequence[float], same: Sequence[float], stock: Sequence[float]) -> list[Figure]:
    """Return the answers' figures; `same` are stock operators on our settings."""
    return [
        Figure(
            name="answer → next task: our checkpoint / stock ApprovalOperator, stock: median",
            ours=median(train),
            peer=median(stock),
            times=0.4,
            note=f"{len(train)} and {len(stock)} answers, 1–2.5 s after the question, one run",
        ),
        Figure(name="  p90", ours=p90(train), peer=p90(stock)),
        Figure(
            name="  our checkpoint / stock ApprovalOperator, both on our settings: median",
            ours=median(train),
            peer=median(same),
            note="ours also writes to the ledger and delivers notices before it ends",
        ),
    ]
