"""Airflow's LocalExecutor, patient with tasks that come back and not stopped by a killed worker.

A human task runs in two legs under one key: it parks, and after the answer it resumes. In Airflow
3.3.2 the end of the first leg, read after the second was queued, makes the scheduler fail the task
("finished with state success, but the task instance's state attribute is queued"): an answered gate
is lost. That needs an answer within one scheduler loop of the parking, which quick people, mapped
votes and REST clients manage.

Here a second leg waits until the first has reported, and while a leg is under way the executor says
so when asked.

An idle worker waits inside the lock of the queue that brings its work. Killed there (by hand, by a
machine that is short of memory) it takes a semaphore with it, and no worker ever reads the queue
again: every task stays queued until the scheduler is started anew. Ours are locks that the kernel
takes back.

A worker that is killed at work leaves a task that nobody reports: Airflow fails it when its
heartbeats have been missing for minutes, in which nobody watches a new version. Ours say what they
take, so that the task of a dead one is failed, and tried again, at once.

Each task is a fork of a worker, and a worker is a fork of the scheduler. What nearly every task of
ours imports is imported once, in the scheduler, and costs no task anything.
"""

from __future__ import annotations

import ctypes
import importlib
import multiprocessing
import os
import pkgutil
import time
from collections.abc import Sequence
from typing import Any

from airflow.executors.local_executor import LocalExecutor
from airflow.utils.state import TaskInstanceState

from release_control.process_lock import ProcessLock
from release_control.prompt_subprocess import supervise_promptly

# A leg whose end nobody reports holds the next one no longer than this. Longer than a leg can go on
# delivering notices after it has parked: Airflow lets it do so for 20 s ([core]
# task_success_overtime), and ending its process takes a few more.
PATIENCE_SECONDS = 40.0

# What a worker reports of a workload before it begins, with its pid and the state of a failure.
_TAKEN = "taken"


# Packages whose modules the tasks import, and modules beside them: nothing that connects anywhere
# or starts a thread when it is imported, and no vendor's SDK.
_PACKAGES = (
    "release_control.forms",
    "release_control.operators",
    "release_control.sensors",
    "release_control.timetables",
    "include.releases",
    "include.releases.phases",
    "include.changes",
    "include.approvals",
    "include.calendar",
    "include.deploy",
    "include.entries",
    "include.incidents",
    "include.notices",
    "include.people",
    "include.permits",
    "include.rollbacks",
    "include.windows",
)
_MODULES = (
    # What reads a task's Dag file, and what that file imports.
    "airflow.dag_processing.dagbag",
    "airflow.sdk.bases.sensor",
    "airflow.sdk.definitions.decorators",
    "airflow.version",
    "airflow.providers.standard.operators.empty",
    "airflow.providers.slack.hooks.slack",
    # Whoever asks for one country's holidays imports every country's: a quarter of a second.
    "holidays.countries",
)


class PatientLocalExecutor(LocalExecutor):
    """Never has two legs of one task instance under way at once."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)  # type: ignore[no-untyped-call]
        self._under_way: set[Any] = set()
        self._held_since: dict[Any, float] = {}
        self._at_work: dict[int, tuple[Any, Any]] = {}

    def start(self) -> None:
        """Get ready to fork workers."""
        import_for_tasks()
        supervise_promptly()
        super().start()

    def has_task(self, task_instance: Any) -> bool:
        """Return whether a leg of this task instance is queued or under way."""
        return task_instance.key in self._under_way or super().has_task(task_instance)

    def change_state(
        self, key: Any, state: Any, info: Any = None, remove_running: bool = True
    ) -> None:
        """Take note that a leg has ended."""
        self._under_way.discard(key)
        self._held_since.pop(key, None)
        super().change_state(key, state, info, remove_running)

    def _get_workloads_to_schedule(self, open_slots: int) -> list[tuple[Any, Any]]:
        # What has ended by now must be known before anything begins.
        self._read_results()
        # All of them, so that one that is held does not stand in the way of those behind it.
        queued = super()._get_workloads_to_schedule(
            len(self.queued_callbacks) + len(self.queued_tasks)
        )
        ready = [(key, workload) for key, workload in queued if not self._held(key)]
        return ready[: max(open_slots, 0)]

    def _process_workloads(self, workload_list: Sequence[Any]) -> None:
        for workload in workload_list:
            self._under_way.add(workload.key)
            self._held_since.pop(workload.key, None)
        super()._process_workloads(workload_list)  # type: ignore[no-untyped-call]

    def _read_results(self) -> None:
        while not self.result_queue.empty():
            key, state, info = self.result_queue.get()
            if state == _TAKEN:
                pid, failure = info  # type: ignore[misc]
                self._at_work[pid] = (key, failure)
                continue
            if state in (TaskInstanceState.SUCCESS, TaskInstanceState.FAILED):
                self._at_work = {
                    pid: (other, failure)
                    for pid, (other, failure) in self._at_work.items()
                    if other != key
                }
            self.change_state(key, state)

    def _check_workers(self) -> None:
        dead = [pid for pid, worker in self.workers.items() if not worker.is_alive()]
        # What they have still reported comes first.
        self._read_results()
        for pid in dead:
            if (left := self._at_work.pop(pid, None)) is not None:
                self.log.error("Worker %s is dead; what it was at is failed: %s", pid, left[0])
                self.change_state(*left)
        super()._check_workers()  # type: ignore[no-untyped-call]

    def _spawn_worker(self) -> None:
        if not self.workers:
            self._share_by_locks_that_outlive_their_holders()
            self._have_workers_say_what_they_take()
        super()._spawn_worker()  # type: ignore[no-untyped-call]

    def _share_by_locks_that_outlive_their_holders(self) -> None:
        """Nobody is there who could hold the locks, so they can be replaced."""
        self.activity_queue._rlock = ProcessLock()  # type: ignore[attr-defined]
        self.result_queue._wlock = ProcessLock()  # type: ignore[attr-defined]
        unread = self._unread_messages.get_obj().value
        self._unread_messages = multiprocessing.Value(ctypes.c_uint, unread, lock=ProcessLock())  # type: ignore[call-overload]

    def _have_workers_say_what_they_take(self) -> None:
        take, results = self.activity_queue.get, self.result_queue

        def taking() -> Any:
            workload = take()
            if workload is not None:
                results.put((workload.key, _TAKEN, (os.getpid(), workload.failure_state)))  # type: ignore[arg-type]
            return workload

        # Forked workers take the queue as it is here.
        if "get" not in vars(self.activity_queue):
            self.activity_queue.get = taking  # type: ignore[method-assign]

    def _held(self, key: Any) -> bool:
        if key not in self._under_way:
            return False
        since = self._held_since.setdefault(key, time.monotonic())
        return time.monotonic() - since < PATIENCE_SECONDS


def import_for_tasks() -> None:
    """Import what tasks would import one after the other."""
    for name in _PACKAGES:
        for module in pkgutil.iter_modules(importlib.import_module(name).__path__, f"{name}."):
            importlib.import_module(module.name)
    for name in _MODULES:
        importlib.import_module(name)
