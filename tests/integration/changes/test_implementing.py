"""From the slot to the end: go/no-go, the permit, declared steps, the way back, the review."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.audit.finding import Finding
from include.audit.verification import Verification
from include.audit.watchman import record_verification
from include.calendar import Span
from include.changes import checkpoint, implementing
from include.changes.agenda import agenda, as_markdown
from include.changes.change import Change
from include.changes.items import TITLES
from include.configuration.flags import flips_of
from include.entries import extension
from include.errors import ConfigError, RequestError
from include.ledger import Actor, Source, schema
from tests.integration.changes.office import IN_WINDOW, Clock, Office
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


def say(
    office: Office, change: Change, part: str, by: str = "olga", *, go: bool = True,
    words: dict[str, str] | None = None,
) -> Any:  # fmt: skip
    """Ask, and answer; with a word on every item unless `words` says which."""
    asked = checkpoint.ask(office.desk("olga"), change.id, part, key="run-1", link="http://x/y")
    assert asked is not None
    if words is None:
        words = dict.fromkeys(asked.items, "done")
    return answer(office, change, part, by, go=go, words=words)


def answer(
    office: Office, change: Change, part: str, by: str = "olga", *, go: bool = True,
    words: dict[str, str],
) -> Any:  # fmt: skip
    return checkpoint.say(
        office.desk("olga"), change.id, part, go=go, words=words, comment="seen",
        by=Actor(user=by, name=by, auth="airflow-hitl"), key="run-1",
    )  # fmt: skip


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
    ruling = answer(office, change, "before", words={"alerts": "done"})
    assert (ruling.ok, ruling.reason) == (False, "content_changed")
    assert office.records("checklist.refused")[0]["reason"] == "content_changed"
    assert office.rows(schema.checklist) == []


def test_an_answer_to_what_nobody_asked_counts_for_nothing(office: Office) -> None:
    change = approved(office)
    ruling = answer(office, change, "before", words={"alerts": "done"})
    assert (ruling.ok, ruling.reason) == (False, "content_changed")


ITEMS = ("rollback_plan", "alerts", "team", "test_environment")
TESTED = {"testing_requirements": {"user_acceptance": "required", "security_tests": "required"}}


def spoken(office: Office) -> dict[str, tuple[str, str]]:
    return {row.item: (row.decided_by, row.verdict) for row in office.rows(schema.checklist)}


@pytest.mark.parametrize("missing", ITEMS)
def test_a_go_speaks_for_no_item_that_it_does_not_name(office: Office, missing: str) -> None:
    change = approved(office)
    ruling = say(office, change, "before", words=dict.fromkeys(set(ITEMS) - {missing}, "done"))
    assert (ruling.ok, ruling.reason) == (False, "incomplete")
    assert TITLES[missing] in ruling.message
    assert set(spoken(office)) == set(ITEMS) - {missing}
    refused = implementing.start(office.desk(), change.id, "run-1")
    assert {item.code for item in refused.conditions if item.verdict != "go"} == {
        f"checklist.{missing}", "checklist.go_no_go",
    }  # fmt: skip
    # What is left is asked again, and no more than that.
    asked = checkpoint.ask(office.desk(), change.id, "before", key="run-1")
    assert asked is not None
    assert asked.items == (missing,)
    assert answer(office, change, "before", words={missing: "done"}).ok
    assert implementing.start(office.desk(), change.id, "run-1").ok


@pytest.mark.parametrize("words", [{}, {"alerts": "not answered"}, {"nonsense": "done"}])
def test_a_bare_go_is_no_word_on_anything(office: Office, words: dict[str, str]) -> None:
    change = approved(office)
    assert say(office, change, "before", words=words).reason == "incomplete"
    assert office.rows(schema.checklist) == []
    (refused,) = office.records("checklist.refused")
    assert all(TITLES[item] in refused["message"] for item in ITEMS)


def test_a_word_counts_only_of_whoever_has_one_on_the_item(office: Office) -> None:
    change = approved(office, **TESTED)
    everything = dict.fromkeys((*ITEMS, "user_acceptance", "security_tests"), "done")
    ruling = say(office, change, "before", words=everything)
    assert ruling.reason == "incomplete"
    assert "Accepted by its users (qa lead, business representative)" in ruling.message
    for by, item in (("quinn", "user_acceptance"), ("sam", "security_tests")):
        assert not {item} & set(spoken(office))
        assert answer(office, change, "before", by, words=everything).reason == "incomplete"
        assert spoken(office)[item] == (by, "go")
    # Neither of them gives the go itself.
    assert "go_no_go" not in spoken(office)
    assert answer(office, change, "before", words={}).ok
    assert spoken(office)["go_no_go"] == ("olga", "go")


def test_an_item_that_is_not_done_stops_it_by_its_name(office: Office) -> None:
    change = approved(office)
    words = {**dict.fromkeys(ITEMS, "done"), "alerts": "not done"}
    ruling = say(office, change, "before", words=words)
    assert (ruling.ok, ruling.reason) == (False, "contradiction")
    assert "Monitoring alerts configured" in ruling.message
    assert office.rows(schema.checklist) == []
    ruling = answer(office, change, "before", go=False, words=words)
    assert (ruling.ok, ruling.reason) == (False, "no_go")
    assert spoken(office)["alerts"] == ("olga", "no_go")
    assert spoken(office)["team"] == ("olga", "go")
    said = [row for row in office.rows(schema.notice) if row.event == "checklist.said"]
    assert "• not done: Monitoring alerts configured" in said[0].text


def test_a_no_afterwards_names_what_is_not_done(office: Office) -> None:
    change = approved(office, implementation=FLAG)
    begin(office, change)
    implementing.implement(office.desk(), change.id, "run-1")
    ruling = say(office, change, "after", go=False)
    assert (ruling.ok, ruling.reason) == (False, "contradiction")
    named = {"documentation": "not done"}
    assert answer(office, change, "after", go=False, words=named).reason == "no_go"
    assert spoken(office)["documentation"] == ("olga", "no_go")
    assert "functional_testing" not in spoken(office)


def test_a_word_on_what_was_not_shown_counts_for_nothing(office: Office) -> None:
    change = approved(office)
    assert say(office, change, "before", words={"alerts": "done", "review": "done"}).reason == (
        "incomplete"
    )
    assert set(spoken(office)) == {"alerts"}


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


def test_a_backup_of_what_no_service_keeps_is_somebody_s_word(office: Office) -> None:
    """Where the ledger can know, nobody's word replaces it; where it cannot, one is asked for."""
    change, _ = office.submit(impact_assessment={"affected_systems": ["database"]})
    change = office.approve(change)
    office.clock.now = IN_WINDOW
    office.deliver(change)
    asked = checkpoint.ask(office.desk("olga"), change.id, "before", key="run-1", link="http://x/y")
    assert asked is not None
    assert "backup" in asked.items
    rest = {item: "done" for item in asked.items if item != "backup"}
    assert answer(office, change, "before", words=rest).reason == "incomplete"
    assert answer(office, change, "before", words=dict.fromkeys(asked.items, "done")).ok
    assert implementing.start(office.desk(), change.id, "run-1").ok
    kept, _ = office.submit(impact_assessment={"affected_systems": ["api"]})
    with pytest.raises(RequestError, match="judged from the ledger"):
        office.desk("olga").attest(kept.id, "backup", verdict="go", comment="saved")


