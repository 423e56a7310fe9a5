"""# CAB ballot

The Change Advisory Board decides on what waits: on Thursdays at noon, at once for emergencies.

open meeting → one vote per change and seat → minutes

A vote signs the content that was shown, and takes effect when it is cast. Nothing approves by
silence. `./hims change agenda` shows what is coming.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, CronTriggerTimetable, Param, chain

from release_control.operators.seat_ballot import (
    OpenMeetingOperator,
    SeatBallotOperator,
    WriteMinutesOperator,
)

with DAG(
    dag_id="cab_ballot",
    dag_display_name="CAB ballot",
    schedule=CronTriggerTimetable("0 12 * * 4", timezone="America/New_York"),
    start_date=pendulum.datetime(2026, 1, 1, tz="America/New_York"),
    catchup=False,
    allowed_run_types=["manual", "scheduled", "operator_triggered"],
    max_active_runs=16,
    is_paused_upon_creation=False,
    params={
        "changes": Param(
            None,
            type=["array", "null"],
            title="Changes",
            description="Only these, like CHG-000007; empty: all that wait",
        )
    },
    tags=["change"],
    doc_md=__doc__,
    default_args={
        "owner": "release-control",
        "retries": 3,
        "retry_delay": timedelta(seconds=5),
    },
):
    meeting = OpenMeetingOperator(task_id="open_meeting")
    approve = SeatBallotOperator.partial(
        task_id="approve_change",
        task_display_name="Vote",
        map_index_template="{{ task.change }} {{ task.title }}",
    ).expand_kwargs(meeting.output)
    chain(approve, WriteMinutesOperator(task_id="write_minutes", trigger_rule="all_done"))
