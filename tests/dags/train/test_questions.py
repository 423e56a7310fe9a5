"""Audits are answered and access is reviewed by people, step by step, each word on record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from airflow.providers.standard.operators import hitl
from airflow.sdk.exceptions import AirflowFailException, TaskAwaitingInput

from include.access.audit_response import STEPS
from include.ledger.kept_text import kept_text
from release_control.operators.question import (
    OpenAuditOperator,
    QuestionOperator,
    WriteAccessReviewOperator,
)
from release_control.operators.watch import CheckClocksOperator, NotePoliciesOperator
from tests.dags.airflow_parts import Instance, answer, context, timeout
from tests.integration.train.paper import Station, spoil

Aboard = Callable[[Station], Station]

FORM = {
    "title": "HIPAA security rule 2026",
    "auditor": "Example Auditors",
    "since": "2026-01-01T00:00:00Z",
    "until": "2027-01-01T00:00:00Z",
}


@pytest.fixture
def home(station: Station, aboard: Aboard) -> Station:
    return aboard(station)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return what Airflow was told to ask."""
    questions: list[dict[str, Any]] = []
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **question: questions.append(question))
    return questions


def instance(task_id: str) -> Instance:
    return Instance(task_id, dag_id="audit_response")


def open_audit(**changed: Any) -> str:
    operator = OpenAuditOperator(task_id="open_audit")
    return str(
        operator.execute(context(instance("open_audit"), user="cora", **{**FORM, **changed}))
    )


def ask(step: str) -> QuestionOperator:
    return QuestionOperator(
        task_id=f"decide_{step}", desk="access.audit_response", step=step,
        options=("Done", "Cannot be done"),
    )  # fmt: skip


def say(step: str, option: str = "Done", user: str | None = "cora", **changed: Any) -> Any:
    event = answer(option, user, **changed)
    return ask(step).execute_complete(context(instance(f"decide_{step}")), event)


def test_an_audit_is_answered_in_the_plan_s_five_steps(
    home: Station, asked: list[dict[str, Any]]
) -> None:
    assert open_audit() == open_audit() == "AUD-000001"
    for step in STEPS:
        with pytest.raises(TaskAwaitingInput):
            ask(step).execute(context(instance(f"decide_{step}")))
        assert say(step)["reason"] == "done"
    assert [item["subject"].split(": ")[1] for item in asked] == [
        "Audit notification",
        "Evidence collection",
        "Gap analysis",
        "Remediation",
        "Follow-up",
    ]
    assert {item["id"] for question in asked for item in question["assigned_users"]} == {
        "group:compliance_officer"
    }
    assert all(question["defaults"] is None for question in asked)
    assert "audit pack --from 2026-01-01T00:00:00Z" in asked[1]["body"]
    events = [item["event"] for item in home.bodies("audit")]
    assert events == ["audit.opened", *(f"audit.{step}" for step in STEPS), "audit.closed"]
    (said,) = home.bodies("audit.gaps")
    assert said["actor"]["user"] == "cora"
    with home.ledger.read() as connection:
        assert kept_text(connection, said["details"]["comment"]) == "because"


def test_a_step_that_was_forced_stops_those_behind_it(home: Station) -> None:
    open_audit()
    say("preparation")
    with pytest.raises(AirflowFailException, match="no completed step evidence"):
        ask("gaps").execute(context(instance("decide_gaps")))
    with pytest.raises(AirflowFailException, match="no completed step evidence"):
        say("gaps")
    assert home.bodies("audit.gaps") == []


def test_a_no_is_recorded_and_ends_the_run_and_the_first_word_stands(home: Station) -> None:
    open_audit()
    with pytest.raises(AirflowFailException, match="Cannot be done"):
        say("preparation", "Cannot be done")
    with pytest.raises(AirflowFailException, match="Cannot be done"):
        say("preparation", "Done")
    (record,) = home.bodies("audit.preparation")
    assert record["outcome"] == "failure"


@pytest.mark.parametrize("user", ["rita", "audra", "admin", "stranger"])
def test_who_does_not_answer_audits_is_refused_on_record(home: Station, user: str) -> None:
    open_audit()
    with pytest.raises(AirflowFailException, match="has the right answer_audit"):
        say("preparation", user=user)
    (record,) = home.bodies("audit.preparation_refused")
    assert (record["outcome"], record["actor"]["user"]) == ("denied", user)
    assert say("preparation")["reason"] == "done"


