"""# Backup drill

Weekly: the newest backup of each database is restored into a scratch database and compared with
what was counted when it was taken. Then backups whose retention is over are deleted, never the last
one of a database, nor one that a rollback may still need.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from release_control.notifiers.run_failed import RunFailedNotifier
from release_control.operators.upkeep import (
    DrillOperator,
    NewestBackupsOperator,
    PruneBackupsOperator,
)

with DAG(
    dag_id="backup_drill",
    dag_display_name="Backup drill",
    schedule="0 5 * * 1",
    start_date=pendulum.datetime(2026, 1, 1, tz="America/New_York"),
    catchup=False,
    allowed_run_types=["manual", "scheduled", "operator_triggered"],
    max_active_runs=1,
    is_paused_upon_creation=False,
    tags=["upkeep"],
    doc_md=__doc__,
    default_args={
        "owner": "release-control",
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
        "on_failure_callback": RunFailedNotifier(),
    },
):
    newest = NewestBackupsOperator(task_id="find_newest_backups")
    drills = DrillOperator.partial(task_id="restore_and_compare").expand_kwargs(newest.output)
    # Nothing is deleted while the newest can't be restored.
    drills >> PruneBackupsOperator(task_id="prune_backups", trigger_rule="none_failed")
