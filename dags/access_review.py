"""# Access review

Every Monday: who may do what, what they did with it in the past week, and what needs a look. The
review is kept as evidence; whoever has the right `review_access` confirms it or asks for changes.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, CronTriggerTimetable, chain

from release_control.operators.question import QuestionOperator, WriteAccessReviewOperator

with DAG(
    dag_id="access_review",
    dag_display_name="Access review",
    schedule=CronTriggerTimetable("0 7 * * MON", timezone="America/New_York"),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    allowed_run_types=["manual", "scheduled", "operator_triggered"],
    max_active_runs=2,
    is_paused_upon_creation=False,
    tags=["audit"],
    doc_md=__doc__,
    default_args={
        "owner": "release-control",
        "retries": 5,
        "retry_delay": timedelta(minutes=1),
    },
):
    chain(
        WriteAccessReviewOperator(task_id="write_access_review"),
        QuestionOperator(
            task_id="decide_access_review",
            task_display_name="Decide access review",
            desk="access.weekly_review",
            step="access review",
            options=("Confirm", "Changes needed"),
        ),
    )