@pytest.mark.parametrize("event", [timeout(), answer("Done", None)])
def test_silence_answers_nothing(home: Station, event: dict[str, Any]) -> None:
    open_audit()
    with pytest.raises(AirflowFailException):
        ask("preparation").execute_complete(context(instance("decide_preparation")), event)
    assert len(home.bodies("question.unanswered")) == 1
    assert home.bodies("audit.preparation") == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"title": ""}, "title: is required"),
        ({"auditor": 7}, "auditor: is required"),
        ({"since": "yesterday"}, 'since: "yesterday" is not an instant'),
        ({"since": "2026-13-45T00:00:00Z"}, "since: .* is not an instant"),
        ({"until": ""}, "until: is required"),
        ({"until": "2026-01-01T00:00:00Z"}, "until: must be after since"),
        ({"title": "the case of MRN 00123456"}, "title: holds what looks like a medical record"),
        ({"auditor": "who asks for MRN 00123456"}, "auditor: holds what looks like a medical"),
    ],
)
def test_a_form_that_makes_no_sense_opens_nothing(
    home: Station, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(AirflowFailException, match=said):
        open_audit(**changed)
    assert home.bodies("audit.opened") == []
    assert open_audit() == "AUD-000001", "no number is lost over it"


def test_a_run_without_an_audit_asks_nothing(home: Station) -> None:
    with pytest.raises(AirflowFailException, match="knows no audit"):
        ask("preparation").execute(context(instance("decide_preparation")))


def review_task() -> QuestionOperator:
    return QuestionOperator(
        task_id="decide_access_review", desk="access.weekly_review", step="access review",
        options=("Confirm", "Changes needed"),
    )  # fmt: skip


def test_the_weekly_review_is_kept_as_evidence_and_confirmed_by_a_reviewer(
    home: Station, asked: list[dict[str, Any]]
) -> None:
    writing = WriteAccessReviewOperator(task_id="write_access_review")
    key = writing.execute(context(instance("write_access_review")))
    assert writing.execute(context(instance("write_access_review"))) == key
    (record,) = home.bodies("access.review_written")
    (evidence,) = record["evidence"]
    path = Path(unquote(urlsplit(evidence["uri"]).path))
    assert evidence["sha256"] == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    assert {row["user"] for row in json.loads(path.read_text())["people"]} >= {"rita", "audra"}
    with pytest.raises(TaskAwaitingInput):
        review_task().execute(context(instance("decide_access_review")))
    (question,) = asked
    assert "Rita Moreno" in question["body"]
    assert [item["id"] for item in question["assigned_users"]] == ["group:compliance_officer"]
    said = review_task().execute_complete(
        context(instance("decide_access_review")), answer("Confirm", "cora")
    )
    assert said["reason"] == "confirm"
    (reviewed,) = home.bodies("access.reviewed")
    assert reviewed["subject"] == {"kind": "access_review", "id": key}


def test_a_review_that_asks_for_changes_ends_red(home: Station) -> None:
    WriteAccessReviewOperator(task_id="w").execute(context(instance("w")))
    with pytest.raises(AirflowFailException, match="Changes needed"):
        review_task().execute_complete(
            context(instance("decide_access_review")), answer("Changes needed", "cora")
        )
    assert home.bodies("access.reviewed")[0]["outcome"] == "failure"


def test_the_sweep_notes_policy_once_and_finds_the_clocks_agree(home: Station) -> None:
    task = NotePoliciesOperator(task_id="note_policies")
    first = task.execute(context(instance("note_policies")))
    count = len(home.bodies())
    assert task.execute(context(instance("note_policies"))) == first
    assert len(home.bodies()) == count
    spoil(home.settings.config_file("approvals.yaml"), "votes: 4", "votes: 3")
    assert task.execute(context(instance("note_policies"))) != first
    assert len(home.bodies("policy.changed")) == 1
    seconds = CheckClocksOperator(task_id="c").execute(context(instance("c")))
    assert abs(seconds) < 1
