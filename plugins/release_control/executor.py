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

Each task is a fork of a worker, and a worker is a fork of the scheduler. What nearly every task of
ours imports is imported once, in the scheduler, and costs no task anything.
"""

from __future__ import annotations

import ctypes
import importlib
import multiprocessing
import pkgutil
import time
from collections.abc import Sequence
from typing import Any

from airflow.executors.local_executor import LocalExecutor

from release_control.process_lock import ProcessLock

# A worker that was killed never reports its leg; after this the next leg goes ahead all the same.
PATIENCE_SECONDS = 10.0


# Packages whose modules the tasks import, and modules beside them: nothing that connects anywhere
# or starts a thread when it is imported.
_PACKAGES = ("include.releases.phases", "include.changes")
_MODULES = (
    "airflow.providers.slack.hooks.slack",
    "include.notices.delivery",
    "include.notices.slack",
)


class PatientLocalExecutor(LocalExecutor):
    """Never has two legs of one task instance under way at once."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)  # type: ignore[no-untyped-call]
        self._under_way: set[Any] = set()
        self._held_since: dict[Any, float] = {}

    def start(self) -> None:
        """Get ready to fork workers."""
        import_for_tasks()
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
        self._read_results()  # type: ignore[no-untyped-call]
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

    def _spawn_worker(self) -> None:
        if not self.workers:
            self._share_by_locks_that_outlive_their_holders()
        super()._spawn_worker()  # type: ignore[no-untyped-call]

    def _share_by_locks_that_outlive_their_holders(self) -> None:
        """Nobody is there who could hold the locks, so they can be replaced."""
        self.activity_queue._rlock = ProcessLock()  # type: ignore[attr-defined]
        self.result_queue._wlock = ProcessLock()  # type: ignore[attr-defined]
        unread = self._unread_messages.get_obj().value
        self._unread_messages = multiprocessing.Value(ctypes.c_uint, unread, lock=ProcessLock())  # type: ignore[call-overload]

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
