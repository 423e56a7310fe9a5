"""Hears when a process of Airflow's starts. Nothing heavy is imported here."""

from __future__ import annotations

import sys
from typing import Any

from airflow.listeners import hookimpl


@hookimpl
def on_starting(component: Any) -> None:
    """Let a triggerer tell of what has fired when it fires.

    Airflow does not say what starts, but for tasks; and only a triggerer has imported what runs
    triggers.
    """
    task = type(component).__name__ == "TaskRunnerMarker"
    if not task and "airflow.jobs.triggerer_job_runner" in sys.modules:
        from release_control.prompt_triggers import tell_promptly

        tell_promptly()
