"""A change whose run has ended before it: begun again, led back, or booked another slot."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from include.calendar import Span
from include.changes import implementing, standstill
from include.changes.broken_run import MOST, Start, again, asked_for, under_way
from include.changes.change import Change
from include.changes.checklist import AUTOMATIC
from include.changes.closing import order_at_closing
from include.changes.items import AFTER
from include.changes.work import BACK, work_state, write_work
from include.configuration.flags import flips_of
from include.entries.freeze import Scope, enter_freeze
from include.ledger import Actor, Outcome, Source, Subject, schema
from tests.integration.changes.office import IN_WINDOW, MONDAY, Office
from tests.integration.changes.test_implementing import (
    CLOSED,
    FLAG,
    OTHER,
    Closing,
    Dags,
    answer,
    approved,
    begin,
    grant,
    say,
)

OPENS = datetime.fromisoformat("2026-11-28T07:00:00Z")
NEXT = datetime.fromisoformat("2026-12-05T07:00:00Z")


@pytest.fixture
def steps(office: Office, tmp_path: Path) -> Callable[..., Change]:
    """Return a function that begins a change of three steps which write down what they did."""

    def begun(**declared: Any) -> Change:
        (tmp_path / "did").touch()
        lines = "".join(
            f"  - name: {name}\n"
            f"    run: [sh, -c, 'printf {name} >> {tmp_path}/did']\n"
            f"    undo: [sh, -c, 'printf -- -{name} >> {tmp_path}/did']\n"
            for name in "abc"
        )
        office.settings.config_file("runbooks/abc.yaml").write_text(f"title: abc\nsteps:\n{lines}")
        work = {"kind": "runbook", "runbook": "abc"}
        change = approved(office, implementation=work, **declared)
        assert begin(office, change).ok
        return change

    return begun


def did(tmp_path: Path) -> str:
    return (tmp_path / "did").read_text()


def started(office: Office, change: Change, opens: datetime = OPENS, run: str = "run-1") -> None:
    """Let a window have started the change, as the Dag change_window does."""
    with office.desk().unit() as unit:
        unit.execute(
            insert(schema.opening_start).values(
                change_id=change.id, opens_at=opens, window_name="standard", run_id=run,
                priority="high", decided_at=unit.now, started_at=unit.now,
            )
        )  # fmt: skip
        unit.append("test.arranged", Subject(kind="change", id="x"), message="arranged")


def by_hand(office: Office, run: str, state: str, by: str = "olga") -> None:
    """Let somebody have set a run's state through Airflow, as the middleware records it."""
    actor, source = Actor(user=by, name=by.title(), auth="airflow"), Source(kind="api", run_id=run)
    with office.ledger.write(actor, source, office.clock()) as unit:
        unit.append(
            "api_write.done", Subject(kind="airflow", id=f"change_implementation/{run}"),
            outcome=Outcome.SUCCESS, reason="done", message="did",
            details={"tasks": [{"dag_id": "change_implementation", "run_id": run, "state": state}]},
        )  # fmt: skip


def told(office: Office, event: str) -> list[Any]:
    return [row for row in office.rows(schema.notice) if row.event == event]


def test_what_was_begun_goes_on_under_its_run_whatever_its_type(
    office: Office, steps: Callable[..., Change], tmp_path: Path
) -> None:
    change = steps()
    (start,) = under_way(office.desk())
    assert start == Start(change=change.id, run_id="run-1")
    assert again(office.desk(), start).ok
    assert implementing.start(office.desk(), change.id, "run-1").ok
    assert implementing.implement(office.desk(), change.id, "run-1").ok
    assert did(tmp_path) == "abc"


