"""What is killed when, and what has to hold afterwards.

The moments are the records of a deploy's side effects: right after each was written its effect has
just been done, and the next one is about to begin.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from include.deploy.target import Colour
from include.deploy.targets.factory import open_target
from include.ledger.connection import open_ledger
from include.rehearsal.rehearsal import Rehearsal, Rehearsed
from include.rehearsal.sample import add_work, next_version
from include.stack.inspection import inspect
from include.stack.processes import family, identify
from tests.e2e.station import Station, conf, wait_for, yes

MOMENTS = (
    "backup.taken",
    "backup.proven",
    "permit.issued",
    "deploy.began",
    "deploy.staged",
    "deploy.smoke_tested",
    "deploy.warmed_up",
    "deploy.switch_began",
    "deploy.traffic_shifted",
    "deploy.switched",
    "watch.began",
    "deploy.watched",
)
PARTS = (
    "worker",
    "airflow-scheduler",
    "airflow-triggerer",
    "airflow-api-server",
    "haproxy",
    "postgres",
)
STRATEGIES = ("blue_green", "canary")
# Seconds, and more: how long a ledger whose parts were killed may take to be sealed again.
_SEALING = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One kill: `part` dies with SIGKILL when `moment` is read in the ledger."""

    strategy: str
    moment: str
    part: str

    @property
    def round(self) -> int:
        """Return which train of its strategy takes this kill, from 1.

        A train meets one kill at every moment, and every part twice: rounds are the diagonals.
        """
        return (PARTS.index(self.part) - MOMENTS.index(self.moment)) % len(PARTS) + 1


@dataclass(slots=True, kw_only=True)
class Found:
    """How a train with one or more kills went; without problems it went as it has to.

    `killed` says for each cell how many seconds after its start the train met it.
    """

    cells: tuple[Cell, ...]
    outcome: str = "?"
    seconds: float = 0.0
    killed: dict[Cell, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def cells() -> list[Cell]:
    """Return the whole matrix."""
    return [
        Cell(strategy=strategy, moment=moment, part=part)
        for strategy in STRATEGIES
        for moment in MOMENTS
        for part in PARTS
    ]


def trains(wanted: Sequence[Cell], *, alone: bool = False) -> list[tuple[Cell, ...]]:
    """Return which kills each train takes: one each with `alone`, else those of its round."""
    if alone:
        return [(cell,) for cell in wanted]
    rounds: dict[tuple[str, int], list[Cell]] = {}
    for cell in wanted:
        rounds.setdefault((cell.strategy, cell.round), []).append(cell)
    return [tuple(kills) for _, kills in sorted(rounds.items())]


def run_train(station: Station, kills: Sequence[Cell]) -> Found:
    """Run one train, kill at each moment, wait for its end, and look at what is left."""
    found = Found(cells=tuple(kills))
    strategy = kills[0].strategy
    begin = time.monotonic()

    def hear(record: Mapping[str, Any]) -> None:
        for cell in kills:
            fresh = record["event"] == cell.moment and cell not in found.killed
            if fresh and kill(station, cell.part):
                found.killed[cell] = time.monotonic() - begin

    path = station.settings.path(station.settings.service("hims-api").repository.path)
    add_work(path)
    version, before = next_version(path), station.served()["version"]
    ended = _travel(station, version, strategy, hear)
    found.seconds, found.outcome = time.monotonic() - begin, ended.outcome
    wait_for(lambda: inspect(station.settings).healthy, seconds=180)
    found.problems += [
        f"nothing was killed: {cell.moment} did not come, or no {cell.part}"
        for cell in kills
        if cell not in found.killed
    ]
    _judge(station, found, ended, version, before)
    return found


def kill(station: Station, part: str) -> list[int]:
    """Kill a part, or with `worker` every process that runs tasks; return their pids."""
    components = {item.name: item.pid for item in inspect(station.settings).components}
    if part == "worker":
        leader = identify(components["airflow-scheduler"] or 0)
        victims = [item.pid for item in family(leader) if item != leader] if leader else []
    else:
        victims = [pid] if (pid := components.get(part)) else []
    for victim in victims:
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
    return list(victims)


def _travel(
    station: Station, version: str, strategy: str, hear: Callable[[Mapping[str, Any]], None]
) -> Rehearsed:
    rehearsal = Rehearsal(
        station.settings, open_ledger(station.settings), station.cast, say=hear, answers=yes
    )
    run_id = rehearsal.start(conf(version, strategy=strategy))
    return rehearsal.follow(f"hims-api-{version}", run_id, limit=900)


def _judge(station: Station, found: Found, ended: Rehearsed, version: str, before: str) -> None:
    """Note everything that must not be: a second switch, wrong traffic, a lost record."""
    problems = found.problems
    release = f"hims-api-{version}"
    target = open_target(station.settings.service("hims-api"), "production", station.settings)
    weights, served = target.weights(), station.served()["version"]
    wanted = {"released": version, "rolled_back": before, "failed": before}.get(ended.outcome)
    if wanted is None:
        problems.append(f"ended as {ended.outcome}: {ended.message}")
    elif served != wanted:
        problems.append(f"people get {served} after {ended.outcome}, not {wanted}")
    if sorted(weights.values()) != [0, 100]:
        problems.append(f"traffic is split: {weights}")
    records = station.records(release=release)
    events = [item["event"] for item in records if item["outcome"] == "success"]
    for event in ("deploy.began", "deploy.staged", "deploy.switch_began", "deploy.switched"):
        if events.count(event) > 1:
            problems.append(f"{event} happened {events.count(event)} times")
    if ended.outcome == "released":
        missing = [
            event
            for event in (*MOMENTS, "release.tagged", "release.change_closed", "release.released")
            if event not in events
        ]
        if missing:
            problems.append(f"records are missing: {', '.join(missing)}")
        live = max(Colour, key=lambda colour: weights[colour])
        if target.health(live).version != version:
            problems.append(f"{live} has the traffic and runs {target.health(live).version}")
    # Nothing that was committed may be missing, changed or unsealed for good.
    verified = ""
    for _ in range(_SEALING):
        status, said, wrong = station.run("audit", "verify")
        if status == 0:
            break
        verified = (said or wrong).strip().splitlines()[-1]
        time.sleep(1)
    else:
        problems.append(f"the ledger is not what was sealed: {verified}")
    if ended.outcome == "rolled_back":
        station.unlock()
