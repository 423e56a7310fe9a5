"""Tells the courier when a task begins and when Airflow knows how it ended.

Airflow calls these hooks around every task; other processes only ever stop. Nothing heavy is
imported here: workers load it for every task.
"""

from __future__ import annotations

import os
from typing import Any

from airflow.listeners import hookimpl

from release_control import courier

# How much less it gets of a processor that others want, too (nice(2)).
_BEHIND = 10


@hookimpl
def on_task_instance_running(previous_state: Any, task_instance: Any) -> None:
    """Have notices wait for the end of the task."""
    courier.task_begins()


@hookimpl
def before_stopping(component: Any) -> None:
    """Deliver what the task has queued, behind the tasks that are just starting: a process that
    Airflow knows to have ended its task only has to end some time."""
    if type(component).__name__ == "TaskRunnerMarker":
        os.nice(_BEHIND)
    courier.task_has_ended()