def test_after_a_few_beginnings_people_are_told_and_their_word_lets_it_begin_as_often_again(
    office: Office, steps: Callable[..., Change]
) -> None:
    change = steps()
    (start,) = under_way(office.desk())
    for _ in range(2):
        for _ in range(MOST):
            assert again(office.desk(), start).ok
        for _ in range(2):
            assert again(office.desk(), start).reason == "stands_still"
        assert standstill.begin_again(office.desk("olga"), change.id, "mended").ok
    assert again(office.desk(), start).ok
    first, _ = told(office, "change.stands_still")
    assert f"./hims change again {change.id}" in first.text
    assert f"./hims change lead-back {change.id}" in first.text


@pytest.mark.parametrize("state", ["failed", "success"])
def test_a_run_that_somebody_has_ended_by_hand_waits_for_somebody_s_word(
    office: Office, steps: Callable[..., Change], state: str
) -> None:
    change = steps()
    (start,) = under_way(office.desk())
    by_hand(office, "another", state)
    by_hand(office, "run-1", state)
    for _ in range(2):
        assert again(office.desk(), start).reason == "stands_still"
    (notice,) = told(office, "change.stands_still")
    assert "Olga has ended its run by hand" in notice.text
    assert f"./hims change again {change.id}" in notice.text
    assert standstill.begin_again(office.desk("olga"), change.id, "go on").ok
    assert again(office.desk(), start).ok


def test_only_whoever_may_give_the_go_lets_it_begin_again_or_be_led_back(
    office: Office, steps: Callable[..., Change], tmp_path: Path
) -> None:
    change = steps()
    for door in (standstill.begin_again, standstill.lead_back):
        ruling = door(office.desk("devi"), change.id, "please")
        assert (ruling.ok, ruling.reason) == (False, "not_eligible")
    assert {item["event"] for item in office.records() if item["outcome"] == "denied"} == {
        "change.again_refused", "change.back_refused",
    }  # fmt: skip
    assert standstill.lead_back(office.desk("olga"), change.id, " ").reason == "no_reason"
    assert implementing.implement(office.desk(), change.id, "run-1").ok
    assert did(tmp_path) == "abc"


def test_what_is_under_way_is_led_back_at_somebody_s_word(
    office: Office, steps: Callable[..., Change], tmp_path: Path
) -> None:
    change = steps()
    # The run was killed in its second step, which may have done half of its work.
    with office.desk().unit() as unit:
        for name, state in (("1. a", "done"), ("2. b", "started")):
            write_work(unit, change, name, {}, state=state)
        unit.append("test.arranged", change.subject, message="arranged")
    assert standstill.lead_back(office.desk("olga"), change.id, "users complain").ok
    (start,) = under_way(office.desk())
    assert again(office.desk(), start).ok
    ruling = implementing.implement(office.desk(), change.id, "run-1")
    assert (ruling.ok, ruling.reason) == (False, "led_back")
    assert did(tmp_path) == "-b-a"
    after = office.load(change)
    assert (after.state, after.outcome) == ("review", "rolled_back")
    (notice,) = told(office, "change.led_back")
    assert "users complain" in notice.text
    assert under_way(office.desk()) == []


def test_what_is_asked_for_during_the_last_step_is_not_forgotten(
    office: Office, tmp_path: Path
) -> None:
    change = approved(office, implementation=OTHER)
    assert begin(office, change).ok

    class Meanwhile(Dags):
        def run(self, dag_id: str, run_id: str, conf: Any, *, until: datetime) -> str | None:
            assert standstill.lead_back(office.desk("olga"), change.id, "stop it").ok
            return super().run(dag_id, run_id, conf, until=until)

    ruling = implementing.implement(office.desk(), change.id, "run-1", others=Meanwhile(None))
    assert (ruling.ok, ruling.reason) == (False, "led_back")
    after = office.load(change)
    # What another Dag has done nobody can lead back by a step.
    assert (after.state, after.outcome) == ("review", "failed")


