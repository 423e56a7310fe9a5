"""# Audit sweep

Is everything that happened on record? Reads Airflow's own event log for acts by hand that the
ledger lacks, looks whether policy has changed, and compares the clocks.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from release_control.notifiers.run_failed import RunFailedNotifier
from release_control.operators.watch import (
    CheckClocksOperator,
    NotePoliciesOperator,
    SweepEventLogOperator,
)

with DAG(
    dag_id="audit_sweep",
    dag_display_name="Audit sweep",
    schedule=timedelta(minutes=15),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    allowed_run_types=["manual", "scheduled", "operator_triggered"],
    max_active_runs=1,
    is_paused_upon_creation=False,
    dagrun_timeout=timedelta(minutes=10),
    tags=["audit"],
    doc_md=__doc__,
    default_args={
        "owner": "release-control",
        "on_failure_callback": RunFailedNotifier(),
        "retries": 2,
        "retry_delay": timedelta(seconds=20),
        "execution_timeout": timedelta(minutes=5),
    },
):
    SweepEventLogOperator(task_id="sweep_event_log")
    NotePoliciesOperator(task_id="note_policies")
    CheckClocksOperator(task_id="check_clocks")