def test_a_backup_that_we_do_not_take_is_no_backup_until_somebody_says_so(office: Office) -> None:
    path = office.settings.config_file("services/hims-api.yaml")
    service = yaml.safe_load(path.read_text())
    service["environments"]["production"] = {"target": "ecs", "database": "hims_api"}
    path.write_text(yaml.safe_dump(service, sort_keys=False))
    change, _ = office.submit(impact_assessment={"affected_systems": ["api"]})
    (said,) = [
        item for item in office.view(change)["checklist"] if item["code"] == "checklist.backup"
    ]
    assert (said["verdict"], "nobody has said so" in said["message"]) == ("inconclusive", True)


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


def test_a_step_that_fails_in_mid_way_is_led_back_itself(office: Office, tmp_path: Path) -> None:
    mark = tmp_path / "half"
    office.settings.config_file("runbooks/half.yaml").write_text(
        "title: half\nsteps:\n"
        "  - name: one\n"
        f"    run: [sh, -c, 'touch {mark} && exit 3']\n"
        f"    undo: [rm, {mark}]\n"
    )
    change = approved(office, implementation={"kind": "runbook", "runbook": "half"})
    begin(office, change)
    assert implementing.implement(office.desk(), change.id, "run-1").reason == "failed"
    assert [record["reason"] for record in office.records("work.undone")] == ["1. one"]
    assert not mark.exists()
    assert office.load(change).outcome == "rolled_back"


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
        "impact_assessment": {
            "affected_systems": ["api"], "risk_level": "low", "rollback_plan": None,
        },
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
        approvals_required=None,
        impact_assessment={"affected_systems": ["api"], "risk_level": "low"},
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
        self.until = IN_WINDOW

    def run(self, dag_id: str, run_id: str, conf: Any, *, until: datetime) -> str | None:
        assert until > IN_WINDOW
        self.until = until
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