def test_nothing_is_undone_while_another_process_of_the_run_is_still_doing_it(
    office: Office,
) -> None:
    """A task that Airflow took for dead goes on beside the one that was begun in its place."""
    change = approved(office, implementation=OTHER)
    assert begin(office, change).ok

    def lead_back() -> None:
        implementing.implement(office.desk(), change.id, "run-1", others=Dags())

    second = Thread(target=lead_back)

    class Beside(Dags):
        def run(self, dag_id: str, run_id: str, conf: Any, *, until: datetime) -> str | None:
            assert standstill.lead_back(office.desk("olga"), change.id, "stop it").ok
            second.start()
            while not office.records("work.leads_back"):
                second.join(timeout=0.02)
            second.join(timeout=0.3)
            assert second.is_alive()
            return super().run(dag_id, run_id, conf, until=until)

    ruling = implementing.implement(office.desk(), change.id, "run-1", others=Beside(None))
    second.join()
    assert (ruling.ok, ruling.reason) == (False, "led_back")
    events = [item["event"] for item in office.records() if item["event"].startswith("work.")]
    assert events.index("work.ended") < events.index("work.undone")
    assert events.count("work.undone") == 1
    assert office.load(change).state == "review"


def test_who_is_killed_while_leading_back_goes_on_with_that_and_undoes_nothing_twice(
    office: Office, steps: Callable[..., Change], tmp_path: Path
) -> None:
    change = steps()
    with office.desk().unit() as unit:
        write_work(unit, change, "1. a", {})
        write_work(unit, change, "2. b", {"problem": "broke"}, state="failed")
        write_work(unit, change, "2. b: back", {})
        write_work(unit, change, BACK, {"because": "2. b broke"}, state="started")
        unit.append("test.arranged", change.subject, message="arranged")
    (start,) = under_way(office.desk())
    assert again(office.desk(), start).ok
    assert implementing.implement(office.desk(), change.id, "run-1").reason == "led_back"
    assert did(tmp_path) == "-a"
    after = office.load(change)
    assert (after.state, after.outcome) == ("review", "rolled_back")


def test_what_was_begun_half_is_led_back_too_where_a_hold_ends_it(
    office: Office, steps: Callable[..., Change], tmp_path: Path
) -> None:
    change = steps()
    with office.desk().unit() as unit:
        write_work(unit, change, "1. a", None, state="started")
        unit.append("test.arranged", change.subject, message="arranged")
    assert office.desk("olga").hold(change.id, "stop").ok
    assert not implementing.implement(office.desk(), change.id, "run-1").ok
    assert did(tmp_path) == "-a"


def test_what_is_done_and_found_wrong_is_led_back_and_no_longer_told_as_a_success(
    office: Office,
) -> None:
    change = approved(office, implementation=FLAG)
    begin(office, change)
    assert implementing.implement(office.desk(), change.id, "run-1").ok
    words = {"functional_testing": "not done"}
    assert say(office, change, "after", go=False, words=words).reason == "no_go"
    (start,) = under_way(office.desk())
    assert again(office.desk(), start).reason == "stands_still"
    (notice,) = told(office, "change.stands_still")
    assert f"./hims change lead-back {change.id}" in notice.text
    assert standstill.lead_back(office.desk("olga"), change.id, "it breaks triage").ok
    assert again(office.desk(), start).ok
    assert implementing.start(office.desk(), change.id, "run-1").ok
    assert implementing.implement(office.desk(), change.id, "run-1").reason == "led_back"
    with office.ledger.read() as connection:
        (found,) = flips_of(connection, "hims-web", "production")
    assert found.value is True
    after = office.load(change)
    assert (after.state, after.outcome) == ("review", "rolled_back")
    assert office.desk("olga").review(change.id, outcome="successful", comment="learnt").ok
    assert office.load(change).outcome == "rolled_back"


def test_what_people_did_by_hand_is_never_told_as_led_back(office: Office) -> None:
    change = approved(office)
    begin(office, change)
    assert implementing.implement(office.desk(), change.id, "run-1").ok
    assert standstill.lead_back(office.desk("olga"), change.id, "wrong").ok
    implementing.implement(office.desk(), change.id, "run-1")
    after = office.load(change)
    assert (after.state, after.outcome) == ("review", "failed")
    (notice,) = told(office, "change.led_back")
    assert "Revert to previous version" in notice.text
    assert "is not as it was before" in notice.text


