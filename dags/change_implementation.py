"""# Change implementation

What was approved is done, in its slot: started by the change window, or at once for an emergency.

go/no-go with the checklist → permit → the declared steps → post-implementation → close

The checklist's items are judged from the ledger where that can be, and by a named person's word
where not. Without a permit nothing is touched; a step that fails is led back, and the change goes
into review.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, Param, chain

from release_control.operators.implementation import (
    ChecklistOperator,
    ImplementationStepOperator,
)

with DAG(
    dag_id="change_implementation",
    dag_display_name="Change implementation",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=16,
    allowed_run_types=["manual", "asset_triggered", "operator_triggered"],
    is_paused_upon_creation=False,
    params={"change": Param(type="string", title="Change", pattern=r"^CHG-[0-9]{6,}$")},
    tags=["change"],
    doc_md=__doc__,
    default_args={
        "owner": "release-control",
        "retries": 2,
        "retry_delay": timedelta(seconds=5),
    },
):
    chain(
        ChecklistOperator(
            task_id="decide_go_no_go",
            task_display_name="Decide go/no-go",
            part="before",
            options=("Go", "No-go"),
        ),
        ImplementationStepOperator(
            task_id="issue_permit", step="issue_permit", trigger_rule="none_failed"
        ),
        ImplementationStepOperator(task_id="implement", step="implement"),
        ChecklistOperator(
            task_id="approve_post_implementation",
            task_display_name="Approve post-implementation",
            part="after",
            options=("Done", "Not done"),
        ),
        ImplementationStepOperator(
            task_id="close_change", step="close_change", trigger_rule="none_failed"
        ),
    )
