"""# Reconcile

Hourly: what each service really runs in production (version, digest, shares of traffic, settings,
schema) against what the ledger says. Five readings have to agree before anything is concluded.
Drift locks the service's next release and opens a change after the fact.

Slots that stood by longer than their release declared are emptied.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, TaskGroup

from release_control.notifiers.run_failed import RunFailedNotifier
from release_control.operators.upkeep import ServiceUpkeepOperator
from release_control.services import service_names

with DAG(
    dag_id="reconcile",
    dag_display_name="Reconcile",
    schedule=timedelta(hours=1),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    allowed_run_types=["manual", "scheduled", "operator_triggered"],
    max_active_runs=1,
    is_paused_upon_creation=False,
    tags=["upkeep"],
    doc_md=__doc__,
    default_args={
        "owner": "release-control",
        "on_failure_callback": RunFailedNotifier(),
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "execution_timeout": timedelta(minutes=10),
    },
):
    for name in service_names():
        with TaskGroup(name.replace("-", "_"), group_display_name=name):
            # Read first: what is not as written is not to be tidied up.
            read = ServiceUpkeepOperator(
                task_id="compare_with_ledger", job="reconcile.reconcile", service=name
            )
            read >> ServiceUpkeepOperator(
                task_id="reclaim_slot", job="reclaim.reclaim", service=name
            )
