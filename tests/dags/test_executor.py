"""A human task runs in two legs under one key; an answer that comes at once must not be lost.

Queues and executor are Airflow's own; the test takes the place of the workers, so that it says when
a leg ends. `the_scheduler_fails_it` is the scheduler's rule, from `process_executor_events`.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from airflow.configuration import conf
from airflow.executors import workloads
from airflow.executors.base_executor import BaseExecutor
from airflow.executors.local_executor import LocalExecutor
from airflow.executors.workloads.base import BundleInfo
from airflow.executors.workloads.task import TaskInstanceDTO
from airflow.utils.state import TaskInstanceState

import release_control.executor
from include.settings import ROOT
from release_control.executor import PatientLocalExecutor
from release_control.process_lock import ProcessLock


def leg(task: str = "approve_uat", *, priority: int = 1, index: int = -1) -> workloads.ExecuteTask:
    """Return one leg of a task; both legs of one have the same key."""
    return workloads.ExecuteTask(
        token="t",
        dag_rel_path="release_train.py",
        log_path=None,
        bundle_info=BundleInfo(name="dags"),
        ti=TaskInstanceDTO(
            id=uuid4(),
            task_id=task,
            dag_id="release_train",
            run_id="run-1",
            try_number=1,
            map_index=index,
            pool_slots=1,
            priority_weight=priority,
            dag_version_id=uuid4(),
        ),
    )


class Station:
    """An executor whose workers are the test."""

    def __init__(self, kind: type[LocalExecutor], parallelism: int = 4) -> None:
        self.executor = kind(parallelism=parallelism)
        self.executor.is_mp_using_fork = False
        self.executor.start()
        # No processes: what is put for the workers is taken out here.
        self.executor._check_workers = lambda: None  # type: ignore[method-assign]

    def queue(self, workload: workloads.ExecuteTask) -> None:
        """Hand a leg to the executor, as the scheduler does."""
        self.executor.queue_workload(workload, session=None)  # type: ignore[arg-type]

    def taken(self) -> list[Any]:
        """Return the keys of the legs that workers would have picked up."""
        keys = []
        while not self.executor.activity_queue.empty():
            workload = self.executor.activity_queue.get()
            assert workload is not None
            keys.append(workload.key)
        return keys

    def ends(self, workload: workloads.ExecuteTask) -> None:
        """Report a leg's end, as its worker does when the process is over."""
        self.executor.result_queue.put((workload.key, TaskInstanceState.SUCCESS, None))

    def the_scheduler_fails_it(self, workload: workloads.ExecuteTask) -> bool:
        """Say whether the scheduler, which has queued the second leg in its database, would now
        fail the task over an event of the first."""
        events = self.executor.get_event_buffer()
        return workload.key in events and not self.executor.has_task(workload.ti)  # type: ignore[arg-type]


@pytest.fixture
def station() -> Iterator[Station]:
    made = Station(PatientLocalExecutor)
    yield made
    made.executor.activity_queue.close()
    made.executor.result_queue.close()


def answered_at_once(station: Station) -> bool:
    """Park a task, answer it before its worker has reported, and say whether the answer is lost."""
    first, second = leg(), leg()
    station.queue(first)
    station.executor.heartbeat()
    assert station.taken() == [first.key]
    # It has parked in the database, and the person was quick: the second leg is queued.
    station.queue(second)
    station.ends(first)
    lost = False
    for _ in range(3):
        station.executor.heartbeat()
        lost = lost or station.the_scheduler_fails_it(second)
    return lost


def test_airflow_s_own_executor_loses_an_answer_that_comes_at_once() -> None:
    made = Station(LocalExecutor)
    first, second = leg(), leg()
    made.queue(first)
    made.executor.heartbeat()
    made.queue(second)
    made.executor.trigger_tasks(4)
    # Both legs are under way at once, and nobody knows of the second any more.
    assert made.taken() == [first.key, second.key]
    made.ends(first)
    made.executor.sync()
    assert made.the_scheduler_fails_it(second)


