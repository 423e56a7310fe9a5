"""# Granted windows

More time that was granted to one change lies outside the hours that the change windows are
scheduled by. A few minutes before it begins, a run of `change_window` is started for it here, and
sleeps until it opens. `./hims window list` shows what was granted.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from release_control.operators.granted_windows import OpenGrantedWindowsOperator

with DAG(
    dag_id="granted_windows",
    dag_display_name="Granted windows",
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
    OpenGrantedWindowsOperator(
        task_id="open_granted_windows", execution_timeout=timedelta(minutes=4)
    )
