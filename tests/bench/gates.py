"""Gates answered the very moment they ask, by several people at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from include.output import print_progress
from include.rehearsal.airflow_api import AirflowApi
from tests.bench.figures import Figure
from tests.bench.stand import Stand

DAG = "bench_gates"
OPTIONS = ("Approve", "Reject", "Abstain")

Gate = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A run of gates after its end.

    `accepted` are the answers that Airflow took, `kept` what the gates returned, `starts` how
    often each gate's task was begun (once to ask, once to go on), `twice` the gates of which
    Airflow took more than one answer.
    """

    accepted: Mapping[Gate, str]
    states: Mapping[Gate, str]
    kept: Mapping[Gate, str]
    starts: Mapping[Gate, int]
    twice: Sequence[Gate]

    @property
    def lost(self) -> list[Gate]:
        """Return the gates that were answered and did not end with success."""
        return [gate for gate in self.accepted if self.states[gate] != "success"]


@dataclass(slots=True)
class _Progress:
    """What the threads share."""

    early: bool
    rivals: bool
    done: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    claimed: set[Gate] = field(default_factory=set)
    accepted: dict[Gate, str] = field(default_factory=dict)
    twice: list[Gate] = field(default_factory=list)

    def claim(self, gate: Gate) -> bool:
        """Return whether the thread that asks shall answer this gate."""
        with self.lock:
            free = self.rivals or gate not in self.claimed
            self.claimed.add(gate)
            return free

    def accept(self, gate: Gate, option: str) -> None:
        """Take note that Airflow took an answer."""
        with self.lock:
            if gate in self.accepted:
                self.twice.append(gate)
            self.accepted.setdefault(gate, option)


def run_gates(
    stand: Stand,
    *,
    early: bool = False,
    rivals: bool = False,
    threads: int = 3,
    seconds: float = 240,
) -> Answered:
    """Run the gates once, answering each as soon as it is parked, and return how it went.

    With `early`, every second gate is answered as soon as its question exists, while its task is
    on the way to parking. With `rivals`, all threads answer all gates at the same time; otherwise
    one answers at once, and somebody else tries to overrule it after the end.
    """
    run = stand.start(DAG)
    progress = _Progress(early, rivals)
    with ThreadPoolExecutor(threads) as pool:
        people = [pool.submit(_answer, stand.session(), run, progress) for _ in range(threads)]
        deadline = time.monotonic() + seconds
        try:
            while stand.ended(DAG, run) is None:
                for one in people:
                    if one.done():
                        one.result()
                if time.monotonic() > deadline:
                    raise RuntimeError(
                        f"{DAG} {run} has not ended after {seconds:.0f} s; "
                        f"{len(progress.accepted)} gates were answered"
                    )
                time.sleep(0.5)
        finally:
            progress.done.set()
        for one in people:
            one.result()
    for gate in list(progress.accepted):
        _patch(stand.api, run, gate, choice(gate, by=1), progress)
    return _outcome(stand, run, progress)


def figures(ours: Answered, stock: Answered) -> list[Figure]:
    """Return how many answered gates were lost on each executor, settings alike."""
    return [
        Figure(
            name="answered gates lost: our executor / stock LocalExecutor, our settings",
            ours=len(ours.lost),
            peer=len(stock.lost),
            unit="",
            most=0,
            note=f"of {len(ours.accepted)} and {len(stock.accepted)} gates answered at once",
        )
    ]


def choice(gate: Gate, by: int = 0) -> str:
    """Return what person number `by` answers: not the same everywhere, and never by chance."""
    return OPTIONS[(_number(gate) + by) % len(OPTIONS)]


def _number(gate: Gate) -> int:
    return sum(gate[0].encode()) + gate[1]


def _answer(api: AirflowApi, run: str, progress: _Progress) -> None:
    answered: set[Gate] = set()
    path = f"/api/v2/dags/{DAG}/dagRuns/{quote(run)}/hitlDetails?response_received=false&limit=100"
    while not progress.done.is_set():
        found = api.request("GET", path)
        found.raise_for_status()
        for question in found.json()["hitl_details"]:
            instance = question["task_instance"]
            gate = (str(instance["task_id"]), int(instance["map_index"]))
            at_once = progress.early and _number(gate) % 2 == 0
            if gate in answered or not (at_once or instance["state"] == "awaiting_input"):
                continue
            answered.add(gate)
            if progress.claim(gate):
                _patch(api, run, gate, choice(gate), progress)
        time.sleep(0.02)


def _patch(api: AirflowApi, run: str, gate: Gate, option: str, progress: _Progress) -> None:
    url = f"/api/v2/dags/{DAG}/dagRuns/{quote(run)}/taskInstances/{gate[0]}/{gate[1]}/hitlDetails"
    response = api.request("PATCH", url, {"chosen_options": [option], "params_input": {}})
    # 409: somebody has answered already.
    if response.status_code != 409:
        response.raise_for_status()
        progress.accept(gate, option)


def _outcome(stand: Stand, run: str, progress: _Progress) -> Answered:
    instances = stand.instances(DAG, run)
    states = {(one.task, one.map_index): one.state for one in instances}
    kept: dict[Gate, str] = {}
    base = f"/dags/{DAG}/dagRuns/{quote(run)}"
    for gate, state in states.items():
        if state != "success":
            continue
        path = f"{base}/taskInstances/{gate[0]}/xcomEntries/return_value?map_index={gate[1]}"
        kept[gate] = _chosen(stand.get(path)["value"])
    starts: dict[Gate, int] = dict.fromkeys(states, 0)
    for event in _events(stand, run):
        starts[event["task_id"], int(event["map_index"])] += 1
    result = Answered(
        accepted=dict(progress.accepted),
        states=states,
        kept=kept,
        starts=starts,
        twice=tuple(progress.twice),
    )
    print_progress(f"  gates: {len(result.accepted)} answered, {len(result.lost)} lost")
    return result


def _chosen(value: Any) -> str:
    (option,) = value["chosen_options"]
    return str(option)


def _events(stand: Stand, run: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        page = stand.get(
            f"/eventLogs?dag_id={DAG}&run_id={quote(run)}&event=running"
            f"&limit=100&offset={len(found)}"
        )
        found += page["event_logs"]
        if not page["event_logs"] or len(found) >= page["total_entries"]:
            return found
