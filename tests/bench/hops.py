"""From task to task: how long nothing happens because Airflow is busy with itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from include.output import print_progress
from include.rehearsal.airflow_api import DAG as TRAIN
from tests.bench.figures import Figure, median, p90
from tests.bench.stand import Instance, Stand
from tests.bench.trains import Journey

CHAIN = "bench_empty_chain"

MEANING = (
    "A hop is from the last end among the tasks that a task waits for (only the latest is on the "
    "critical path) to its own first start. People, instants and windows are waited for inside a "
    "task, between its first start and its last end, so no hop holds any of that waiting."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One step along the critical path, in seconds."""

    task: str
    gap: float
    start_to_start: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hops:
    """What several runs of one Dag needed from task to task, in seconds."""

    gaps: Sequence[float]
    starts: Sequence[float]
    work: Sequence[float]


def hops(instances: Iterable[Instance], upstream: Mapping[str, set[str]]) -> list[Hop]:
    """Return the hops of one run; tasks that were skipped, or tried again, have none."""
    tasks: dict[str, list[Instance]] = {}
    for instance in instances:
        tasks.setdefault(instance.task, []).append(instance)
    found = []
    for name, mine in tasks.items():
        starts = [one.start for one in mine if one.start is not None]
        before = [
            one for earlier in upstream[name] for one in tasks[earlier] if one.end is not None
        ]
        ran = all(one.state == "success" and one.tries == 1 for one in mine)
        if not before or not starts or not ran:
            continue
        latest = max(before, key=lambda one: one.end or 0.0)
        begun = min(one.start for one in tasks[latest.task] if one.start is not None)
        found.append(
            Hop(
                task=name,
                gap=min(starts) - (latest.end or 0.0),
                start_to_start=min(starts) - begun,
            )
        )
    return found


def run_chain(stand: Stand) -> Hops:
    """Run the chain of empty tasks once."""
    run = stand.run(CHAIN)
    found = hops(stand.instances(CHAIN, run), stand.upstream(CHAIN))
    moments = [
        float(
            stand.get(f"/dags/{CHAIN}/dagRuns/{run}/taskInstances/{task}/xcomEntries/return_value")[
                "value"
            ]
        )
        for task in sorted(stand.upstream(CHAIN))
    ]
    work = [later - earlier for earlier, later in pairwise(moments)]
    print_progress(f"  chain: median hop {median([hop.gap for hop in found]):.3f} s")
    return Hops(
        gaps=[hop.gap for hop in found], starts=[hop.start_to_start for hop in found], work=work
    )


def train_hops(journeys: Sequence[Journey], upstream: Mapping[str, set[str]]) -> Hops:
    """Return the hops of trains, all of them together."""
    found = [hop for one in journeys for hop in hops(one.instances, upstream)]
    return Hops(
        gaps=[hop.gap for hop in found],
        starts=[hop.start_to_start for hop in found],
        work=[gap for one in journeys for gap in between_steps(one, upstream)],
    )


def between_steps(journey: Journey, upstream: Mapping[str, set[str]]) -> list[float]:
    """Return from the end of one step's work to the start of the next one's, as the ledger has it.

    Only where a task's one upstream is a step too: nothing that waits lies between them.
    """
    steps = {step["name"]: step for step in journey.steps}
    found = []
    for name, before in upstream.items():
        if len(before) != 1:
            continue
        earlier = steps.get(next(iter(before)).rpartition(".")[2])
        later = steps.get(name.rpartition(".")[2])
        if earlier is not None and later is not None:
            found.append((later["start"] - earlier["end"]).total_seconds())
    return found


def together(runs: Sequence[Hops]) -> Hops:
    """Return several runs as one."""
    return Hops(
        gaps=[gap for run in runs for gap in run.gaps],
        starts=[gap for run in runs for gap in run.starts],
        work=[gap for run in runs for gap in run.work],
    )


def figures(train: Hops, chain: Hops, stock: Hops) -> list[Figure]:
    """Return the hops' figures."""
    held = f"{len(train.gaps)} hops of trains, {len(chain.gaps)} of the chain"
    against = f"{len(train.gaps)} hops of trains, {len(stock.gaps)} of the stock chain"
    return [
        Figure(
            name="hop of a train / of an empty chain, same settings: median",
            ours=median(train.gaps),
            peer=median(chain.gaps),
            times=1.1,
            note=held,
        ),
        Figure(name="  p90", ours=p90(train.gaps), peer=p90(chain.gaps)),
        Figure(
            name="hop of a train / of an empty chain, stock Airflow: median",
            ours=median(train.gaps),
            peer=median(stock.gaps),
            times=0.25,
            note=against,
        ),
        Figure(name="  p90", ours=p90(train.gaps), peer=p90(stock.gaps)),
        Figure(
            name="empty chain, our settings / stock: start to start, median",
            ours=median(chain.starts),
            peer=median(stock.starts),
        ),
        Figure(name="  p90", ours=p90(chain.starts), peer=p90(stock.starts)),
        Figure(
            name="start to start of a train / of an empty chain: median",
            ours=median(train.starts),
            peer=median(chain.starts),
            note="a train's tasks do something in between, and wait",
        ),
        Figure(
            name="end of work to start of work, train / empty chain: median",
            ours=median(train.work),
            peer=median(chain.work),
            note=f"the hop with both processes' own ends: {len(train.work)} pairs of steps",
        ),
        Figure(name="  p90", ours=p90(train.work), peer=p90(chain.work)),
    ]


def upstream_of_train(stand: Stand) -> dict[str, set[str]]:
    """Return which tasks of the train wait for which."""
    return stand.upstream(TRAIN)
