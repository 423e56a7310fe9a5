"""What a person answers is in the ledger before anything moves; silence moves nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.standard.operators import hitl
from airflow.sdk.exceptions import AirflowFailException, TaskAwaitingInput
from sqlalchemy import update

import release_control.boarding
from include.errors import LedgerAway
from include.ledger import Subject, schema
from include.releases.phases import cab
from release_control.operators.checkpoint import CheckpointOperator
from release_control.operators.seat_vote import SeatVoteOperator
from tests.dags.airflow_parts import Instance, answer, context, timeout
from tests.integration.train.paper import Station

Aboard = Callable[[Station], Station]


@pytest.fixture
def train_station(built: Station, aboard: Aboard) -> Station:
    return aboard(built)


def uat() -> CheckpointOperator:
    return CheckpointOperator(
        task_id="approve_uat", checkpoint="uat", options=("Approve", "Reject")
    )


def seat(station: Station, name: str = "security_officer") -> SeatVoteOperator:
    """Return the task of a seat that was asked."""
    train = station.train(begin=False)
    assert cab.open_release_change(train).ok
    operator = SeatVoteOperator(task_id="approve_cab", seat=name, title="Security Officer")
    with pytest.raises(TaskAwaitingInput):
        operator.execute(context(Instance("approve_cab")))
    return operator


def complete(operator: Any, event: dict[str, Any]) -> dict[str, Any]:
    return dict(operator.execute_complete(context(Instance(operator.task_id)), event))


def gates(station: Station) -> list[str]:
    return [row.verdict for row in station.rows(schema.gate) if row.name == "uat"]


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return what Airflow was told to ask."""
    questions: list[dict[str, Any]] = []
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **question: questions.append(question))
    return questions


def test_a_checkpoint_asks_the_groups_of_its_plan_and_parks(
    train_station: Station, asked: list[dict[str, Any]]
) -> None:
    with pytest.raises(TaskAwaitingInput) as parked:
        uat().execute(context(Instance("approve_uat")))
    assert parked.value.timeout == train_station.train(begin=False).plan.profile.answers.uat
    (question,) = asked
    assert [item["id"] for item in question["assigned_users"]] == [
        "group:qa_lead",
        "group:business_representative",
    ]
    assert question["defaults"] is None
    assert "2.3.0" in question["body"]
    (record,) = train_station.bodies("checkpoint.asked")
    assert record["source"]["task_id"] == "approve_uat"
    notices = [row for row in train_station.rows(schema.notice) if row.event == "checkpoint.asks"]
    assert notices[0].link.endswith("/tasks/approve_uat/required_actions")


def test_an_approval_is_recorded_and_lets_the_train_go_on(train_station: Station) -> None:
    arrived = complete(uat(), answer("Approve"))
    assert arrived["reason"] == "approved"
    assert gates(train_station) == ["go"]
    (record,) = train_station.bodies("checkpoint.uat")
    assert record["actor"] == {"auth": "airflow-hitl", "name": "Quinn Harper", "user": "quinn"}
    assert record["source"]["task_id"] == "approve_uat"


def test_a_rejection_fails_the_task_for_good_with_the_reason(train_station: Station) -> None:
    with pytest.raises(AirflowFailException, match="no-go by quinn: because"):
        complete(uat(), answer("Reject"))
    assert gates(train_station) == ["no_go"]
    with pytest.raises(AirflowFailException, match="no-go by quinn"):
        complete(uat(), answer("Approve", "bea"))
    assert gates(train_station) == ["no_go"]


def test_silence_is_recorded_and_fails(train_station: Station) -> None:
    with pytest.raises(AirflowFailException, match="nobody answered uat in time"):
        complete(uat(), timeout())
    (record,) = train_station.bodies("checkpoint.unanswered")
    assert (record["outcome"], record["reason"]) == ("failure", "timed_out")
    assert gates(train_station) == []


def test_a_question_that_could_not_be_put_is_recorded_and_fails(train_station: Station) -> None:
    with pytest.raises(AirflowFailException, match="could not be asked: no such table"):
        complete(uat(), {"error": "no such table", "error_type": "unknown"})
    assert train_station.bodies("checkpoint.unanswered")[0]["reason"] == "not_asked"


@pytest.mark.parametrize("who", [None, {}])
def test_an_answer_by_default_is_nobody_s_and_counts_for_nothing(
    train_station: Station, who: dict[str, str] | None
) -> None:
    with pytest.raises(AirflowFailException, match="an answer by default counts for nothing"):
        complete(uat(), answer("Approve", responded_by_user=who, timedout=True))
    (record,) = train_station.bodies("checkpoint.unanswered")
    assert (record["outcome"], record["reason"]) == ("failure", "answered_by_nobody")
    assert gates(train_station) == []


def test_an_answer_of_somebody_who_was_not_asked_counts_for_nothing(train_station: Station) -> None:
    with pytest.raises(AirflowFailException, match="does not answer it"):
        complete(uat(), answer("Approve", "admin"))
    assert gates(train_station) == []
    assert train_station.bodies("checkpoint.refused")[0]["actor"]["user"] == "admin"


@pytest.mark.parametrize(
    "form",
    [None, {}, {"comment": None}, {"comment": 7}, {"comment": "x", "extra": [1]}, {"other": 1}],
)
def test_a_form_that_is_filled_in_badly_costs_nobody_their_answer(
    train_station: Station, form: dict[str, Any] | None
) -> None:
    assert complete(uat(), answer("Approve", params_input=form))["reason"] == "approved"
    assert gates(train_station) == ["go"]