@pytest.mark.parametrize(("said", "more"), [("hold", 0), ("finish", 1)])
def test_another_dag_that_is_to_finish_is_waited_for_after_the_permit(
    office: Office, said: str, more: int
) -> None:
    change = approved(office, implementation=OTHER, on_close=said)
    begin(office, change)
    dags = Dags(None)
    assert implementing.implement(office.desk(), change.id, "run-1", others=dags).ok
    (permit,) = office.rows(schema.permit)
    assert dags.until == permit.expires_at + timedelta(days=more)


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


CLOSED = datetime(2026, 11, 28, 9, 5, tzinfo=UTC)


class Closing:
    """A clock by which the window closes once a step has left its mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark
        self.now = CLOSED

    def __call__(self) -> datetime:
        return self.now if self.mark.exists() else IN_WINDOW


@pytest.fixture
def late(office: Office, tmp_path: Path) -> Callable[..., Change]:
    """Return a function that begins a change of three steps, whose window closes on the first."""

    def begin_late(**declared: Any) -> Change:
        marks = [tmp_path / name for name in ("one", "two", "three")]
        steps = "".join(
            f"  - name: {mark.name}\n"
            f'    run: [\'{{python}}\', -c, \'open("{mark}", "a").write("x")\']\n'
            f'    undo: [\'{{python}}\', -c, \'open("{mark}", "a").write("-")\']\n'
            for mark in marks
        )
        book = office.settings.config_file("runbooks/long.yaml")
        book.write_text(f"title: long\nsteps:\n{steps}")
        work = {"kind": "runbook", "runbook": "long"}
        change = approved(office, implementation=work, **declared)
        assert begin(office, change).ok
        office.clock = Closing(marks[0])  # type: ignore[assignment]
        return change

    return begin_late


def marks(tmp_path: Path) -> list[str]:
    names = [tmp_path / name for name in ("one", "two", "three")]
    return [mark.read_text() if mark.exists() else "" for mark in names]


def test_a_change_that_is_to_finish_ends_after_its_window(
    office: Office, late: Callable[..., Change], tmp_path: Path
) -> None:
    change = late(on_close="finish")
    ruling = implementing.implement(office.desk(), change.id, "run-1")
    assert ruling.ok, ruling.message
    assert marks(tmp_path) == ["x", "x", "x"]
    assert office.load(change).state == "validating"


def test_a_change_that_is_to_be_led_back_is_when_its_window_closes(
    office: Office, late: Callable[..., Change], tmp_path: Path
) -> None:
    change = late(on_close="roll_back")
    ruling = implementing.implement(office.desk(), change.id, "run-1")
    assert not ruling.ok
    assert "its window closed on it" in ruling.message
    assert marks(tmp_path) == ["x-", "", ""]
    assert office.load(change).state == "review"


@pytest.mark.parametrize("said", [{}, {"on_close": "hold"}])
def test_a_change_that_declares_nothing_else_holds_before_its_next_step(
    office: Office, late: Callable[..., Change], tmp_path: Path, said: dict[str, str]
) -> None:
    change = late(**said)
    for _ in range(2):
        ruling = implementing.implement(office.desk(), change.id, "run-1")
        assert (ruling.ok, ruling.reason) == (False, "window_closed")
        assert "holds before “2. two”" in ruling.message
        assert marks(tmp_path) == ["x", "", ""]
    assert office.load(change).state == "implementing"


def test_a_held_change_goes_on_in_time_that_it_is_granted(
    office: Office, late: Callable[..., Change], tmp_path: Path
) -> None:
    change = late()
    implementing.implement(office.desk(), change.id, "run-1")
    ends = office.view(change)["slot"]["end"]
    grant(office, change, datetime.fromisoformat(ends), CLOSED + timedelta(hours=2))
    ruling = implementing.implement(office.desk(), change.id, "run-1")
    assert ruling.ok, ruling.message
    assert marks(tmp_path) == ["x", "x", "x"]
    _, second = office.rows(schema.permit)
    verdicts = {item["code"]: item["verdict"] for item in second.conditions}
    assert {"votes", "slot", "records", "ledger"} <= set(verdicts)
    assert set(verdicts.values()) == {"go"}


def test_granted_time_is_not_used_while_the_ledger_does_not_verify(
    office: Office, late: Callable[..., Change], tmp_path: Path
) -> None:
    change = late()
    implementing.implement(office.desk(), change.id, "run-1")
    ends = office.view(change)["slot"]["end"]
    grant(office, change, datetime.fromisoformat(ends), CLOSED + timedelta(hours=2))
    edited = Finding(kind="edited", seq=2, position=1, message="record 2 is not what was written")
    found = Verification(
        size=3, root=bytes(32), unsequenced=0, sealed=None, heads=0, findings=(edited,)
    )
    watch = Actor.service("audit_seal")
    assert record_verification(office.ledger, found, watch, Source(kind="cli"), CLOSED)
    ruling = implementing.implement(office.desk(), change.id, "run-1")
    assert (ruling.ok, ruling.reason) == (False, "ledger")
    assert marks(tmp_path) == ["x", "", ""]
    assert len(office.rows(schema.permit)) == 1


def test_time_that_is_granted_while_it_is_under_way_is_used(
    office: Office, late: Callable[..., Change], tmp_path: Path
) -> None:
    change = late(on_close="roll_back")
    office.clock = Clock(IN_WINDOW)
    ends = office.view(change)["slot"]["end"]
    grant(office, change, datetime.fromisoformat(ends), CLOSED + timedelta(hours=2))
    office.clock = Closing(tmp_path / "one")  # type: ignore[assignment]
    ruling = implementing.implement(office.desk(), change.id, "run-1")
    assert ruling.ok, ruling.message
    assert marks(tmp_path) == ["x", "x", "x"]


def test_a_held_change_is_led_back_when_a_person_puts_it_on_hold(
    office: Office, late: Callable[..., Change], tmp_path: Path
) -> None:
    change = late()
    implementing.implement(office.desk(), change.id, "run-1")
    assert office.desk("olga").hold(change.id, "lead it back").ok
    assert not implementing.implement(office.desk(), change.id, "run-1").ok
    assert marks(tmp_path) == ["x-", "", ""]
    assert office.load(change).state == "review"


def test_what_happens_at_the_closing_is_shown_and_signed(office: Office) -> None:
    shown, _ = office.submit()
    assert "closes on it: it holds before its next step" in as_markdown(
        office.desk(), agenda(office.desk(), [shown.id])
    )
    change = approved(office)
    edited, _ = office.edit(change, on_close="finish")
    assert edited.content_hash != change.content_hash
    with pytest.raises(ConfigError, match="on_close: must be 'finish', 'hold' or 'roll_back'"):
        office.request(on_close="finnish")


def grant(office: Office, change: Change, start: datetime, end: datetime) -> None:
    """Extend the window for one change."""
    desk = office.desk("devi")
    calendar = desk.catalogue.calendar
    people = desk.catalogue.people
    asks, grants = people.find("devi"), people.find("olga")
    assert asks is not None
    assert grants is not None
    with desk.unit() as unit:
        asked = extension.ask_extension(
            unit, asks, calendar, change.id, window="extended", span=Span(start, end),
            reason="It takes longer",
        )  # fmt: skip
    assert asked.ok, asked.message
    with office.desk("olga").unit() as unit:
        given = extension.decide_extension(
            unit, grants, calendar, str(asked.id), grant=True, reason="It has to be"
        )
    assert given.ok, given.message


def test_what_is_not_scheduled_never_begins_and_nobody_is_asked_about_it(office: Office) -> None:
    change, _ = office.submit()
    with pytest.raises(RequestError, match="it is authorizing; words are asked for"):
        checkpoint.ask(office.desk(), change.id, "before", key="run-1")
    assert office.records("checklist.asked") == []
    ruling = implementing.start(office.desk(), change.id, "run-1")
    assert (ruling.ok, ruling.reason) == (False, "not_scheduled")
    assert "it is authorizing" in ruling.message
    assert [item["outcome"] for item in office.records("permit.refused")] == ["denied"]
    assert office.desk().close(change.id).reason == "not_done"
    assert office.load(change).state == "authorizing"
