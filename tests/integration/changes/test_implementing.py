"""From the slot to the end: go/no-go, the permit, declared steps, the way back, the review."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from include.changes import checkpoint, implementing
from include.changes.agenda import agenda
from include.changes.change import Change
from include.configuration.flags import flips_of
from include.errors import ConfigError
from include.ledger import Actor, schema
from tests.integration.changes.office import IN_WINDOW, Office
from tests.integration.train.paper import spoil

FLAG = {
    "kind": "flag", "service": "hims-web", "environment": "production",
    "flag": "ai_diagnosis", "value": False,
}  # fmt: skip


def approved(office: Office, **changed: Any) -> Change:
    change, _ = office.submit(**changed)
    change = office.approve(change)
    assert change.state == "scheduled"
    office.clock.now = IN_WINDOW
    office.deliver(change)
    return change


def say(office: Office, change: Change, part: str, by: str = "olga", *, go: bool = True) -> Any:
    desk = office.desk("olga")
    assert checkpoint.ask(desk, change.id, part, key="run-1", link="http://x/y") is not None
    person = Actor(user=by, name=by, auth="airflow-hitl")
    return checkpoint.say(desk, change.id, part, go=go, comment="seen", by=person, key="run-1")


def begin(office: Office, change: Change) -> Any:
    assert say(office, change, "before").ok
    return implementing.start(office.desk("olga"), change.id, "run-1")


def test_without_a_go_nothing_starts(office: Office) -> None:
    change = approved(office)
    ruling = implementing.start(office.desk(), change.id, "run-1")
    assert (ruling.ok, ruling.reason) == (False, "checklist.rollback_plan")
    assert office.load(change).state == "scheduled"
    assert office.rows(schema.permit) == []


def test_only_who_may_answer_gives_the_go(office: Office) -> None:
    change = approved(office)
    ruling = say(office, change, "before", by="devi")
    assert (ruling.ok, ruling.reason) == (False, "not_eligible")
    assert office.records("checklist.refused")[0]["outcome"] == "denied"


def test_who_can_answer_is_told_of_the_question_and_of_the_answer(office: Office) -> None:
    change = approved(office)
    ruling = say(office, change, "before", go=False)
    assert (ruling.ok, ruling.reason) == (False, "no_go")
    notices = {row.event: row for row in office.rows(schema.notice)}
    asks, said = notices["checklist.asks"], notices["checklist.said"]
    assert (asks.link, asks.severity) == ("http://x/y", "action")
    assert "Olga" in dict(asks.fields)["Asked"]
    assert "• Rollback plan documented and tested" in asks.text
    assert said.title == f"{change.id}: go or no-go: no"
    assert implementing.start(office.desk(), change.id, "run-1").reason.startswith("checklist.")


def test_a_go_to_what_was_edited_since_counts_for_nothing(office: Office) -> None:
    change = approved(office)
    desk = office.desk("olga")
    assert checkpoint.ask(desk, change.id, "before", key="run-1") is not None
    office.edit(change, implementation=FLAG)
    person = Actor(user="olga", name="Olga", auth="airflow-hitl")
    ruling = checkpoint.say(
        desk, change.id, "before", go=True, comment="seen", by=person, key="run-1"
    )
    assert (ruling.ok, ruling.reason) == (False, "content_changed")
    assert office.records("checklist.refused")[0]["reason"] == "content_changed"
    assert office.rows(schema.checklist) == []


def test_an_answer_to_what_nobody_asked_counts_for_nothing(office: Office) -> None:
    change = approved(office)
    person = Actor(user="olga", name="Olga", auth="airflow-hitl")
    ruling = checkpoint.say(
        office.desk("olga"), change.id, "before", go=True, comment="", by=person, key="run-1"
    )
    assert (ruling.ok, ruling.reason) == (False, "content_changed")


def test_silence_is_no_go_and_people_are_told(office: Office) -> None:
    change = approved(office)
    desk = office.desk()
    assert checkpoint.ask(desk, change.id, "before", key="run-1") is not None
    why = "nobody answered in time"
    ruling = checkpoint.unanswered(desk, change.id, "before", key="run-1", why=why)
    assert (ruling.ok, ruling.reason) == (False, "unanswered")
    assert office.records("checklist.unanswered")[0]["outcome"] == "failure"
    said = [row for row in office.rows(schema.notice) if row.event == "checklist.unanswered"]
    assert [row.title for row in said] == [f"{change.id}: go or no-go was not answered"]
    assert not implementing.start(desk, change.id, "run-1").ok


def test_nothing_open_is_no_question(office: Office) -> None:
    change = approved(office)
    assert say(office, change, "before").ok
    assert checkpoint.ask(office.desk(), change.id, "before", key="run-2") is None
    asked = [row for row in office.rows(schema.notice) if row.event == "checklist.asks"]
    assert len(asked) == 1


def test_a_flag_is_flipped_under_a_permit_and_the_configuration_is_kept(office: Office) -> None:
    change = approved(office, implementation=FLAG)
    assert begin(office, change).ok
    ruling = implementing.implement(office.desk(), change.id, "run-1")
    assert ruling.ok, ruling.message
    with office.ledger.read() as connection:
        (found,) = flips_of(connection, "hims-web", "production")
    assert (found.name, found.value, found.change) == ("ai_diagnosis", False, change.id)
    (flipped,) = office.records("flag.flipped")
    assert flipped["difference"] == {"features.ai_diagnosis": {"from": True, "to": False}}
    (kept,) = office.rows(schema.configuration)
    assert kept.digest == flipped["details"]["after"]
    assert office.load(change).state == "validating"


def test_it_closes_when_everything_after_it_is_done(office: Office) -> None:
    change = approved(office, implementation=FLAG)
    begin(office, change)
    implementing.implement(office.desk(), change.id, "run-1")
    assert office.desk().close(change.id).reason == "checklist.functional_testing"
    office.deliver(change)
    assert say(office, change, "after").ok
    assert office.desk().close(change.id).ok
    closed = office.load(change)
    assert (closed.state, closed.outcome) == ("closed", "successful")
    assert office.view(change)["slot"] is None


def test_an_interrupted_step_is_not_done_twice(office: Office) -> None:
    change = approved(office, implementation=FLAG)
    begin(office, change)
    assert implementing.implement(office.desk(), change.id, "run-1").ok
    assert implementing.implement(office.desk(), change.id, "run-1").reason == "already_there"
    assert len(office.records("flag.flipped")) == 1


def test_a_step_that_fails_is_led_back_and_reviewed(office: Office) -> None:
    office.settings.config_file("runbooks/breaks.yaml").write_text(
        "title: breaks\nsteps:\n"
        "  - {name: one, run: ['{python}', -c, pass], undo: ['{python}', -c, pass]}\n"
        "  - {name: two, run: ['{python}', -c, 'raise SystemExit(3)']}\n"
    )
    change = approved(office, implementation={"kind": "runbook", "runbook": "breaks"})
    begin(office, change)
    ruling = implementing.implement(office.desk(), change.id, "run-1")
    assert (ruling.ok, ruling.reason) == (False, "failed")
    assert "ended with 3" in ruling.message
    assert [record["reason"] for record in office.records("work.undone")] == ["1. one"]
    after = office.load(change)
    assert (after.state, after.outcome) == ("review", "rolled_back")
    assert not office.desk().close(change.id).ok
    assert office.desk("olga").review(change.id, outcome="rolled_back", comment="why").ok
    assert office.load(change).state == "closed"


def test_a_permit_that_has_ended_stops_the_next_step(office: Office) -> None:
    change = approved(office, implementation=FLAG)
    begin(office, change)
    ruling = implementing.implement(office.desk(), change.id, "another-run")
    assert not ruling.ok
    assert "no permit of this run" in ruling.message
    assert office.rows(schema.flag) == []


def test_an_emptied_slot_or_a_hold_stops_it_before_it_starts(office: Office) -> None:
    change = approved(office, implementation=FLAG)
    office.desk("olga").hold(change.id, "wait for the vendor")
    assert begin(office, change).reason == "hold"


def test_a_row_that_was_changed_behind_the_ledger_stops_it(office: Office) -> None:
    change = approved(office, implementation=FLAG)
    say(office, change, "before")
    from sqlalchemy import create_engine, text

    url = office.ledger._engine.url
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE change SET title = 'other'"))
    engine.dispose()
    ruling = implementing.start(office.desk(), change.id, "run-1")
    assert not ruling.ok
    assert "records" in {item.code for item in ruling.conditions if item.verdict != "go"}


def test_a_standard_change_needs_its_model_approved_and_no_vote(office: Office) -> None:
    standard = {
        "type": "standard", "model": "telemedicine-flag", "parameters": {"value": True},
        "approvals_required": None, "description": None,
        "impact_assessment": {"affected_systems": ["api"], "rollback_plan": None},
    }  # fmt: skip
    change, ruling = office.submit(**standard)
    assert (change.state, ruling.reason) == ("assessing", "model")
    assert "has not approved" in ruling.message
    proposal = {"kind": "model", "model": "telemedicine-flag"}
    asked, _ = office.submit(implementation=proposal)
    assert office.approve(asked).state == "scheduled"
    change, _ = office.submit(**standard)
    assert change.state == "scheduled"
    assert change.content["implementation"]["value"] is True
    with pytest.raises(ConfigError, match="must be one of true, false"):
        office.submit(**{**standard, "parameters": {"value": "maybe"}})
    elsewhere = {"affected_systems": ["frontend"], "rollback_plan": None}
    outside, ruling = office.submit(**{**standard, "impact_assessment": elsewhere})
    assert outside.state == "assessing"
    assert "touches frontend, and the model only api" in ruling.message
    spoil(office.settings.config_file("models/telemedicine-flag.yaml"), "version: 1", "version: 2")
    _, ruling = office.submit(**standard)
    assert "has not approved telemedicine-flag version 2" in ruling.message


def test_a_model_that_fails_too_often_suspends_itself(office: Office) -> None:
    from include.changes.standing import watch_model

    asked, _ = office.submit(implementation={"kind": "model", "model": "telemedicine-flag"})
    office.approve(asked)
    change, _ = office.submit(
        type="standard", model="telemedicine-flag", parameters={"value": True},
        approvals_required=None, impact_assessment={"affected_systems": ["api"]},
    )  # fmt: skip
    assert change.state == "scheduled"
    desk = office.desk("olga")
    office.set(schema.change, schema.change.c.id == change.id, outcome="failed")
    with desk.unit() as unit:
        watch_model(unit, office.load(change), desk.catalogue.policy)
        unit.append("test.watched", change.subject, message="watched")
    (suspended,) = office.records("model.suspended")
    assert "0 of its last 1 changes" in suspended["message"]
    assert office.rows(schema.model)[0].suspended_at is not None


class Dags:
    """Other Dags as a task can start them: each run once, ended as the test says."""

    def __init__(self, *said: str | None) -> None:
        self.said = list(said)
        self.runs: list[tuple[str, str, Any]] = []

    def run(self, dag_id: str, run_id: str, conf: Any, *, until: datetime) -> str | None:
        assert until > IN_WINDOW
        self.runs.append((dag_id, run_id, conf))
        return self.said.pop(0)


OTHER = {"kind": "dag", "dag_id": "rebuild_search", "conf": {"index": "patients", "shards": 4}}


def test_another_dag_runs_once_with_the_approved_conf_under_the_permit(office: Office) -> None:
    change = approved(office, implementation=OTHER)
    begin(office, change)
    dags = Dags(None)
    ruling = implementing.implement(office.desk(), change.id, "run-1", others=dags)
    assert ruling.ok, ruling.message
    (permit,) = office.rows(schema.permit)
    assert dags.runs == [("rebuild_search", f"{change.id}-{permit.fence}", OTHER["conf"])]
    assert office.load(change).state == "validating"
    assert implementing.implement(office.desk(), change.id, "run-1", others=dags).ok
    assert len(dags.runs) == 1


def test_another_dag_that_fails_is_never_told_as_led_back(office: Office) -> None:
    change = approved(office, implementation=OTHER)
    begin(office, change)
    ruling = implementing.implement(
        office.desk(), change.id, "run-1", others=Dags("rebuild_search has failed")
    )
    assert (ruling.ok, ruling.reason) == (False, "failed")
    after = office.load(change)
    assert (after.state, after.outcome) == ("review", "failed")
    assert "is not as it was before" in office.records("change.rolling_back")[0]["message"]


def test_another_dag_is_met_again_by_who_is_killed_while_waiting_for_it(office: Office) -> None:
    change = approved(office, implementation=OTHER)
    begin(office, change)

    class Killed(Dags):
        def run(self, dag_id: str, run_id: str, conf: Any, *, until: datetime) -> str | None:
            super().run(dag_id, run_id, conf, until=until)
            raise KeyboardInterrupt

    killed, dags = Killed(None), Dags(None)
    with pytest.raises(KeyboardInterrupt):
        implementing.implement(office.desk(), change.id, "run-1", others=killed)
    assert implementing.implement(office.desk(), change.id, "run-1", others=dags).ok
    assert dags.runs == killed.runs


def test_what_another_dag_is_given_is_shown_to_those_who_vote(office: Office) -> None:
    change, _ = office.submit(implementation=OTHER)
    (entry,) = agenda(office.desk(), [change.id])
    assert entry["implementation"] == ('Dag rebuild_search with {"index": "patients", "shards": 4}')
