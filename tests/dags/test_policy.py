"""What holds for every Dag, whatever it does."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from include.stack.dags import declared_dags
from release_control.operators.step import StepOperator, load_step

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "dags").glob("*.py"))
VENDOR_SDKS = ("boto3", "botocore", "slack_sdk", "kubernetes", "airflow.providers.amazon")


@pytest.fixture(scope="module")
def dags() -> dict[str, Any]:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(ROOT / "dags"))
    assert bag.import_errors == {}
    return dict(bag.dags)


def tasks(dags: dict[str, Any]) -> list[Any]:
    return [task for dag in dags.values() for task in dag.tasks]


REPORTS = {"weekly_change_report", "monthly_quality_report", "quarterly_review"}


def test_every_dag_file_yields_the_dag_of_its_name_and_reports_their_three(
    dags: dict[str, Any],
) -> None:
    assert {path.stem for path in FILES} - {"reports"} | REPORTS == set(dags)
    assert declared_dags() == set(dags)


def test_every_dag_says_whose_it_is_and_what_for(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        assert dag.doc_md
        assert dag.tags
        assert dag.catchup is False
        assert all(task.owner == "release-control" for task in dag.tasks)


def test_every_step_names_a_function_of_the_domain(dags: dict[str, Any]) -> None:
    steps = [task for task in tasks(dags) if isinstance(task, StepOperator)]
    assert len(steps) >= 20
    assert {task.otherwise for task in steps} == {None, "rollback.go_back_at_once"}
    for name in {name for task in steps for name in (task.step, task.otherwise) if name}:
        function = load_step(name)
        assert list(inspect.signature(function).parameters) == ["train"]
        assert inspect.getdoc(function)


def test_people_are_asked_by_name_and_nothing_approves_by_timeout(dags: dict[str, Any]) -> None:
    from airflow.providers.standard.operators.hitl import HITLOperator
    from airflow.sdk.definitions.mappedoperator import MappedOperator

    asked = 0
    for task in tasks(dags):
        kind = task.operator_class if isinstance(task, MappedOperator) else type(task)
        if not issubclass(kind, HITLOperator):
            continue
        asked += 1
        assert task.task_id.split(".")[-1].startswith(("approve_", "decide_")), task.task_id
        if isinstance(task, MappedOperator):
            assert "defaults" not in task.partial_kwargs
        else:
            assert task.defaults is None
    assert asked >= 3


def test_the_past_is_not_run_again(dags: dict[str, Any]) -> None:
    """A backfill clears finished runs, and Airflow lets everybody start one who may start a run."""
    for dag in dags.values():
        assert dag.allowed_run_types, dag.dag_id
        assert "backfill" not in dag.allowed_run_types, dag.dag_id
        if dag.schedule is not None:
            assert {"manual", "scheduled"} <= set(dag.allowed_run_types), dag.dag_id


def test_a_release_train_ends_with_one_word(dags: dict[str, Any]) -> None:
    train = dags["release_train"]
    leaves = [task for task in train.tasks if not task.downstream_task_ids]
    assert [task.task_id for task in leaves] == ["conclude"]
    assert leaves[0].trigger_rule == "all_done"


def test_a_dag_file_reads_like_a_table_of_contents() -> None:
    for path in FILES:
        lines = path.read_text().splitlines()
        assert len(lines) <= 150, f"{path.name} has {len(lines)} lines"
        assert "include." not in path.read_text(), f"{path.name} reaches past the Airflow layer"


def test_parsing_imports_no_vendor_sdk_and_no_domain() -> None:
    program = f"""
import sys
from airflow.dag_processing.dagbag import DagBag
before = set(sys.modules)
bag = DagBag({str(ROOT / "dags")!r})
assert not bag.import_errors, bag.import_errors
import json
print("LOADED" + json.dumps(sorted(set(sys.modules) - before)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("LOADED"))
    loaded = json.loads(line.removeprefix("LOADED"))
    assert [name for name in loaded if name.startswith(VENDOR_SDKS)] == []
    assert [name for name in loaded if name.startswith("include.")] == []


def test_a_dag_is_the_same_however_often_it_is_parsed() -> None:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization

    def parsed() -> dict[str, Any]:
        bag = DagBag(str(ROOT / "dags"))
        return {name: DagSerialization.to_dict(dag) for name, dag in bag.dags.items()}

    assert parsed() == parsed()