def test_another_run_neither_goes_on_with_a_change_nor_leads_it_back(
    office: Office, steps: Callable[..., Change], tmp_path: Path
) -> None:
    change = steps()
    for _ in range(2):
        ruling = implementing.start(office.desk(), change.id, "by-hand")
        assert (ruling.ok, ruling.reason) == (False, "another_run")
        assert "belongs to run-1" in ruling.message
        assert implementing.implement(office.desk(), change.id, "by-hand").reason == "another_run"
    assert office.load(change).state == "implementing"
    assert implementing.implement(office.desk(), change.id, "run-1").ok
    assert did(tmp_path) == "abc"
    assert implementing.start(office.desk(), change.id, "by-hand").reason == "another_run"


def test_what_holds_at_the_closing_is_left_alone_until_somebody_has_said_what_becomes_of_it(
    office: Office, steps: Callable[..., Change], tmp_path: Path
) -> None:
    change = steps()
    office.clock.now = CLOSED
    for _ in range(2):
        assert implementing.implement(office.desk(), change.id, "run-1").reason == "window_closed"
        (start,) = under_way(office.desk())
        for _ in range(MOST + 1):
            assert again(office.desk(), start).reason == "window_closed"
    # Not in the next ordinary window either: for that nobody has asked.
    office.clock.now = NEXT + timedelta(minutes=10)
    assert again(office.desk(), start).reason == "window_closed"
    assert told(office, "change.stands_still") == []
    office.clock.now = CLOSED
    refused = standstill.begin_again(office.desk("olga"), change.id, "go on")
    assert (refused.ok, refused.reason) == (False, "window_closed")
    ends = datetime.fromisoformat(office.view(change)["slot"]["end"])
    grant(office, change, ends, CLOSED + timedelta(hours=2))
    assert again(office.desk(), start).ok
    assert implementing.implement(office.desk(), change.id, "run-1").ok
    assert did(tmp_path) == "abc"


def test_what_was_declared_for_the_closing_happens_also_to_what_was_killed(
    office: Office, steps: Callable[..., Change], tmp_path: Path
) -> None:
    change = steps(on_close="roll_back")
    office.clock = Closing(tmp_path / "did")  # type: ignore[assignment]
    (start,) = under_way(office.desk())
    assert again(office.desk(), start).ok
    assert not implementing.implement(office.desk(), change.id, "run-1").ok
    assert office.load(change).state == "review"


def test_a_run_that_was_refused_begins_again_in_its_slot_at_somebody_s_word(
    office: Office,
) -> None:
    change = approved(office, implementation=FLAG)
    started(office, change)
    assert say(office, change, "before").ok
    office.incident("INC-7", "P1", "frontend")
    assert not implementing.start(office.desk(), change.id, "run-1").ok
    assert asked_for(office.desk()) == under_way(office.desk()) == []
    refused = standstill.begin_again(office.desk("olga"), change.id, "now")
    assert (refused.ok, refused.reason) == (False, "conflict.open_incident")
    office.set(schema.incident, schema.incident.c.id == "INC-7", closed_at=office.clock())
    assert standstill.begin_again(office.desk("olga"), change.id, "it is over").ok
    (start,) = asked_for(office.desk())
    assert start == Start(change=change.id, run_id="run-1")
    assert again(office.desk(), start).ok
    assert asked_for(office.desk()) == []
    assert implementing.start(office.desk(), change.id, "run-1").ok