def test_ours_does_not(station: Station) -> None:
    first, second = leg(), leg()
    station.queue(first)
    station.executor.heartbeat()
    station.queue(second)
    station.executor.trigger_tasks(4)
    assert station.taken() == [first.key]
    station.ends(first)
    station.executor.sync()
    assert not station.the_scheduler_fails_it(second)
    station.executor.heartbeat()
    assert station.taken() == [second.key]
    station.ends(second)
    station.executor.sync()
    assert not station.executor.has_task(second.ti)  # type: ignore[arg-type]


def test_however_late_the_first_leg_reports_the_answer_is_kept(station: Station) -> None:
    assert not answered_at_once(station)


def test_a_second_leg_never_begins_before_the_first_has_reported(station: Station) -> None:
    first, second = leg(), leg()
    station.queue(first)
    station.executor.heartbeat()
    station.taken()
    station.queue(second)
    for _ in range(20):
        station.executor.heartbeat()
        assert station.taken() == []
        assert station.executor.has_task(second.ti)  # type: ignore[arg-type]
    station.ends(first)
    station.executor.heartbeat()
    assert station.taken() == [second.key]
    assert station.executor.has_task(second.ti)  # type: ignore[arg-type]


def test_a_leg_that_has_ended_by_now_is_known_before_the_next_begins(station: Station) -> None:
    first, second = leg(), leg()
    station.queue(first)
    station.executor.heartbeat()
    station.taken()
    station.ends(first)
    station.queue(second)
    station.executor.trigger_tasks(4)
    assert station.taken() == [second.key]


def test_other_tasks_go_ahead_meanwhile_also_past_a_more_important_one(station: Station) -> None:
    first, second = leg(priority=100), leg(priority=100)
    station.queue(first)
    station.executor.heartbeat()
    station.taken()
    station.queue(second)
    other = leg("smoke_test", priority=1)
    station.queue(other)
    station.executor.trigger_tasks(1)
    assert station.taken() == [other.key]


def test_no_more_begin_than_there_is_room_for(station: Station) -> None:
    tasks = [leg(f"task_{number}", priority=number) for number in range(6)]
    for task in tasks:
        station.queue(task)
    station.executor.trigger_tasks(2)
    assert station.taken() == [tasks[5].key, tasks[4].key]
    station.executor.trigger_tasks(0)
    assert station.taken() == []


def test_the_legs_of_mapped_votes_do_not_wait_for_each_other(station: Station) -> None:
    votes = [leg("approve_cab", index=number) for number in range(3)]
    for vote in votes:
        station.queue(vote)
    station.executor.heartbeat()
    assert sorted(key.map_index for key in station.taken()) == [0, 1, 2]


def test_a_worker_that_is_lost_delays_the_next_leg_by_a_limit_and_no_longer(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release_control.executor, "PATIENCE_SECONDS", 0.4)
    first, second = leg(), leg()
    station.queue(first)
    station.executor.heartbeat()
    station.taken()
    # Its worker is killed: it never reports.
    station.queue(second)
    begun = time.monotonic()
    while not (taken := station.taken()):
        station.executor.heartbeat()
        assert time.monotonic() - begun < 5
    assert taken == [second.key]
    assert time.monotonic() - begun >= 0.4


def test_a_leg_that_delivers_notices_after_parking_is_over_before_patience_is(
    station: Station,
) -> None:
    # How long Airflow lets a task go on once it has told how it ended, and its process take to end.
    overtime = conf.getfloat("core", "task_success_overtime")
    assert overtime + 10 < release_control.executor.PATIENCE_SECONDS
    first, second = leg(), leg()
    station.queue(first)
    station.executor.heartbeat()
    station.taken()
    station.queue(second)
    station.executor.heartbeat()
    # As if the answer had come so long ago.
    station.executor._held_since[second.key] -= overtime
    station.executor.heartbeat()
    assert station.taken() == []
    station.ends(first)
    station.executor.heartbeat()
    assert station.taken() == [second.key]


def test_patience_is_counted_anew_for_every_leg(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release_control.executor, "PATIENCE_SECONDS", 0.4)
    for _ in range(2):
        first, second = leg(), leg()
        station.queue(first)
        station.executor.heartbeat()
        station.queue(second)
        station.executor.heartbeat()
        assert station.taken() == [first.key]
        time.sleep(0.3)
        # The second is cleared away before its turn comes, and the first reports at last.
        station.executor.queued_tasks.pop(second.key)
        station.ends(first)
        station.executor.heartbeat()
        time.sleep(0.3)


