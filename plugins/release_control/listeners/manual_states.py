"""Hears in the api-server which task instances and runs somebody has given a state by hand.

Airflow calls these hooks in every process; only inside a write through the API is there anything to
note. Nothing heavy is imported here: workers load it for every task.
"""

from __future__ import annotations

from typing import Any

from airflow.listeners import hookimpl

from release_control.access.touched import note


@hookimpl
def on_task_instance_success(previous_state: Any, task_instance: Any) -> None:
    """Note a task instance that was marked successful."""
    _task(task_instance, "success")


@hookimpl
def on_task_instance_failed(previous_state: Any, task_instance: Any, error: Any) -> None:
    """Note a task instance that was marked failed."""
    _task(task_instance, "failed")


@hookimpl
def on_task_instance_skipped(previous_state: Any, task_instance: Any) -> None:
    """Note a task instance that was marked skipped."""
    _task(task_instance, "skipped")


@hookimpl
def on_dag_run_success(dag_run: Any, msg: str) -> None:
    """Note a run that was marked successful."""
    note({"dag_id": dag_run.dag_id, "run_id": dag_run.run_id, "state": "success"})


@hookimpl
def on_dag_run_failed(dag_run: Any, msg: str) -> None:
    """Note a run that was marked failed."""
    note({"dag_id": dag_run.dag_id, "run_id": dag_run.run_id, "state": "failed"})


def _task(instance: Any, state: str) -> None:
    note(
        {
            "dag_id": instance.dag_id,
            "run_id": instance.run_id,
            "task_id": instance.task_id,
            "map_index": instance.map_index,
            "state": state,
        }
    )