def test_a_slot_that_has_passed_is_followed_by_the_next_one_that_was_approved(
    office: Office,
) -> None:
    change = approved(office, implementation=FLAG)
    started(office, change)
    assert say(office, change, "before").ok
    early = standstill.begin_again(office.desk("olga"), change.id, "")
    assert early.ok  # in its slot it begins again
    office.clock.now = CLOSED
    assert asked_for(office.desk()) == []
    (why,) = [item for item in office.view(change)["conditions"] if item["code"] == "slot"]
    assert f"./hims change again {change.id} finds another" in why["message"]
    assert standstill.begin_again(office.desk("olga"), change.id, "nobody was there").ok
    slot = office.view(change)["slot"]
    assert slot["start"] == "2026-12-05T07:00:00Z"
    again_refused = standstill.begin_again(office.desk("olga"), change.id, "")
    assert (again_refused.ok, again_refused.reason) == (False, "not_yet")
    # People are told anew, and the words before the work are asked for anew; the votes stand.
    assert len(told(office, "change.scheduled")) == 2
    office.clock.now = NEXT + timedelta(minutes=5)
    assert asked_for(office.desk()) == []  # its window starts it, by a run of its own
    assert implementing.start(office.desk(), change.id, "run-2").reason == (
        "checklist.rollback_plan"
    )
    office.deliver(change)
    assert say(office, change, "before").ok
    assert implementing.start(office.desk(), change.id, "run-2").ok


def test_in_what_is_left_of_the_same_opening_the_same_run_begins_again(office: Office) -> None:
    change = approved(office, implementation=FLAG, schedule={"duration": "15m", "rollback": "5m"})
    started(office, change)
    office.clock.now = OPENS + timedelta(minutes=40)
    assert standstill.begin_again(office.desk("olga"), change.id, "").ok
    assert asked_for(office.desk()) == [Start(change=change.id, run_id="run-1")]
    # What is edited meanwhile has a slot of its own, of which nobody has said so.
    edited, _ = office.edit(change, implementation={**FLAG, "value": True}, schedule={
        "duration": "15m", "rollback": "5m"})  # fmt: skip
    assert office.approve(edited).state == "scheduled"
    assert asked_for(office.desk()) == []


@pytest.mark.parametrize("weeks", [2, 4])
def test_no_slot_is_booked_that_nobody_has_approved(office: Office, weeks: int) -> None:
    """After two weeks the votes have expired, after four nothing is left of what was planned."""
    change = approved(office, implementation=FLAG)
    office.clock.now = IN_WINDOW + timedelta(weeks=weeks)
    before = office.view(change)["slot"]
    ruling = standstill.begin_again(office.desk("olga"), change.id, "")
    assert (ruling.ok, ruling.reason) == (False, "votes")
    assert "asks the board anew" in ruling.message
    assert office.view(change)["slot"] == before


def test_what_is_not_under_way_has_other_doors(office: Office) -> None:
    change, _ = office.submit()
    assert standstill.begin_again(office.desk("olga"), change.id, "").reason == "not_under_way"
    ruling = standstill.lead_back(office.desk("olga"), change.id, "no")
    assert (ruling.ok, ruling.reason) == (False, "not_under_way")
    assert "./hims change cancel" in ruling.message


def test_words_on_another_item_are_not_asked_again(office: Office) -> None:
    change = approved(office, testing_requirements={"user_acceptance": "required"})
    started(office, change)
    asked = say(office, change, "before", by="quinn", words={"user_acceptance": "done"})
    assert asked.reason == "incomplete"
    office.clock.now = CLOSED
    assert standstill.begin_again(office.desk("olga"), change.id, "").ok
    office.clock.now = NEXT + timedelta(minutes=5)
    assert say(office, change, "before", words={}).reason == "incomplete"
    left = {"rollback_plan", "alerts", "team", "test_environment"}
    assert answer(office, change, "before", words=dict.fromkeys(left, "done")).ok


