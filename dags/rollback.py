"""# Rollback

Back to the version before, or to an earlier one, in the plan's six steps (section 4.4). Each step
reads back what it did and names its owner; each is done once, however often its task runs.

A database is restored only where that was asked for, and only after two people other than the one
who asked have agreed to the number of writes that it costs. Where a release failed before anybody
was led to it, and has migrated the database, a restore leads what serves back to its own schema.

From the first step on the service is locked until a second person unlocks it (`./hims unlock`).
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, chain

from release_control.forms.rollback import rollback_form
from release_control.operators.rollback import (
    CountWritesOperator,
    OpenRollbackOperator,
    RestoreVoteOperator,
    RollbackStepOperator,
)


def step(name: str, **options: object) -> RollbackStepOperator:
    """Make the task for one of the six steps; its note says who answers for it."""
    return RollbackStepOperator(task_id=name, step=f"steps.{name}", **options)


with DAG(
    dag_id="rollback",
    dag_display_name="Rollback",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=4,
    allowed_run_types=["manual"],
    is_paused_upon_creation=False,
    params=rollback_form(),
    tags=["release"],
    doc_md=__doc__,
    default_args={
        "owner": "release-control",
        "retries": 3,
        "retry_delay": timedelta(seconds=5),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=1),
    },
):
    count = CountWritesOperator(task_id="count_lost_writes")
    votes = RestoreVoteOperator.partial(
        task_id="approve_database_restore",
        task_display_name="Approve database restore",
        map_index_template="{{ task.title }}",
        response_timeout=timedelta(hours=24),
    ).expand_kwargs(count.output)
    chain(
        OpenRollbackOperator(task_id="open_rollback"),
        step("stop_new_deployment", doc_md="Owner: Operations"),
        step("restore_previous_version", doc_md="Owner: Operations"),
        count,
        votes,
        # Counts the ledger's votes itself; without a restore there are none to wait for.
        step("restore_database", doc_md="Owner: Operations Manager", trigger_rule="none_failed"),
        step("restore_configuration", doc_md="Owner: Operations"),
        step("invalidate_caches", doc_md="Owner: Operations"),
        step("verify", doc_md="Owner: QA lead"),
    )
