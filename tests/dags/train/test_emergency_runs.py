"""The runs of emergencies, looked after: started once, begun again where they fail."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.standard.operators import hitl
from airflow.sdk.exceptions import AirflowSkipException, ErrorType, TaskAwaitingInput
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import (
    DagRunStateResult,
    ErrorResponse,
    GetDagRunState,
    OKResponse,
    TriggerDagRun,
)

from include.changes.broken_run import MOST
from include.changes.implementing import implement
from include.changes.meeting import open_meeting
from include.changes.standstill import lead_back
from include.ledger import schema
from release_control.operators.change_request import CallBoardOperator
from release_control.operators.seat_ballot import SeatBallotOperator
from release_control.operators.urgent_changes import BeginAgainOperator, StartEmergenciesOperator
from tests.dags.airflow_parts import Instance, context
from tests.integration.changes.office import MONDAY, Office
from tests.integration.changes.test_implementing import approved, begin


class Supervisor:
    """What a task's supervisor answers about runs; each goes on until a test ends it."""

    def __init__(self) -> None:
        self.runs: dict[str, str] = {}
        self.begun: list[tuple[str, bool]] = []
        self.deleted: set[str] = set()

    def send(self, message: Any) -> Any:
        if isinstance(message, GetDagRunState):
            if message.run_id in self.deleted:
                gone = {"status_code": 404, "message": "not found"}
                return ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=gone)
            return DagRunStateResult(state=self.runs[message.run_id])
        assert isinstance(message, TriggerDagRun)
        run_id = str(message.run_id)
        if run_id in self.runs and not message.reset_dag_run:
            return ErrorResponse(error=ErrorType.DAGRUN_ALREADY_EXISTS)
        self.runs[run_id] = "running"
        self.deleted.discard(run_id)
        self.begun.append((run_id, bool(message.reset_dag_run)))
        return OKResponse(ok=True)


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    found = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", found, raising=False)
    return found


def look() -> list[str]:
    operator = StartEmergenciesOperator(task_id="start_emergencies")
    return operator.execute(context(Instance("start_emergencies", dag_id="urgent_changes")))


def test_a_board_that_was_called_is_not_called_again_by_a_second_try(airflow: Supervisor) -> None:
    assessed = {"change": "CHG-000001", "type": "emergency", "state": "authorizing"}
    ran = [
        CallBoardOperator(task_id="call_board", assessed=assessed).execute(
            context(Instance("call_board", dag_id="change_request"))
        )
        for _ in range(2)
    ]
    assert airflow.begun == [(ran[0], False)]
    assert ran[0] == ran[1]
    with pytest.raises(AirflowSkipException, match="waits for the board's meeting"):
        CallBoardOperator(task_id="call_board", assessed={**assessed, "type": "normal"}).execute(
            context(Instance("call_board", dag_id="change_request"))
        )


def test_a_seat_is_not_asked_about_more_than_its_form_has_shown(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow keeps a task's first form, also for its next try."""
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **question: None)
    change, _ = office.submit()
    assert open_meeting(office.desk(), "run-1", None)
    asked = SeatBallotOperator(
        task_id="approve_change", change=change.id, seat="technical_lead", title="Technical Lead"
    )
    here = context(Instance("approve_change", dag_id="cab_ballot"))
    for _ in range(2):
        with pytest.raises(TaskAwaitingInput):
            asked.execute(here)
    edited, _ = office.edit(change, description="Something else")
    assert edited.state == "authorizing"
    with pytest.raises(AirflowSkipException, match="nothing to ask"):
        asked.execute(here)


def test_a_run_that_fails_begins_again_and_one_that_runs_is_left_alone(
    office: Office, airflow: Supervisor
) -> None:
    office.incident("INC-1", "P1", "cache")
    change, _ = office.submit(
        type="emergency", schedule=None, approvals_required=None, incident="INC-1",
        impact_assessment={"affected_systems": ["cache"]},
    )  # fmt: skip
    assert look() == []
    for seat in ("technical_lead", "security_officer"):
        office.vote(change, seat)
    assert look() == [change.id]
    assert look() == []
    ((run_id, anew),) = airflow.begun
    assert not anew
    for _ in range(MOST):
        airflow.runs[run_id] = "failed"
        assert look() == [change.id]
        assert look() == []
    assert airflow.begun[1:] == [(run_id, True)] * MOST
    airflow.runs[run_id] = "failed"
    assert look() == look() == []
    told = [row for row in office.rows(schema.notice) if row.event == "change.stands_still"]
    assert len(told) == 1
    airflow.runs[run_id] = "success"
    assert look() == []


def look_at_runs() -> list[str]:
    """Return what the Dag that looks after changes has begun again."""
    operator = BeginAgainOperator(task_id="begin_again")
    return operator.execute(context(Instance("begin_again", dag_id="urgent_changes")))


@pytest.mark.parametrize("ended", ["failed", "success", None])
def test_a_run_that_ended_before_its_change_begins_again_whatever_the_type(
    office: Office, airflow: Supervisor, ended: str | None
) -> None:
    """Killed, set to success by hand where nobody recorded it, or deleted: the ledger decides."""
    change = approved(office)
    assert begin(office, change).ok
    airflow.runs["run-1"] = "running"
    assert look_at_runs() == []
    for _ in range(MOST):
        if ended is None:
            del airflow.runs["run-1"]
            airflow.deleted.add("run-1")
        else:
            airflow.runs["run-1"] = ended
        assert look_at_runs() == [change.id]
        assert look_at_runs() == []
    assert airflow.begun == [("run-1", True)] * MOST
    airflow.runs["run-1"] = "failed"
    assert look_at_runs() == look_at_runs() == []
    told = [row for row in office.rows(schema.notice) if row.event == "change.stands_still"]
    assert len(told) == 1


def test_a_run_that_waits_for_words_on_what_is_to_be_led_back_is_begun_again_once(
    office: Office, airflow: Supervisor
) -> None:
    change = approved(office)
    assert begin(office, change).ok
    airflow.runs["run-1"] = "running"
    # In the middle of its steps it sees by itself what is asked of it.
    assert lead_back(office.desk("olga"), change.id, "wrong").ok
    assert look_at_runs() == []
    assert implement(office.desk(), change.id, "run-1").reason == "led_back"

    other = approved(office)
    assert begin(office, other).ok
    assert implement(office.desk(), other.id, "run-1").ok
    assert look_at_runs() == []
    assert lead_back(office.desk("olga"), other.id, "wrong").ok
    assert look_at_runs() == [other.id]
    assert look_at_runs() == []
    assert airflow.begun == [("run-1", True)]


def test_a_change_that_cannot_be_judged_keeps_no_other_from_going_on(
    office: Office, airflow: Supervisor
) -> None:
    done = approved(office)
    assert begin(office, done).ok
    assert implement(office.desk(), done.id, "run-1").ok
    office.clock.now = MONDAY
    other = approved(office, impact_assessment={"affected_systems": ["cache"]})
    assert begin(office, other).ok
    airflow.runs["run-1"] = "failed"
    office.settings.config_file("risk.yaml").write_text("[")
    operator = BeginAgainOperator(task_id="begin_again")
    begun = operator.execute(context(Instance("begin_again", dag_id="urgent_changes")))
    assert begun == [other.id]
