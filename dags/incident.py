"""# Incident

open → who answers → until it is over → the review's five parts → changes that follow

Two clocks run from the opening (config/incidents.yaml): until somebody answers, and until it is
over. People are told at 75 % and at 100 % of each. While a P1 or P2 is open, no release gets a
permit for its systems. `./hims incident` does the same from a shell.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, chain

from release_control.forms.incident import incident_form
from release_control.operators.incident import (
    HoldReviewOperator,
    OpenIncidentOperator,
    WatchClocksOperator,
)
from release_control.operators.question import QuestionOperator


def ask(step: str, title: str, option: str = "Told") -> QuestionOperator:
    """Make a human task."""
    return QuestionOperator(
        task_id=f"decide_{step}",
        task_display_name=title,
        desk="incidents.questions",
        step=step,
        options=(option,),
    )


with DAG(
    dag_id="incident",
    dag_display_name="Incident",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    allowed_run_types=["manual"],
    is_paused_upon_creation=False,
    params=incident_form(),
    tags=["incident"],
    doc_md=__doc__,
    default_args={
        "owner": "release-control",
        "retries": 3,
        "retry_delay": timedelta(seconds=5),
    },
):
    opened = OpenIncidentOperator(task_id="open_incident")
    opened >> WatchClocksOperator(task_id="watch_clocks")
    chain(
        opened,
        ask("response", "Who answers", "I am at it"),
        ask("over", "Is it over", "It is over"),
        ask("what_happened", "1 What happened"),
        ask("root_cause", "2 Root cause"),
        ask("resolution", "3 Resolution"),
        ask("prevention", "4 Prevention"),
        ask("lessons", "5 Lessons learned"),
        HoldReviewOperator(task_id="hold_review"),
    )
