"""# Change request

A change is asked for: by this form, or by a file under `config/changes`.

validate → submit → assess (risk, conflicts) → before the board

The run ends there. What waits for votes is a row in the ledger; `./hims change show ID` and
`./hims change why ID` say how it stands. An emergency calls its board at once.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, chain

from release_control.forms.change import change_form
from release_control.operators.change_request import (
    AssessChangeOperator,
    CallBoardOperator,
    SubmitChangeOperator,
    ValidateRequestOperator,
)

with DAG(
    dag_id="change_request",
    dag_display_name="Change request",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    allowed_run_types=["manual"],
    is_paused_upon_creation=False,
    params=change_form(),
    tags=["change"],
    doc_md=__doc__,
    default_args={
        "owner": "release-control",
        "retries": 3,
        "retry_delay": timedelta(seconds=5),
    },
):
    submit = SubmitChangeOperator(task_id="submit_change")
    assess = AssessChangeOperator(task_id="assess_change", change=submit.output)
    call = CallBoardOperator(task_id="call_board", assessed=assess.output)
    chain(ValidateRequestOperator(task_id="validate_request"), submit, assess, call)
