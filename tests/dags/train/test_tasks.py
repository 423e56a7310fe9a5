"""Tasks that do a step, plan a release or wait: what Airflow is told, and what is on record."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRuntimeError,
    AirflowSkipException,
    ErrorType,
    TaskDeferred,
)
from airflow.sdk.execution_time.comms import ErrorResponse

from include.calendar import Span
from include.entries.freeze import Scope, enter_freeze
from include.errors import LedgerError, TargetError
from include.ledger import schema
from include.releases.phases import code_freeze, rollback
from include.releases.train import Done, Train
from release_control.operators.plan import FreezeReleasePlanOperator
from release_control.operators.step import StepOperator
from release_control.sensors.change_window import ChangeWindowSensor
from release_control.sensors.freeze import FreezeSensor
from release_control.sensors.instant import PlanInstantSensor
from tests.dags.airflow_parts import Instance, context
from tests.integration.train.paper import DAG, OPENING, Station, person

Aboard = Callable[[Station], Station]

FORM: dict[str, Any] = {
    "service": "hims-api",
    "version": "2.3.0",
    "release_type": "minor",
    "target_window": "2026-11-28T07:00:00Z",
    "strategy": "blue_green",
    "rehearsal": False,
}


def plan(instance: Instance, *, user: str | None = "rita", **changed: Any) -> dict[str, Any]:
    operator = FreezeReleasePlanOperator(task_id="freeze_release_plan")
    return dict(operator.execute(context(instance, user=user, **{**FORM, **changed})))


def test_the_first_task_freezes_the_plan_in_the_name_of_who_started_the_run(
    station: Station, aboard: Aboard
) -> None:
    aboard(station)
    planned = plan(Instance("freeze_release_plan"))
    assert planned["release"] == "hims-api-2.3.0"
    assert planned["feature_freeze"] == (OPENING - timedelta(days=14)).isoformat()
    (record,) = station.bodies("release.planned")
    assert record["actor"] == {"auth": "airflow-trigger", "name": "Rita Moreno", "user": "rita"}
    assert plan(Instance("freeze_release_plan", try_number=2)) == planned
    assert len(station.bodies("release.planned")) == 1


TAMPERING = [
    "UPDATE release SET plan = jsonb_set(plan, '{votes_needed}', '1')",
    "UPDATE release SET plan = '{}'",
    "UPDATE release SET plan = 'null'",
    "UPDATE release SET plan_hash = 'sha256:0'",
    "DELETE FROM record WHERE event = 'release.planned'",
]


@pytest.mark.parametrize("statement", TAMPERING)
def test_a_plan_that_was_tampered_with_ends_every_task_at_once_and_is_on_record(
    decided: Station, aboard: Aboard, statement: str
) -> None:
    aboard(decided)
    decided.arrange(statement)
    tasks: list[Any] = [
        StepOperator(task_id="take_backup", step="production.take_backup"),
        StepOperator(task_id="tally_votes", step="cab.tally_votes", optional=True),
        ChangeWindowSensor(task_id="wait_change_window"),
    ]
    for task in tasks:
        # A failure that no retry follows; and an optional step is not skipped over it.
        with pytest.raises(AirflowFailException, match="not the one that was frozen"):
            task.execute(context(Instance(task.task_id)))
    found = decided.bodies("ledger.tampered")
    assert [item["source"]["task_id"] for item in found] == [task.task_id for task in tasks]
    assert {item["outcome"] for item in found} == {"failure"}
    assert {item["release"] for item in found} == {"hims-api-2.3.0"}


def test_a_plan_and_its_hash_changed_together_are_found_by_the_record_of_the_freezing(
    decided: Station, aboard: Aboard
) -> None:
    train = decided.train(begin=False)
    forged = train.plan.model_copy(update={"votes_needed": 1})
    changed = json.dumps(forged.content()).replace("'", "''")
    decided.arrange(f"UPDATE release SET plan = '{changed}', plan_hash = '{forged.digest()}'")  # noqa: S608
    aboard(decided)
    with pytest.raises(AirflowFailException, match="not the one that was frozen"):
        StepOperator(task_id="t", step="cab.tally_votes").execute(context(Instance("t")))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"version": "2.3.0; rm -rf /"}, "version: "),
        ({"version": "../../2.3.0"}, "version: "),
        ({"version": "2.2.0"}, "has been released already"),
        ({"version": None}, "version: is required"),
        ({"service": "hims-apo"}, "did you mean"),
        ({"service": {"a": 1}}, "service: is required, as text"),
        ({"target_window": "2026-10-31T06:00:00Z"}, "is in the past"),
        ({"target_window": "tomorrow"}, "is not an instant"),
        ({"strategy": "hope"}, "strategy: "),
        ({"rehearsal": "yes"}, "rehearsal: is true or false"),
        ({"surprise": 1}, "unknown"),
    ],
)
def test_a_bad_request_is_recorded_as_refused_and_ends_the_run(
    station: Station, aboard: Aboard, changed: dict[str, Any], said: str
) -> None:
    aboard(station)
    with pytest.raises(AirflowFailException) as failed:
        plan(Instance("freeze_release_plan"), **changed)
    assert said in str(failed.value)
    (record,) = station.bodies("release.refused")
    assert (record["outcome"], record["reason"], record["actor"]["user"]) == (
        "denied",
        "bad_request",
        "rita",
    )
    assert said in record["message"]
    assert record["source"]["run_id"] == "run-1"
    assert station.rows(schema.release) == []


@pytest.mark.parametrize("user", ["somebody", None, ""])
def test_a_release_is_asked_for_by_somebody_who_is_known(
    station: Station, aboard: Aboard, user: str | None
) -> None:
    aboard(station)
    with pytest.raises(AirflowFailException, match=r"whom config/people\.yaml does not know"):
        plan(Instance("freeze_release_plan"), user=user)
    assert len(station.bodies("release.refused")) == 1
    assert station.rows(schema.release) == []


def api_error(status: int | None) -> AirflowRuntimeError:
    detail = None if status is None else {"status_code": status}
    return AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail))


def test_a_run_that_airflow_no_longer_knows_is_taken_over(station: Station, aboard: Aboard) -> None:
    aboard(station).begin("run-0")
    plan(Instance("freeze_release_plan", states={"run-0": api_error(404)}))
    assert station.train("run-1", begin=False).plan.attempt == 2


@pytest.mark.parametrize("state", ["failed", "success"])
def test_a_run_that_ended_without_a_word_is_taken_over(
    station: Station, aboard: Aboard, state: str
) -> None:
    aboard(station).begin("run-0")
    plan(Instance("freeze_release_plan", states={"run-0": state}))
    assert station.train("run-1", begin=False).plan.attempt == 2


@pytest.mark.parametrize("error", [api_error(500), api_error(None), ConnectionError("refused")])
def test_a_run_that_cannot_be_asked_about_may_be_alive(
    station: Station, aboard: Aboard, error: Exception
) -> None:
    aboard(station).begin("run-0")
    with pytest.raises(type(error)):
        plan(Instance("freeze_release_plan", states={"run-0": error}))
    assert station.train("run-0", begin=False).plan.attempt == 1


def test_a_run_that_is_alive_is_left_alone(station: Station, aboard: Aboard) -> None:
    aboard(station).begin("run-0")
    with pytest.raises(AirflowFailException, match="is under way in run run-0"):
        plan(Instance("freeze_release_plan", states={"run-0": "running"}))
    assert len(station.bodies("release.refused")) == 1


def step(name: str = "code_freeze.pin_commit", **options: Any) -> StepOperator:
    return StepOperator(task_id=name.partition(".")[2], step=name, **options)


def run(operator: Any, run_id: str = "run-1") -> Any:
    return operator.execute(context(Instance(operator.task_id, run_id=run_id)))


def test_a_step_s_no_fails_the_task_for_good(
    built: Station, aboard: Aboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    aboard(built)
    no = Done(ok=False, reason="tests_failed", message="2 tests failed")
    monkeypatch.setattr(code_freeze, "pin_commit", lambda train: no)
    with pytest.raises(AirflowFailException, match="2 tests failed"):
        run(step())


@pytest.mark.parametrize("broken", [False, True], ids=["", "and that fails"])
def test_what_a_no_leads_to_is_begun_in_the_same_task(
    built: Station, aboard: Aboard, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    aboard(built)
    told = iter([Done(message="fine"), Done(ok=False, reason="error_rate", message="6 failed")])
    begun: list[str] = []

    def go_back(train: Train) -> Done:
        begun.append(train.release)
        if broken:
            raise TargetError("slot blue does not answer")
        return Done(message="back")

    monkeypatch.setattr(code_freeze, "pin_commit", lambda train: next(told))
    monkeypatch.setattr(rollback, "go_back_at_once", go_back)
    operator = step(otherwise="rollback.go_back_at_once")
    run(operator)
    assert begun == []
    with pytest.raises(AirflowFailException, match="6 failed"):
        run(step(otherwise="rollback.go_back_at_once"))
    assert begun == ["hims-api-2.3.0"]


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (TargetError("slot blue does not answer"), TargetError),
        (LedgerError("the ledger refuses"), LedgerError),
        (OSError(28, "No space left"), OSError),
        (KeyError("version"), AirflowFailException),
        (ZeroDivisionError(), AirflowFailException),
    ],
)
def test_what_may_get_better_is_tried_again_and_a_defect_is_not(
    built: Station,
    aboard: Aboard,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    raised: type[Exception],
) -> None:
    aboard(built)

    def breaks(train: Train) -> Done:
        raise error

    monkeypatch.setattr(code_freeze, "pin_commit", breaks)
    with pytest.raises(raised):
        run(step())


def test_a_step_that_is_not_needed_is_skipped(built: Station, aboard: Aboard) -> None:
    aboard(built)
    with pytest.raises(AirflowSkipException, match="production was not touched"):
        run(step("rollback.roll_back"))


def test_a_run_without_a_train_fails_at_its_first_step(station: Station, aboard: Aboard) -> None:
    aboard(station)
    with pytest.raises(AirflowFailException, match="knows no release that run run-1 drives"):
        run(step())
    with pytest.raises(AirflowSkipException):
        run(step("cab.tally_votes", optional=True))


def test_a_task_marked_successful_by_hand_stops_the_next_one(
    station: Station, aboard: Aboard
) -> None:
    """`pin_commit` never ran; Airflow shows it green."""
    aboard(station).begin()
    with pytest.raises(AirflowFailException, match="marked successful by hand counts for nothing"):
        run(step("code_freeze.check_commits"))


def test_the_plan_s_instants_are_slept_until(station: Station, aboard: Aboard) -> None:
    aboard(station).begin()
    sensor = PlanInstantSensor(task_id="wait_code_freeze", instant="code_freeze")
    due = OPENING - timedelta(days=7)
    with pytest.raises(TaskDeferred) as deferred:
        run(sensor)
    assert deferred.value.trigger.serialize()[1]["instant"] == due.isoformat()
    station.clock.now = due
    assert run(sensor) == due.isoformat()


def freeze(station: Station, start: datetime, end: datetime, environment: str) -> None:
    olga = station.people.find("olga")
    assert olga is not None
    with station.ledger.write(person("olga"), DAG, station.clock()) as unit:
        assert enter_freeze(
            unit,
            olga,
            kind="freeze",
            span=Span(start, end),
            scope=Scope(environments=(environment,)),
            owner=olga,
            reason="Load test",
        ).ok


def test_a_freeze_of_staging_is_slept_out(built: Station, aboard: Aboard) -> None:
    now = aboard(built).clock.now
    sensor = FreezeSensor(task_id="wait_staging_thaw", environment="staging")
    assert run(sensor) == "nothing is frozen in staging"
    freeze(built, now, now + timedelta(hours=30), "production")
    assert run(sensor) == "nothing is frozen in staging"
    freeze(built, now, now + timedelta(hours=3), "staging")
    freeze(built, now + timedelta(hours=3), now + timedelta(hours=28), "*")
    with pytest.raises(TaskDeferred) as deferred:
        run(sensor)
    asleep = deferred.value.trigger.serialize()[1]
    assert asleep["instant"] == (now + timedelta(hours=28)).isoformat()
    assert "in 1 d 4 h: freeze FRZ-000002" in asleep["waiting"]
    built.clock.now = now + timedelta(hours=28)
    assert run(sensor) == "nothing is frozen in staging"


def test_a_freeze_that_outlasts_the_approval_fails_at_once(built: Station, aboard: Aboard) -> None:
    now = aboard(built).clock.now
    freeze(built, now, OPENING + timedelta(days=15), "staging")
    with pytest.raises(AirflowFailException, match="the approval of this train ends"):
        run(FreezeSensor(task_id="wait_staging_thaw", environment="staging"))
    (record,) = built.bodies("freeze.waiting")
    assert (record["outcome"], record["reason"]) == ("failure", "no_thaw")
