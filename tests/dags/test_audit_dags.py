"""The audit Dags load, and have the shape that the plan and the design give them."""

from __future__ import annotations

import pytest
from airflow.dag_processing.dagbag import DagBag

from tests.dags.conftest import ROOT


@pytest.fixture(scope="module")
def bag() -> DagBag:
    return DagBag(str(ROOT / "dags"))


@pytest.mark.parametrize(
    ("dag_id", "tasks"),
    [
        (
            "audit_response",
            ["open_audit", "decide_preparation", "decide_evidence", "decide_gaps",
             "decide_remediation", "decide_follow_up"],
        ),
        ("access_review", ["write_access_review", "decide_access_review"]),
        (
            "incident",
            ["open_incident", "watch_clocks", "decide_response", "decide_over",
             "decide_what_happened", "decide_root_cause", "decide_resolution",
             "decide_prevention", "decide_lessons", "hold_review"],
        ),
        ("audit_sweep", ["sweep_event_log", "note_policies", "check_clocks"]),
    ],
)  # fmt: skip
def test_an_audit_dag_has_its_tasks(bag: DagBag, dag_id: str, tasks: list[str]) -> None:
    assert bag.import_errors == {}
    dag = bag.dags[dag_id]
    assert [task.task_id for task in dag.tasks] == tasks