WALK = st.lists(
    st.one_of(
        st.tuples(st.just("implement"), st.sampled_from(["run-1", "run-1", "run-1", "another"])),
        st.tuples(st.just("killed"), st.sampled_from(["1. a", "2. b", "3. c"])),
        st.tuples(st.just("breaks"), st.booleans()),
        st.tuples(st.just("again")),
        st.tuples(st.just("back"), st.sampled_from(["", "it is wrong"])),
        st.tuples(st.just("hold"), st.booleans()),
        st.tuples(st.just("later"), st.sampled_from([5, 60, 7 * 24 * 60])),
        st.tuples(st.just("after")),
    ),
    max_size=7,
)


def walk(office: Office, change: Change, step: tuple[Any, ...], broken: Path) -> None:
    """Do one thing, as a run, the Dag that looks after runs, or a person does it."""
    match step:
        case ("implement", run):
            desk = office.desk()
            if implementing.start(desk, change.id, run).ok:
                implementing.implement(desk, change.id, run)
        case ("killed", name):
            with office.desk().unit() as unit:
                now = office.load(change)
                if now.state == "implementing" and work_state(unit.connection, now, name) is None:
                    write_work(unit, now, name, None, state="started")
                unit.append("test.arranged", change.subject, message="arranged")
        case ("breaks", yes):
            broken.touch() if yes else broken.unlink(missing_ok=True)
        case ("again",):
            standstill.begin_again(office.desk("olga"), change.id, "")
        case ("back", because):
            standstill.lead_back(office.desk("olga"), change.id, because)
        case ("hold", yes):
            office.desk("olga").hold(change.id, "wait" if yes else None)
        case ("later", minutes):
            office.clock.now += timedelta(minutes=minutes)
        case _ if office.load(change).state == "validating":
            for item in AFTER:
                if item not in AUTOMATIC:
                    office.desk("olga").attest(change.id, item, verdict="go", comment="seen")
            office.deliver(change)
            office.desk().close(change.id)
    for start in [*under_way(office.desk()), *asked_for(office.desk())]:
        again(office.desk(), start)


@given(steps_of=WALK)
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_wherever_a_change_has_got_to_there_is_a_way_to_its_end(
    office: Office, tmp_path: Path, steps_of: list[tuple[Any, ...]]
) -> None:
    """And what is told of how it ended is what is there: each step done once, or led back."""
    done, broken = tmp_path / "did", tmp_path / "broken"
    done.write_text("")
    broken.unlink(missing_ok=True)
    office.clock.now = MONDAY
    lines = "".join(
        f"  - name: {name}\n"
        f"    run: [sh, -c, 'printf {name} >> {done}; test ! -e {broken}']\n"
        f"    undo: [sh, -c, 'printf -- -{name} >> {done}']\n"
        for name in "abc"
    )
    office.settings.config_file("runbooks/abc.yaml").write_text(f"title: abc\nsteps:\n{lines}")
    change = approved(office, implementation={"kind": "runbook", "runbook": "abc"})
    assert begin(office, change).ok
    for step in steps_of:
        walk(office, change, step, broken)
    office.desk("olga").hold(change.id, None) if office.load(change).held_because else None
    if office.load(change).state in ("implementing", "validating"):
        assert standstill.lead_back(office.desk("olga"), change.id, "enough").ok
        (start,) = under_way(office.desk())
        assert again(office.desk(), start).ok
        implementing.implement(office.desk(), change.id, start.run_id)
    if office.load(change).state == "review":
        assert office.desk("sam").review(change.id, outcome="failed", comment="learnt").ok
    ended = office.load(change)
    assert ended.state == "closed"
    wrote = re.findall(r"-?[abc]", done.read_text())
    forth = [name for name in wrote if len(name) == 1]
    led_back = {name[1:] for name in wrote if len(name) == 2}
    assert len(forth) == len(set(forth))
    if ended.outcome == "successful":
        assert (forth, led_back) == (["a", "b", "c"], set())
    else:
        assert ended.outcome == "rolled_back"
        assert set(forth) <= led_back
    assert office.view(change)["slot"] is None


