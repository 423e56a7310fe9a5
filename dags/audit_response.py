"""# Audit response

An audit is announced. Five steps, each a person's recorded answer:

notification → evidence → gap analysis → remediation → follow-up

The questions come with what the ledger knows. Whoever has the right `answer_audit`
(config/people.yaml) answers; a task marked successful by hand counts for nothing.
"""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG, chain

from release_control.forms.audit import audit_form
from release_control.operators.question import OpenAuditOperator, QuestionOperator


def ask(step: str, title: str) -> QuestionOperator:
    """Make the human task of one of the plan's steps."""
    return QuestionOperator(
        task_id=f"decide_{step}",
        task_display_name=title,
        desk="access.audit_response",
        step=step,
        options=("Done", "Cannot be done"),
    )


with DAG(
    dag_id="audit_response",
    dag_display_name="Audit response",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=4,
    allowed_run_types=["manual"],
    is_paused_upon_creation=False,
    params=audit_form(),
    tags=["audit"],
    doc_md=__doc__,
    default_args={"owner": "release-control", "retries": 2},
):
    chain(
        OpenAuditOperator(task_id="open_audit"),
        ask("preparation", "1 Audit notification"),
        ask("evidence", "2 Evidence collection"),
        ask("gaps", "3 Gap analysis"),
        ask("remediation", "4 Remediation"),
        ask("follow_up", "5 Follow-up"),
    )
