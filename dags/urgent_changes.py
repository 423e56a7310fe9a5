"""# Urgent changes

An emergency that was handed in at a shell, a change that was found in production: their board is
called from here, and called again until somebody answers. What its board has approved is
implemented at once: the vote that decides starts it, and what could not start then is started here.
What is owed afterwards (an answer, a review) is said before its time is over, and when it is.

A run of `change_implementation` that ended before its change, whatever its type, is begun again:
what was done is not done twice. After three new beginnings, or where somebody has said no, people
are told; `./hims change again ID` and `./hims change lead-back ID` are how it goes on.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from release_control.operators.urgent_changes import (
    BeginAgainOperator,
    CallBoardsOperator,
    StartEmergenciesOperator,
)

with DAG(
    dag_id="urgent_changes",
    dag_display_name="Urgent changes",
    schedule=timedelta(minutes=5),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    allowed_run_types=["manual", "scheduled", "operator_triggered"],
    max_active_runs=1,
    is_paused_upon_creation=False,
    tags=["change"],
    doc_md=__doc__,
    default_args={"owner": "release-control", "retries": 0},
):
    limit = timedelta(minutes=4)
    # Side by side: a board that cannot be called keeps nothing from being done.
    CallBoardsOperator(task_id="call_boards", execution_timeout=limit)
    StartEmergenciesOperator(task_id="start_emergencies", execution_timeout=limit)
    BeginAgainOperator(task_id="begin_again", execution_timeout=limit)
