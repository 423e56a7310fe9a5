"""From the opening of a window to the first task of what was due, and what the waiting costs.

Trains and changes are the ledger's own, written there as their tasks write them; the trains wait
with our sensor in a Dag that does nothing after it, the changes are started by `change_window`.
Airflow's DateTimeSensorAsync waits in as many runs for an instant between two openings.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from urllib.parse import quote

import psutil
import yaml
from sqlalchemy import insert, update
from sqlalchemy.dialects.postgresql import Range

from include.changes.change import book_slot, open_change
from include.changes.content import signed_hash
from include.instants import format_instant
from include.ledger import Actor, Source, Subject, Unit, schema
from include.ledger.connection import open_ledger
from include.output import print_progress
from include.rehearsal.sample import next_version
from include.releases.phases import cab
from include.settings import Settings, load_settings
from tests.bench.figures import Figure, median
from tests.bench.stand import Stand
from tests.integration.train.paper import Station as Paper

TRAIN, STOCK = "bench_waiting_train", "bench_waiting_stock"
IMPLEMENTATION = "change_implementation"
MANY = 12
SCHEDULED = 1_000
EVERY, OPEN = timedelta(seconds=150), timedelta(seconds=60)
# Airflow's own sensors fire so long after an opening that what began at it is over, and so long
# before the next one that nothing of it has begun.
AFTER, BEFORE = timedelta(seconds=70), timedelta(seconds=25)
PATIENCE = timedelta(seconds=110)
SAMPLE = 10.0
PARTS = {"airflow-scheduler": "scheduler", "airflow-triggerer": "triggerer"}

MEANING = (
    "A delay is from the instant to the start of the first task that does something: the one after "
    "the sensor, or that of the change's own run. Waiting is measured over the last ten seconds "
    "before the instant, in per cent of one core and in PSS."
)


@dataclass(slots=True, kw_only=True)
class Waiting:
    """What the waiting cost, by component: per cent of one core, and MB."""

    cpu: dict[str, float]
    memory: dict[str, float]


@dataclass(slots=True, kw_only=True)
class Scene:
    """The delays of several openings with as many trains, in seconds, sorted within each."""

    trains: list[list[float]] = field(default_factory=list)
    stock: list[list[float]] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    stock_waiting: list[Waiting] = field(default_factory=list)


def open_often(settings: Settings) -> None:
    """Rewrite the calendars of a stack that is not up yet, so that windows open all day."""
    hours = {
        "rrule": "FREQ=DAILY", "start": "00:00", "end": "00:00", "cutoff": "1s",
        "every": _seconds(EVERY), "open_for": _seconds(OPEN),
    }  # fmt: skip
    for name in ("calendar.yaml", "rehearsal-calendar.yaml"):
        path = settings.config_file(name)
        calendar = {"timezone": "America/New_York", "windows": {"standard": hours}}
        path.write_text(yaml.safe_dump(calendar), encoding="utf-8")
    path = settings.config_file("environments/rehearsal.yaml")
    profile = yaml.safe_load(path.read_text(encoding="utf-8"))
    profile["leads"] = {"feature_freeze": "2s", "code_freeze": "1s"}
    profile["durations"] = dict.fromkeys(("backup", "deploy", "rollback", "reserve"), "1s")
    path.write_text(yaml.safe_dump(profile), encoding="utf-8")


def run_openings(stand: Stand, repeats: int) -> dict[str, Scene]:
    """Let windows open on one train, on twelve, and on one with a thousand changes waiting."""
    hall = _Hall(stand, trains=repeats * (2 + MANY))
    scenes = {"1": Scene(), "12": Scene(), "1000": Scene()}
    for _ in range(repeats):
        hall.open(scenes["1"], trains=1)
        hall.open(scenes["12"], trains=MANY)
    hall.schedule(SCHEDULED)
    for _ in range(repeats):
        hall.open(scenes["1000"], trains=1)
    return scenes


def figures(scenes: Mapping[str, Scene]) -> list[Figure]:
    """Return the figures of the openings."""
    one, many, rows = scenes["1"], scenes["12"], scenes["1000"]
    found = [
        Figure(
            name="opening → first task of a train / DateTimeSensorAsync: 1 waits",
            ours=_first(one.trains),
            peer=_first(one.stock),
            times=1.0,
            note=f"medians of {len(one.trains)} openings each, same settings, same stack",
        ),
        Figure(
            name=f"  {MANY} wait: the first of them",
            ours=_first(many.trains),
            peer=_first(many.stock),
            times=1.0,
        ),
        Figure(
            name=f"  {MANY} wait: the last of them",
            ours=_last(many.trains),
            peer=_last(many.stock),
            times=1.0,
        ),
        Figure(
            name=f"  1 waits, beside {SCHEDULED:,} scheduled changes",
            ours=_first(rows.trains),
            peer=_first(rows.stock),
            times=1.0,
        ),
        Figure(
            name="opening → first task of a change that is due / DateTimeSensorAsync",
            ours=median(one.changes),
            peer=_first(one.stock),
            times=1.0,
            note="a run of change_window begins, decides, and starts the change's own run",
        ),
        Figure(
            name=f"  beside {SCHEDULED:,} scheduled changes",
            ours=median(rows.changes),
            peer=_first(rows.stock),
            times=1.0,
        ),
        Figure(
            name=f"first task: {MANY} trains wait / 1",
            ours=_first(many.trains),
            peer=_first(one.trains),
            above=0.5,
        ),
        Figure(
            name=f"  of a train: {SCHEDULED:,} changes wait / none",
            ours=_first(rows.trains),
            peer=_first(one.trains),
            above=0.5,
        ),
        Figure(
            name=f"  of a change: {MANY} trains wait / 1",
            ours=median(many.changes),
            peer=median(one.changes),
            note="twelve trains are woken at the same instant, and start before it",
        ),
        Figure(
            name=f"  of a change: {SCHEDULED:,} others wait / none",
            ours=median(rows.changes),
            peer=median(one.changes),
            above=0.5,
        ),
    ]
    for name, scene in (("1 train", one), (f"{MANY} trains", many), ("1,000 changes", rows)):
        for part in PARTS.values():
            found.append(
                Figure(
                    name=f"{part} while {name} wait: processor / with DateTimeSensorAsync",
                    ours=median([item.cpu[part] for item in scene.waiting]),
                    peer=median([item.cpu[part] for item in scene.stock_waiting]),
                    unit="%",
                )
            )
            found.append(
                Figure(
                    name="  memory",
                    ours=median([item.memory[part] for item in scene.waiting]),
                    peer=median([item.memory[part] for item in scene.stock_waiting]),
                    unit="MB",
                )
            )
    return found


class _Hall:
    """Trains and changes on paper, in the ledger of a stack that runs."""

    def __init__(self, stand: Stand, *, trains: int) -> None:
        self.stand = stand
        self.settings = stand.station.settings
        self.ledger = open_ledger(self.settings)
        self.parts = {
            PARTS[item["name"]]: psutil.Process(item["pid"])
            for item in stand.station.json("status")["components"]
            if item["name"] in PARTS
        }
        service = self.settings.service("hims-api")
        self.version = str(next_version(self.settings.path(service.repository.path)))
        services = list(self._services(trains))
        # What was read of the configuration is kept: read it with its new services.
        self.settings = load_settings(self.settings.directory)
        print_progress(f"  writing {trains} trains")
        self.trains = iter([self._train(name) for name in services])

    def open(self, scene: Scene, *, trains: int) -> None:
        """Wait for one opening with so many trains and one change that is due, and then for an
        instant with as many of Airflow's own sensors."""
        at = _next_opening(ahead=_getting_ready(trains))
        runs = list(islice(self.trains, trains))
        change = self._scheduled(at, at + OPEN, f"due-{at:%H%M%S}")
        # A train that starts in an open window has nothing to wait for.
        time.sleep(max(0.0, _left(at - EVERY + OPEN)))
        for run in runs:
            self.stand.start(TRAIN, run_id=run)
        scene.waiting.append(self._wait(TRAIN, runs, at))
        began = f"window__{at:%Y%m%dT%H%M%SZ}__{change}"
        scene.trains.append(self._delays(TRAIN, runs, "first", at))
        scene.changes += self._delays(IMPLEMENTATION, [began], "decide_go_no_go", at)
        self._end(IMPLEMENTATION, began)
        print_progress(f"  trains {scene.trains[-1][0]:.2f} … {scene.trains[-1][-1]:.2f} s, "
                       f"change {scene.changes[-1]:.2f} s")  # fmt: skip
        then = _in_between(ahead=_getting_ready(trains))
        runs = [self.stand.start(STOCK, {"at": format_instant(then)}) for _ in range(trains)]
        scene.stock_waiting.append(self._wait(STOCK, runs, then))
        scene.stock.append(self._delays(STOCK, runs, "first", then))
        print_progress(f"  stock  {scene.stock[-1][0]:.2f} … {scene.stock[-1][-1]:.2f} s")

    def schedule(self, count: int) -> None:
        """Write changes that are scheduled for windows in a month, as their tasks leave them."""
        print_progress(f"  scheduling {count:,} changes")
        far = _next_opening(ahead=timedelta(days=30))
        now = datetime.now(UTC)
        changes, revisions, slots = [], [], []
        for number in range(count):
            system, key = f"s{number % 50}", f"CHG-9{number:05}"
            content, start = _content(key, system), far + number * EVERY
            digest = signed_hash(content)
            changes.append({
                "id": key, "type": "normal", "state": "scheduled", "title": content["title"],
                "revision": 1, "content_hash": digest, "systems": [system], "requester": "mei",
                "created_at": now, "updated_at": now,
            })  # fmt: skip
            revisions.append({
                "change_id": key, "number": 1, "content": content, "content_hash": digest,
                "author": "mei", "created_at": now,
            })  # fmt: skip
            during = Range(start, start + OPEN, bounds="[)")
            slots.append({"change_id": key, "system": system, "during": during,
                          "window_name": "standard"})  # fmt: skip
        with self._unit() as unit:
            for table, rows in (
                (schema.change, changes), (schema.revision, revisions), (schema.slot, slots),
            ):  # fmt: skip
                unit.connection.execute(insert(table), rows)
            subject = Subject(kind="change", id="CHG-9")
            unit.append("bench.arranged", subject, message="changes wait")

    def _services(self, count: int) -> Iterator[str]:
        """Declare services that differ in their name and system, all of one repository."""
        path = self.settings.config_file("services/hims-api.yaml")
        declared = yaml.safe_load(path.read_text(encoding="utf-8"))
        for number in range(count):
            name = f"bench-{number:03}"
            text = yaml.safe_dump({**declared, "name": name, "systems": [name]})
            path.with_name(f"{name}.yaml").write_text(text, encoding="utf-8")
            yield name

    def _train(self, name: str) -> str:
        """Return the run of a train that has all but its window."""
        paper = Paper(self.ledger, self.settings, clock=lambda: datetime.now(UTC))
        run = f"bench__{name}"
        train = paper.train(
            run, service=name, version=self.version, target_window=None, rehearsal=True
        )
        paper.build(train)
        opened = cab.open_release_change(train)
        if not opened.ok:
            raise RuntimeError(opened.message)
        return run

    def _scheduled(self, start: datetime, end: datetime, system: str) -> str:
        with self._unit() as unit:
            change = open_change(unit, _content(system, system), release_id=None)
            table = schema.change
            unit.execute(update(table).where(table.c.id == change.id).values(state="scheduled"))
            unit.append("change.scheduled", change.subject, message=f"{change.id} is scheduled")
            holder = book_slot(unit, change, start=start, end=end, window="standard")
            if holder is not None:
                raise RuntimeError(f"{holder} holds the slot of {change.id}")
        return change.id

    @contextmanager
    def _unit(self) -> Iterator[Unit]:
        actor = Actor.service("bench")
        with self.ledger.write(actor, Source(kind="cli"), datetime.now(UTC)) as unit:
            yield unit

    def _wait(self, dag: str, runs: Sequence[str], at: datetime) -> Waiting:
        """Return what it costs that all of them wait; RuntimeError if they do not in time."""
        for run in runs:
            self._until(lambda run=run: self._state(dag, run, "wait") in ("deferred", "failed"), at)
            if (state := self._state(dag, run, "wait")) != "deferred":
                raise RuntimeError(f"{dag} {run} is {state} and does not wait")
        if _left(at) < SAMPLE + 2:
            raise RuntimeError(f"{len(runs)} sensors were not asleep in time: a busy machine")
        time.sleep(_left(at) - SAMPLE - 1)
        before = {name: _cpu(part) for name, part in self.parts.items()}
        time.sleep(SAMPLE)
        cpu = {
            name: (_cpu(part) - before[name]) / SAMPLE * 100 for name, part in self.parts.items()
        }
        found = Waiting(cpu=cpu, memory={name: _pss(part) for name, part in self.parts.items()})
        print_progress(f"  {len(runs)} of {dag} wait: {found}")
        return found

    def _delays(self, dag: str, runs: Sequence[str], task: str, at: datetime) -> list[float]:
        """Return from `at` to each run's start of the task, sorted."""
        found = []
        for run in runs:
            start = self._until(lambda run=run: self._start(dag, run, task), at + PATIENCE)
            found.append((datetime.fromisoformat(start) - at).total_seconds())
        return sorted(found)

    def _until(self, what: Callable[[], Any], deadline: datetime) -> Any:
        while not (found := what()):
            if _left(deadline) < 0:
                raise RuntimeError("what was due has not begun in time: a busy machine")
            time.sleep(0.3)
        return found

    def _instance(self, dag: str, run: str, task: str) -> Mapping[str, Any]:
        path = f"/api/v2/dags/{dag}/dagRuns/{quote(run)}/taskInstances/{task}"
        answer = self.stand.api.request("GET", path)
        return {} if answer.status_code == 404 else dict(answer.json())

    def _state(self, dag: str, run: str, task: str) -> str | None:
        return self._instance(dag, run, task).get("state")

    def _start(self, dag: str, run: str, task: str) -> str | None:
        return self._instance(dag, run, task).get("start_date")

    def _end(self, dag: str, run: str) -> None:
        path = f"/api/v2/dags/{dag}/dagRuns/{quote(run)}"
        # Nobody will answer it; one that stays asks until its slot is over, and disturbs little.
        self.stand.api.request("PATCH", path, {"state": "failed"})