def test_workers_that_are_killed_while_they_wait_keep_no_one_from_the_queue() -> None:
    executor = PatientLocalExecutor(parallelism=2)
    executor.start()
    try:
        for _ in range(3):
            idle = list(executor.workers.values())
            time.sleep(0.3)  # long enough for one of them to wait inside the queue's lock
            for worker in idle:
                worker.kill()
                worker.join()
            executor.workers.clear()
            executor._spawn_workers_with_gc_freeze(2)  # type: ignore[no-untyped-call]
        for _ in executor.workers:
            executor.activity_queue.put(None)
        for worker in executor.workers.values():
            worker.join(10)
        assert [worker.exitcode for worker in executor.workers.values()] == [0, 0]
    finally:
        for worker in executor.workers.values():
            worker.kill()


@pytest.mark.parametrize("ended", [False, True], ids=["at work", "done and reported"])
def test_the_task_of_a_worker_that_was_killed_is_failed_at_once(
    monkeypatch: pytest.MonkeyPatch, ended: bool
) -> None:
    def work(workload: object, **options: object) -> None:
        time.sleep(0 if ended else 60)

    monkeypatch.setattr(BaseExecutor, "run_workload", work)
    executor = PatientLocalExecutor(parallelism=2)
    executor.start()
    try:
        task = leg("watch_release")
        executor.queue_workload(task, session=None)  # type: ignore[arg-type]
        executor.heartbeat()
        time.sleep(1)
        for worker in executor.workers.values():
            worker.kill()
            worker.join()
        executor.sync()
        events = executor.get_event_buffer()
        expected = TaskInstanceState.SUCCESS if ended else TaskInstanceState.FAILED
        assert {key: state for key, (state, _) in events.items()} == {task.key: expected}
        assert not executor.has_task(task.ti)  # type: ignore[arg-type]
        # Others take the workers' place.
        monkeypatch.setattr(BaseExecutor, "run_workload", lambda workload, **options: None)
        again = leg("watch_release")
        executor.queue_workload(again, session=None)  # type: ignore[arg-type]
        deadline = time.monotonic() + 20
        while not (events := executor.get_event_buffer()):
            executor.heartbeat()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert {key: state for key, (state, _) in events.items()} == {
            again.key: TaskInstanceState.SUCCESS
        }
    finally:
        for worker in executor.workers.values():
            worker.kill()


def test_a_lock_whose_holder_was_killed_is_free() -> None:
    lock, held = ProcessLock(), multiprocessing.Event()

    def hold() -> None:
        with lock:
            held.set()
            time.sleep(60)

    holder = multiprocessing.get_context("fork").Process(target=hold)
    holder.start()
    assert held.wait(10)
    holder.kill()
    holder.join()
    with lock, lock:
        pass


def test_what_tasks_import_is_there_before_a_worker_is_forked() -> None:
    program = (
        "import sys, threading\n"
        "import airflow.jobs.scheduler_job_runner\n"
        "from release_control.executor import import_for_tasks\n"
        "before = threading.active_count()\n"
        "import_for_tasks()\n"
        "assert threading.active_count() == before\n"
        "there = set(sys.modules)\n"
        "from airflow.dag_processing.dagbag import BundleDagBag\n"
        "from pathlib import Path\n"
        "from include.calendar import load_calendar\n"
        "from include.settings import load_settings\n"
        "for dag in ('release_train', 'change_implementation', 'cab_ballot', 'change_window'):\n"
        f"    dags = Path({str(ROOT / 'dags')!r})\n"
        "    bag = BundleDagBag(dags / f'{dag}.py', bundle_path=dags, bundle_name='dags')\n"
        "    assert dag in bag.dags, bag.import_errors\n"
        "load_calendar(load_settings().config_file('calendar.yaml'))\n"
        "late = {name for name in set(sys.modules) - there if 'unusual_prefix' not in name}\n"
        "vendors = {'boto3', 'botocore', 'kubernetes', 'weasyprint'} & set(sys.modules)\n"
        "print('late:', *sorted(late), 'vendors:', *sorted(vendors))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1:] == ["late: vendors:"], done.stdout + done.stderr
