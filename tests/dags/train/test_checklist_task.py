"""The checklist as a human task: a field for each item, and no yes that names none of them."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from airflow.providers.standard.operators import hitl
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskAwaitingInput

from include.changes.change import Change
from include.ledger import schema
from release_control.operators.implementation import ChecklistOperator, ImplementationStepOperator
from tests.dags.airflow_parts import Instance, answer, context, timeout
from tests.integration.changes.office import IN_WINDOW, Office

ITEMS = ["rollback_plan", "alerts", "team", "test_environment"]


@pytest.fixture
def change(office: Office) -> Change:
    """Return a change in its slot, with everything told and nothing attested."""
    made, _ = office.submit()
    made = office.approve(made)
    office.clock.now = IN_WINDOW
    office.deliver(made)
    return made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return what Airflow was told to ask."""
    questions: list[dict[str, Any]] = []
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **question: questions.append(question))
    return questions


def gate() -> ChecklistOperator:
    return ChecklistOperator(task_id="decide_go_no_go", part="before", options=("Go", "No-go"))


def run_of(change: Change) -> dict[str, Any]:
    return context(Instance("decide_go_no_go", dag_id="change_implementation"), change=change.id)


def ask(change: Change) -> None:
    with pytest.raises(TaskAwaitingInput):
        gate().execute(run_of(change))


def complete(change: Change, event: dict[str, Any]) -> Any:
    # Whoever resumes it is another process: nothing is left of the operator that has asked.
    return gate().execute_complete(run_of(change), event)


def filled(form: Any, option: str = "Go", user: str = "olga") -> dict[str, Any]:
    return answer(option, user, params_input=form)


def test_each_item_has_its_field_and_none_is_filled_in(
    change: Change, asked: list[dict[str, Any]]
) -> None:
    ask(change)
    (question,) = asked
    assert list(question["params"]) == [*ITEMS, "comment"]
    fields = [question["params"][item] for item in ITEMS]
    assert {field["value"] for field in fields} == {"not answered"}
    assert fields[0]["schema"]["enum"] == ["not answered", "done", "not done"]
    assert question["defaults"] is None
    assert {item["id"] for item in question["assigned_users"]} == {
        "group:release_manager", "group:operations_manager",
    }  # fmt: skip


@pytest.mark.usefixtures("asked")
def test_a_go_with_a_word_on_each_item_goes_on(office: Office, change: Change) -> None:
    ask(change)
    form = {**dict.fromkeys(ITEMS, "done"), "comment": "seen"}
    assert complete(change, filled(form))["reason"] == "go"
    assert {row.item for row in office.rows(schema.checklist)} == {*ITEMS, "go_no_go"}
    with pytest.raises(AirflowSkipException):
        gate().execute(run_of(change))


@pytest.mark.parametrize(
    "form",
    [
        None, {}, {"comment": "all of it"}, dict.fromkeys(ITEMS, "not answered"),
        dict.fromkeys(ITEMS, True), dict.fromkeys(ITEMS, "DONE"), {"items": "done"},
        {"backup": "done", "go_no_go": "done", "comment": 7},
    ],
)  # fmt: skip
def test_a_bare_go_is_asked_again_and_says_nothing(
    office: Office, change: Change, asked: list[dict[str, Any]], form: Any
) -> None:
    ask(change)
    with pytest.raises(TaskAwaitingInput):
        complete(change, filled(form))
    assert office.rows(schema.checklist) == []
    assert list(asked[1]["params"]) == [*ITEMS, "comment"]


def test_what_has_its_word_is_not_asked_again_and_the_time_is_not_longer(
    office: Office, change: Change, asked: list[dict[str, Any]]
) -> None:
    ask(change)
    office.clock.now = IN_WINDOW.replace(minute=40)
    with pytest.raises(TaskAwaitingInput) as parked:
        complete(change, filled({"alerts": "done", "team": "done"}))
    assert list(asked[1]["params"]) == ["rollback_plan", "test_environment", "comment"]
    assert parked.value.timeout is not None
    assert parked.value.timeout.total_seconds() == 90 * 60
    rest = {"rollback_plan": "done", "test_environment": "done"}
    assert complete(change, filled(rest))["reason"] == "go"


@pytest.mark.usefixtures("asked")
def test_when_the_time_is_over_an_answer_that_is_not_whole_ends_it(
    office: Office, change: Change
) -> None:
    ask(change)
    office.clock.now = IN_WINDOW.replace(hour=10)
    with pytest.raises(AirflowFailException, match="Rollback plan documented and tested"):
        complete(change, filled({"alerts": "done"}))


@pytest.mark.usefixtures("asked")
def test_a_no_and_silence_end_it(office: Office, change: Change) -> None:
    ask(change)
    with pytest.raises(AirflowFailException, match="says no"):
        complete(change, filled({"alerts": "not done"}, "No-go"))
    assert {row.item: row.verdict for row in office.rows(schema.checklist)} == {
        "alerts": "no_go", "go_no_go": "no_go",
    }  # fmt: skip
    with pytest.raises(AirflowFailException, match="nobody answered in time"):
        complete(change, timeout())


def test_what_is_known_of_an_item_that_needs_a_word_is_told_with_it(
    change: Change, asked: list[dict[str, Any]]
) -> None:
    ask(change)
    body = asked[0]["body"]
    assert "nothing of hims-web in staging" in body.replace("\\", "")
    assert "- Change team assembled (release manager, operations manager)\n" in body


@pytest.mark.usefixtures("asked")
def test_an_answer_outlives_a_file_that_somebody_is_just_writing(
    office: Office, change: Change
) -> None:
    ask(change)
    path = office.settings.config_file("approvals.yaml")
    whole = path.read_text()
    path.write_text(whole[:200])
    writing = threading.Timer(1.0, path.write_text, (whole,))
    writing.start()
    try:
        form = {**dict.fromkeys(ITEMS, "done"), "comment": "seen"}
        assert complete(change, filled(form))["reason"] == "go"
    finally:
        writing.join()


@pytest.mark.usefixtures("asked")
def test_what_is_on_no_way_through_a_slot_is_said_at_once_and_nobody_is_asked(
    office: Office,
) -> None:
    waiting, _ = office.submit()
    for change, words in ((waiting.id, "it is authorizing"), ("CHG-000099", "no change")):
        about = context(Instance("decide_go_no_go", dag_id="change_implementation"), change=change)
        with pytest.raises(AirflowFailException, match=words):
            gate().execute(about)
        permit = ImplementationStepOperator(step="issue_permit", task_id="issue_permit")
        with pytest.raises(AirflowFailException, match=words):
            permit.execute(about)
    assert office.rows(schema.permit) == []
