"""# Deliver notices

Every task delivers the notices that it queues. What a channel did not take then (Slack was down, or
asked us to slow down) stays in the ledger's outbox and goes out from here, in order.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from release_control.operators.deliver_notices import DeliverNoticesOperator

with DAG(
    dag_id="deliver_notices",
    dag_display_name="Deliver notices",
    schedule=timedelta(minutes=5),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    allowed_run_types=["manual", "scheduled", "operator_triggered"],
    max_active_runs=1,
    is_paused_upon_creation=False,
    tags=["notices"],
    doc_md=__doc__,
    default_args={"owner": "release-control", "retries": 0},
):
    DeliverNoticesOperator(task_id="deliver_notices", execution_timeout=timedelta(minutes=4))