def freeze(office: Office, start: datetime, end: datetime, kind: str = "freeze") -> None:
    """Let the operations manager enter a freeze."""
    olga = office.desk("olga").catalogue.people.find("olga")
    assert olga is not None
    with office.desk("olga").unit() as unit:
        entered = enter_freeze(
            unit, olga, kind=kind, span=Span(start, end), scope=Scope(), owner=olga,
            reason="Year-end audit",
        )  # fmt: skip
    assert entered.ok


def minutes(number: int) -> timedelta:
    return timedelta(minutes=number)


@pytest.mark.parametrize("into", [-1440, 10])
def test_a_slot_that_a_freeze_has_closed_since_is_named_and_followed_by_the_next(
    office: Office, into: int
) -> None:
    change = approved(office, implementation=FLAG)
    freeze(office, OPENS - timedelta(days=1), OPENS + timedelta(days=1))
    office.clock.now = OPENS + minutes(into)
    said = " ".join(item["message"] for item in office.view(change)["conditions"])
    assert "freeze FRZ-000001" in said
    ruling = standstill.begin_again(office.desk("olga"), change.id, "")
    assert ruling.ok, ruling.message
    # Which freeze, until when, and when it begins now.
    assert "freeze FRZ-000001, Fri 27 Nov 2026 02:00 EST – Sun 29 Nov" in ruling.message
    assert "Year-end audit" in ruling.message
    assert "begins again Sat 5 Dec 2026 02:00" in ruling.message
    assert office.view(change)["slot"]["start"] == "2026-12-05T07:00:00Z"


def test_where_the_freeze_lasts_beyond_what_was_approved_the_next_window_is_named(
    office: Office,
) -> None:
    change = approved(office, implementation=FLAG)
    before = office.view(change)["slot"]
    freeze(office, OPENS - timedelta(days=1), datetime.fromisoformat("2026-12-18T00:00:00Z"))
    office.clock.now = OPENS - timedelta(hours=5)
    ruling = standstill.begin_again(office.desk("olga"), change.id, "")
    assert (ruling.ok, ruling.reason) == (False, "slot")
    assert "freeze FRZ-000001" in ruling.message
    assert "nothing is free in the time that was approved" in ruling.message
    assert "the next window that holds it opens Sat 9 Jan 2027 02:00" in ruling.message
    assert office.view(change)["slot"] == before


def test_a_freeze_that_ends_within_the_slot_is_waited_for(office: Office) -> None:
    change = approved(office, implementation=FLAG)
    assert say(office, change, "before").ok
    freeze(office, OPENS - timedelta(hours=1), OPENS + minutes(30))
    office.clock.now = OPENS - minutes(30)
    early = standstill.begin_again(office.desk("olga"), change.id, "")
    assert (early.ok, early.reason) == (False, "not_yet")
    assert "it begins Sat 28 Nov 2026 02:30" in early.message
    office.clock.now = OPENS + minutes(10)
    waits = standstill.begin_again(office.desk("olga"), change.id, "")
    assert waits.ok
    assert "its window's run does that, once that is open, Sat 28 Nov 2026 02:30" in waits.message
    assert "freeze FRZ-000001" in waits.message
    # What else stands against it is still said.
    office.incident("INC-7", "P1", "frontend")
    refused = standstill.begin_again(office.desk("olga"), change.id, "")
    assert (refused.ok, refused.reason) == (False, "conflict.open_incident")


def test_what_its_window_has_started_before_a_freeze_is_begun_again_by_its_own_run(
    office: Office,
) -> None:
    """The window's run starts each of its changes once, whatever a freeze has left of it since."""
    change = approved(office, implementation=FLAG)
    assert say(office, change, "before").ok
    started(office, change)
    freeze(office, OPENS - minutes(5), OPENS + minutes(30))
    office.clock.now = OPENS + minutes(31)
    ruling = standstill.begin_again(office.desk("olga"), change.id, "the freeze is over")
    assert ruling.ok
    assert "begins again in its slot" in ruling.message
    assert asked_for(office.desk()) == [Start(change=change.id, run_id="run-1")]


