"""# Audit seal

The ledger is verified as a whole, its newest head is signed and taken out of the database's reach:
daily, and whenever a release has ended well. A ledger that does not verify alarms, freezes releases
until somebody acknowledges it, and is not signed over. `./hims audit verify` asks the same.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable

from release_control.names import RELEASED
from release_control.operators.audit_seal import SealLedgerOperator, VerifyLedgerOperator

with DAG(
    dag_id="audit_seal",
    dag_display_name="Audit seal",
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("30 5 * * *", timezone="UTC"), assets=[RELEASED]
    ),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    allowed_run_types=["manual", "scheduled", "operator_triggered", "asset_triggered"],
    max_active_runs=1,
    is_paused_upon_creation=False,
    tags=["audit"],
    doc_md=__doc__,
    default_args={
        "owner": "release-control",
        "retries": 3,
        "retry_delay": timedelta(minutes=1),
        "execution_timeout": timedelta(hours=1),
    },
):
    VerifyLedgerOperator(task_id="verify_ledger") >> SealLedgerOperator(task_id="seal_ledger")
