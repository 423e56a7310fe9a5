"""# Release train

One release of one service, from feature freeze to production:

plan → feature freeze → code freeze → staging → CAB → window → production → close

Each checkpoint is a person or an instant. Nothing approves by timeout, and a green box is not
enough: the deploy asks the ledger for a permit (`./hims why RELEASE` shows the same list).
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, TaskGroup, chain

from release_control.forms.release import release_form
from release_control.names import RELEASED
from release_control.operators.change import OpenReleaseChangeOperator
from release_control.operators.checkpoint import CheckpointOperator
from release_control.operators.plan import FreezeReleasePlanOperator
from release_control.operators.seat_vote import SeatVoteOperator
from release_control.operators.step import StepOperator
from release_control.sensors.change_window import ChangeWindowSensor
from release_control.sensors.freeze import FreezeSensor
from release_control.sensors.instant import PlanInstantSensor


def step(name: str, **options: object) -> StepOperator:
    """Make the task for the domain's step `phase.function`."""
    return StepOperator(task_id=name.partition(".")[2], step=name, **options)


def phase(title: str, tooltip: str) -> TaskGroup:
    """Make the group of one phase's tasks; its id is the title's."""
    name = title.lower().replace(" ", "_")
    return TaskGroup(name, group_display_name=title, tooltip=tooltip)


with DAG(
    dag_id="release_train",
    dag_display_name="Release train",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    max_active_runs=16,
    allowed_run_types=["manual"],
    is_paused_upon_creation=False,
    params=release_form(),
    tags=["release"],
    doc_md=__doc__,
    default_args={
        "owner": "release-control",
        "weight_rule": "upstream",  # who is further goes first
        "retries": 5,
        "retry_delay": timedelta(seconds=5),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=5),
    },
):
    with phase("Plan", "Freeze the release plan: dates, commits, people, gates.") as plan:
        FreezeReleasePlanOperator(task_id="freeze_release_plan")

    with phase(
        "Feature freeze", "Nothing new enters; the release branch is cut."
    ) as feature_freeze:
        chain(
            PlanInstantSensor(task_id="wait_feature_freeze", instant="feature_freeze"),
            step("feature_freeze.cut_release_branch"),
        )

    with phase(
        "Code freeze", "One commit is pinned, checked, tested, built and tagged as a candidate."
    ) as code_freeze:
        chain(
            PlanInstantSensor(task_id="wait_code_freeze", instant="code_freeze"),
            step("code_freeze.pin_commit"),
            step("code_freeze.check_commits"),
            step("code_freeze.bump_version"),
            step("code_freeze.run_release_tests"),
            step("code_freeze.build_artefact"),
            step("code_freeze.tag_candidate"),
        )

    with phase(
        "Staging", "The candidate runs where it can hurt nobody, and people accept it."
    ) as staging:
        chain(
            FreezeSensor(task_id="wait_staging_thaw", environment="staging"),
            step("staging.deploy_staging"),
            step("staging.test_staging"),
            CheckpointOperator(
                task_id="approve_uat",
                task_display_name="Approve UAT",
                checkpoint="uat",
                options=("Approve", "Reject"),
            ),
        )

    with phase(
        "CAB", "The Change Advisory Board votes on the hash of exactly this candidate."
    ) as cab:
        open_change = OpenReleaseChangeOperator(task_id="open_change")
        approve_cab = SeatVoteOperator.partial(
            task_id="approve_cab",
            task_display_name="CAB vote",
            map_index_template="{{ task.title }}",
        ).expand_kwargs(open_change.output)
        # Counts what the ledger holds, also when a seat was silent: then it says which.
        chain(approve_cab, step("cab.tally_votes", trigger_rule="all_done", optional=True))

    with phase("Window", "Go or no-go, then the change window.") as window:
        chain(
            CheckpointOperator(
                task_id="decide_go_no_go",
                task_display_name="Decide go/no-go",
                checkpoint="go_no_go",
                options=("Go", "No-go"),
            ),
            ChangeWindowSensor(task_id="wait_change_window"),
        )

    with phase(
        "Production", "Proven backup, permit, green, smoke, warm up, permit again, switch, watch."
    ) as production:
        chain(
            step("production.take_backup"),
            step("production.prove_backup"),
            step("production.deploy_green"),
            step("production.smoke_test"),
            step("production.warm_up"),
            step("production.switch_traffic", otherwise="rollback.go_back_at_once"),
            step("production.watch_release", otherwise="rollback.go_back_at_once"),
        )

    with phase("Close", "Final tag, release notes, the change, the retrospective.") as close:
        chain(
            step("close.tag_release"),
            step("close.publish_notes"),
            step("close.close_change"),
            step("close.schedule_retrospective"),
        )

    chain(plan, feature_freeze, code_freeze, staging, cab, window, production, close)
    roll_back = step("rollback.roll_back", trigger_rule="one_failed")
    production >> roll_back
    # The last word, whatever happened: green only if the ledger and production agree.
    [close, roll_back] >> step("close.conclude", trigger_rule="all_done", outlets=[RELEASED])