@pytest.mark.parametrize("closes", ["freeze FRZ-000001", "P2 INC-7 is open on frontend"])
@pytest.mark.parametrize("declares", ["hold", "roll_back", "finish"])
def test_a_freeze_or_an_incident_between_the_steps_closes_the_window_on_it(
    office: Office, steps: Callable[..., Change], tmp_path: Path, declares: str, closes: str
) -> None:
    change = steps(on_close=declares)
    a_is_done(office, change)
    if "INC" in closes:
        office.incident("INC-8", "P1", "another")
        office.incident("INC-9", "P3", "frontend")
        assert order_at_closing(office.desk(), change, "run-1") is None
        office.incident("INC-7", "P2", "frontend")
    else:
        freeze(office, office.clock(), office.clock() + minutes(5))
    ruling = implementing.implement(office.desk(), change.id, "run-1")
    if declares == "finish":
        assert (ruling.ok, did(tmp_path)) == (True, "bc")
        return
    if declares == "roll_back":
        assert (ruling.ok, did(tmp_path)) == (False, "-a")
        assert office.load(change).state == "review"
        return
    assert (ruling.ok, ruling.reason, did(tmp_path)) == (False, "window_closed", "")
    assert closes in ruling.message
    refused = standstill.begin_again(office.desk("olga"), change.id, "")
    assert (refused.ok, refused.reason) == (False, "window_closed")
    assert "wait for the end of that" in refused.message
    assert closes in refused.message
    # Once it is over, a person's word lets it go on in what is left of its slot.
    office.clock.now += minutes(6)
    incident = schema.incident
    office.set(incident, incident.c.id == "INC-7", closed_at=office.clock.now)
    (start,) = under_way(office.desk())
    assert again(office.desk(), start).reason == "window_closed"
    assert standstill.begin_again(office.desk("olga"), change.id, "it is over").ok
    assert again(office.desk(), start).ok
    assert implementing.implement(office.desk(), change.id, "run-1").ok
    assert did(tmp_path) == "bc"


@pytest.mark.parametrize("after", [5, 120])
def test_a_blackout_between_its_steps_is_the_only_thing_that_stops_an_emergency(
    office: Office, steps: Callable[..., Change], tmp_path: Path, after: int
) -> None:
    office.incident("INC-1", "P1", "frontend")
    change = steps(
        type="emergency", schedule=None, approvals_required=None, incident="INC-1",
        impact_assessment={"affected_systems": ["frontend"]},
    )  # fmt: skip
    a_is_done(office, change)
    office.incident("INC-2", "P1", "frontend")
    freeze(office, office.clock(), office.clock() + minutes(after))
    assert order_at_closing(office.desk(), change, "run-1") is None
    freeze(office, office.clock(), office.clock() + minutes(after), kind="blackout")
    ruling = implementing.implement(office.desk(), change.id, "run-1")
    assert (ruling.ok, ruling.reason, did(tmp_path)) == (False, "window_closed", "")
    assert "blackout" in ruling.message
    (start,) = under_way(office.desk())
    assert not standstill.begin_again(office.desk("olga"), change.id, "").ok
    # Over in its slot or long after it: a person's word lets it go on, in time of its own.
    office.clock.now += minutes(after)
    assert again(office.desk(), start).reason == "window_closed"
    assert standstill.begin_again(office.desk("olga"), change.id, "it is over").ok
    assert again(office.desk(), start).ok
    ruling = implementing.implement(office.desk(), change.id, "run-1")
    assert ruling.ok, ruling.message
    assert did(tmp_path) == "bc"


def a_is_done(office: Office, change: Change) -> None:
    with office.desk().unit() as unit:
        write_work(unit, change, "1. a", {})
        unit.append("test.arranged", change.subject, message="arranged")