def test_an_option_that_was_never_offered_is_no_approval(train_station: Station) -> None:
    with pytest.raises(ValueError, match="not in"):
        complete(uat(), answer("Sure"))
    assert gates(train_station) == []


def test_a_run_that_drives_no_release_asks_and_records_nothing(train_station: Station) -> None:
    stranger = context(Instance("approve_uat", run_id="run-9"))
    with pytest.raises(AirflowFailException, match="knows no release that run run-9 drives"):
        uat().execute_complete(stranger, answer("Approve"))
    assert gates(train_station) == []


def test_a_vote_is_written_in_the_voter_s_name(train_station: Station) -> None:
    operator = seat(train_station)
    assert complete(operator, answer("Approve", "sam"))["reason"] == "done"
    (row,) = train_station.rows(schema.vote)
    assert (row.seat, row.voter, row.choice, row.comment) == (
        "security_officer",
        "sam",
        "approve",
        "because",
    )
    # Airflow may deliver an answer twice.
    assert complete(operator, answer("Approve", "sam"))["reason"] == "already_voted"
    assert len(train_station.rows(schema.vote)) == 1


def test_a_vote_that_does_not_count_is_recorded_and_the_seat_is_asked_again(
    train_station: Station, asked: list[dict[str, Any]]
) -> None:
    operator = seat(train_station)
    with pytest.raises(TaskAwaitingInput) as parked:
        complete(operator, answer("Approve", "priya"))
    assert parked.value.timeout == train_station.train(begin=False).plan.profile.answers.cab
    assert len(asked) == 2
    (record,) = train_station.bodies("vote.refused")
    assert (record["actor"]["user"], record["outcome"]) == ("priya", "denied")
    assert complete(operator, answer("Approve", "sam"))["reason"] == "done"


def test_a_seat_is_shown_what_the_ledger_says_and_signs_that(
    train_station: Station, asked: list[dict[str, Any]]
) -> None:
    operator = seat(train_station)
    (question,) = asked
    assert question["subject"].startswith("Security Officer: ")
    assert "2.3.0" in question["body"]
    assert [item["id"] for item in question["assigned_users"]] == ["group:security_officer"]
    with train_station.train(begin=False).unit() as unit:
        unit.execute(update(schema.change).values(content_hash="sha256:another"))
        unit.append("test.arranged", Subject(kind="change", id="x"), message="arranged")
    with pytest.raises(TaskAwaitingInput):
        complete(operator, answer("Approve", "sam"))
    assert train_station.rows(schema.vote) == []
    (refused,) = train_station.bodies("vote.refused")
    assert "has changed since it was shown" in refused["message"]


def test_a_seat_is_not_asked_about_more_than_its_form_has_shown(train_station: Station) -> None:
    """Airflow keeps a task's first form, also for its next try."""
    operator = seat(train_station)
    with train_station.train(begin=False).unit() as unit:
        unit.execute(update(schema.change).values(content_hash="sha256:another"))
        unit.append("test.arranged", Subject(kind="change", id="x"), message="arranged")
    with pytest.raises(AirflowFailException, match="was shown another content"):
        operator.execute(context(Instance("approve_cab")))


@pytest.mark.parametrize("task", [uat, None])
def test_what_is_answered_is_not_asked_again_by_a_task_that_was_killed_after_it(
    train_station: Station, asked: list[dict[str, Any]], task: Any
) -> None:
    operator = uat() if task else seat(train_station)
    complete(operator, answer("Approve", "quinn" if task else "sam"))
    questions = len(asked)
    arrived = operator.execute(context(Instance(operator.task_id)))
    assert arrived["reason"] == ("approved" if task else "already_voted")
    assert len(asked) == questions


def test_a_no_stays_a_no_for_a_task_that_was_killed_after_it(train_station: Station) -> None:
    with pytest.raises(AirflowFailException):
        complete(uat(), answer("Reject"))
    with pytest.raises(AirflowFailException, match="no-go by quinn"):
        uat().execute(context(Instance("approve_uat")))


def test_when_the_time_is_over_a_vote_that_does_not_count_ends_its_task(
    train_station: Station,
) -> None:
    operator = seat(train_station)
    train_station.clock.now += train_station.train(begin=False).plan.profile.answers.cab
    with pytest.raises(AirflowFailException, match="does not hold this seat today"):
        complete(operator, answer("Approve", "priya"))


@pytest.mark.parametrize("event", [timeout(), answer("Approve", None)])
def test_a_seat_s_silence_is_recorded_and_casts_nothing(
    train_station: Station, event: dict[str, Any]
) -> None:
    with pytest.raises(AirflowFailException, match="the Security Officer's vote"):
        complete(seat(train_station), event)
    assert train_station.rows(schema.vote) == []
    assert len(train_station.bodies("checkpoint.unanswered")) == 1


def test_an_answer_outlives_a_ledger_that_is_away_for_a_while(train_station: Station) -> None:
    server, name = train_station.server, train_station.database
    assert server is not None
    server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')

    def come_back() -> None:
        time.sleep(1)
        assert server is not None
        server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')

    thread = threading.Thread(target=come_back)
    thread.start()
    try:
        assert complete(uat(), answer("Approve"))["reason"] == "approved"
    finally:
        thread.join()
    assert gates(train_station) == ["go"]


def test_a_ledger_that_stays_away_fails_the_task_in_the_end(
    train_station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release_control.boarding, "LEDGER_PATIENCE", 0.3)
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_CONTROL_DB", "postgres://x:y@127.0.0.1:1/ledger")
    with pytest.raises(LedgerAway, match="does not answer"):
        complete(uat(), answer("Approve"))