def _content(title: str, system: str) -> dict[str, Any]:
    return {
        "type": "normal", "title": title, "affected_systems": [system], "requester": "mei",
        "priority": "normal", "description": "What is done, and why. " * 40,
    }  # fmt: skip


def _first(delays: Sequence[Sequence[float]]) -> float:
    return median([item[0] for item in delays])


def _last(delays: Sequence[Sequence[float]]) -> float:
    return median([item[-1] for item in delays])


def _next_opening(*, ahead: timedelta) -> datetime:
    """Return the first opening that lies at least so far ahead; the day begins with one."""
    now = datetime.now(UTC) + ahead
    # New York's midnight is a whole hour of UTC, and an hour is a whole number of openings.
    hour = now.replace(minute=0, second=0, microsecond=0)
    return hour + -((hour - now) // EVERY) * EVERY


def _in_between(*, ahead: timedelta) -> datetime:
    """Return an instant at least so far ahead at which nothing opens, nor has lately."""
    soon = datetime.now(UTC) + ahead
    following = _next_opening(ahead=ahead)
    quiet = following - EVERY + AFTER
    found = max(soon, quiet) if soon <= following - BEFORE else following + AFTER
    return found.replace(microsecond=0)


def _getting_ready(sensors: int) -> timedelta:
    """Return what it takes on a busy machine until so many sensors are asleep and were watched."""
    return timedelta(seconds=25 + 3 * sensors)


def _left(at: datetime) -> float:
    return (at - datetime.now(UTC)).total_seconds()


def _seconds(length: timedelta) -> str:
    return f"{length.total_seconds():.0f}s"


def _tree(part: psutil.Process) -> list[psutil.Process]:
    return [part, *part.children(recursive=True)]


def _cpu(part: psutil.Process) -> float:
    """Return the processor seconds of a component and of all that it has started."""
    used = 0.0
    for process in _tree(part):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        used += times.user + times.system + times.children_user + times.children_system
    return used


def _pss(part: psutil.Process) -> float:
    used = 0
    for process in _tree(part):
        try:
            used += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return used / 1e6
