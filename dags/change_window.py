"""# Change window

A run at every opening of a change window, for as long as it is open:

announce the opening → start what is due, by priority and one at a time on a system → report what is
unfinished

Changes wait as rows in the ledger. What a freeze keeps closed is not started; a change on which the
window closes does what it declared: finish, hold or roll back. To open a window by hand, trigger
this with `{"start": "2026-11-28T07:00:00Z", "end": "2026-11-28T09:00:00Z"}`, or with nothing for
the next one.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from release_control.operators.change_window import (
    AnnounceOpeningOperator,
    CloseOpeningOperator,
    StartDueChangesOperator,
)
from release_control.timetables.change_window import ChangeWindowTimetable

with DAG(
    dag_id="change_window",
    dag_display_name="Change window",
    schedule=ChangeWindowTimetable("calendar.yaml"),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    allowed_run_types=["manual", "scheduled", "operator_triggered"],
    max_active_runs=8,
    is_paused_upon_creation=False,
    tags=["change"],
    doc_md=__doc__,
    default_args={
        "owner": "release-control",
        "retries": 5,
        "retry_delay": timedelta(seconds=5),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=5),
    },
):
    # Side by side: a channel that is slow to take the news does not hold up the changes.
    AnnounceOpeningOperator(task_id="announce_opening")
    # Before the tasks of trains that wake at the same instant: it is short, and many wait for it.
    start_due_changes = StartDueChangesOperator(
        task_id="start_due_changes", priority_weight=100, weight_rule="absolute"
    )
    # Also when nothing could be started: the report says so.
    start_due_changes >> CloseOpeningOperator(task_id="close_window", trigger_rule="all_done")
