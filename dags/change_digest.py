"""# Change digest

Every Monday morning each team of `config/notices.yaml` is told what is coming to its systems in the
next two weeks: releases on their way, and changes that have booked a slot. `./hims digest` shows
the same at any time.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, CronTriggerTimetable

from release_control.notifiers.run_failed import RunFailedNotifier
from release_control.operators.send_digest import SendDigestOperator

with DAG(
    dag_id="change_digest",
    dag_display_name="Change digest",
    schedule=CronTriggerTimetable("30 7 * * MON", timezone="America/New_York"),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    allowed_run_types=["manual", "scheduled", "operator_triggered"],
    max_active_runs=1,
    is_paused_upon_creation=False,
    tags=["notices"],
    doc_md=__doc__,
    default_args={
        "owner": "release-control",
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
        "on_failure_callback": RunFailedNotifier(),
    },
):
    SendDigestOperator(task_id="send_digest", execution_timeout=timedelta(minutes=5))
