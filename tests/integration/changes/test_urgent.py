"""What cannot wait: the board is called whoever handed it in, and what is owed is told."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from include.calendar import load_calendar
from include.changes import checkpoint, implementing
from include.changes.broken_run import MOST, Start, again, under_way
from include.changes.change import Change, book_slot
from include.changes.duties import after_working_days
from include.changes.meeting import minutes, open_meeting
from include.changes.urgent import approved, look_after
from include.instants import format_instant, parse_instant
from include.ledger import Actor, Subject, schema
from tests.integration.changes.office import MONDAY, Office

EMERGENCY: dict[str, Any] = {
    "type": "emergency", "schedule": None, "approvals_required": None, "incident": "INC-1",
    "impact_assessment": {"affected_systems": ["api"]},
}  # fmt: skip
# A Sunday, 08:00 UTC: a day and a bit before MONDAY.
FOUND: dict[str, Any] = {
    "type": "retroactive", "schedule": None, "approvals_required": None,
    "retroactive": {"happened_at": "2026-11-22T03:00", "done_by": "devi"},
}  # fmt: skip


def emergency(office: Office) -> Change:
    office.incident()
    change, _ = office.submit(**EMERGENCY)
    assert change.state == "authorizing"
    return change


def owed(office: Office) -> list[Any]:
    return [row for row in office.rows(schema.notice) if row.event == "change.owed"]


def test_the_board_is_called_once_for_what_no_form_has_brought(office: Office) -> None:
    change = emergency(office)
    office.submit()
    (call,) = look_after(office.desk())
    assert call.change == change.id
    # Airflow may have lost the run before it opened: the same run is asked for again.
    assert look_after(office.desk()) == [call]
    assert open_meeting(office.desk(), call.run_id, [change.id])
    assert look_after(office.desk()) == []


def test_an_approved_emergency_is_started_at_once_and_once(office: Office) -> None:
    change = emergency(office)
    assert approved(office.desk()) == []
    office.vote(change, "technical_lead")
    assert approved(office.desk()) == []
    office.vote(change, "security_officer")
    assert office.load(change).state == "scheduled"
    (start,) = approved(office.desk())
    assert start.change == change.id
    # The same run however often it is asked for, and nothing for others.
    assert approved(office.desk(), change.id) == [start]
    assert approved(office.desk(), "CHG-999999") == []
    office.set(schema.change, schema.change.c.id == change.id, state="implementing")
    assert approved(office.desk()) == []


def go(office: Office, change: Change, run: str, **options: Any) -> Any:
    desk = office.desk("olga")
    asked = checkpoint.ask(desk, change.id, "before", key=run)
    assert asked is not None
    return checkpoint.say(
        desk, change.id, "before", key=run, comment="seen",
        go=options.get("go", True), words=dict.fromkeys(asked.items, "done"),
        by=Actor(user="olga", name="Olga", auth="airflow-hitl"),
    )  # fmt: skip


def ready_to_begin(office: Office) -> tuple[Change, Start]:
    office.incident("INC-1", "P1", "cache")
    change, _ = office.submit(**{**EMERGENCY, "impact_assessment": {"affected_systems": ["cache"]}})
    for seat in ("technical_lead", "security_officer"):
        office.vote(change, seat)
    (start,) = approved(office.desk())
    office.deliver(change)
    return change, start


def test_a_go_that_took_its_time_begins_in_a_slot_of_its_own(office: Office) -> None:
    change, start = ready_to_begin(office)
    office.clock.now = MONDAY + timedelta(minutes=100)
    assert go(office, change, start.run_id).ok
    ruling = implementing.start(office.desk(), change.id, start.run_id)
    assert ruling.ok, ruling.message
    slot = office.view(change)["slot"]
    assert slot["start"] == format_instant(office.clock.now)
    (moved,) = office.records("slot.moved")
    assert moved["subject"]["id"] == change.id
    assert approved(office.desk()) == []


def test_a_late_go_takes_nobody_s_slot(office: Office) -> None:
    change, start = ready_to_begin(office)
    office.clock.now = MONDAY + timedelta(minutes=100)
    other, _ = office.submit(impact_assessment={"affected_systems": ["cache"]})
    desk = office.desk()
    with desk.unit() as unit:
        assert book_slot(
            unit, other, start=office.clock.now, end=office.clock.now + timedelta(hours=1),
            window="x",
        ) is None  # fmt: skip
        unit.append("test.arranged", Subject(kind="change", id="x"), message="arranged")
    assert go(office, change, start.run_id).ok
    assert implementing.start(desk, change.id, start.run_id).reason == "slot"
    assert office.view(other)["slot"] is not None


def test_a_run_that_nobody_answered_begins_again_a_few_times_and_then_people_are_told(
    office: Office,
) -> None:
    _, start = ready_to_begin(office)
    for number in range(MOST):
        assert again(office.desk(), start).ok
        assert len(office.records("change.begun_again")) == number + 1
    for _ in range(3):
        assert not again(office.desk(), start).ok
    (told,) = [row for row in office.rows(schema.notice) if row.event == "change.stands_still"]
    assert "clear the run" in told.text
    assert told.link.endswith(start.run_id)
    assert len(office.records("change.stands_still")) == 1
    # What its board approves anew has a run of its own.
    assert again(office.desk(), Start(change=start.change, run_id="another")).ok


def test_a_no_stops_it_until_it_is_taken_back_and_is_told_once(office: Office) -> None:
    change, start = ready_to_begin(office)
    assert go(office, change, start.run_id, go=False).reason == "no_go"
    for _ in range(2):
        ruling = again(office.desk(), start)
        assert (ruling.ok, ruling.reason) == (False, "stands_still")
    (told,) = [row for row in office.rows(schema.notice) if row.event == "change.stands_still"]
    assert "Go/no-go checkpoint completed: seen" in told.text
    assert f"./hims change cancel {change.id}" in told.text
    (record,) = office.records("change.stands_still")
    assert record["outcome"] == "failure"
    office.desk("olga").attest(change.id, "go_no_go", verdict="go", comment="now")
    assert again(office.desk(), start).ok


def test_what_was_begun_goes_on_under_its_own_permit(office: Office) -> None:
    change, start = ready_to_begin(office)
    assert under_way(office.desk()) == []
    go(office, change, start.run_id)
    assert implementing.start(office.desk(), change.id, start.run_id).ok
    assert under_way(office.desk()) == [start]
    assert again(office.desk(), start).ok
    # Every step of the run is passed once more, and nothing is done twice.
    assert checkpoint.ask(office.desk(), change.id, "before", key=start.run_id) is None
    for _ in range(2):
        assert implementing.start(office.desk(), change.id, start.run_id).ok
        assert implementing.implement(office.desk(), change.id, start.run_id).ok
    assert len(office.records("permit.issued")) == 1
    assert len(office.records("work.began")) == 1
    assert under_way(office.desk()) == [start]


def test_who_does_not_answer_in_an_hour_is_asked_again_and_nothing_is_approved(
    office: Office,
) -> None:
    change = emergency(office)
    (first,) = look_after(office.desk())
    open_meeting(office.desk(), first.run_id, [change.id])
    office.clock.now += timedelta(hours=1, minutes=1)
    (second,) = look_after(office.desk())
    assert second.run_id != first.run_id
    assert office.load(change).state == "authorizing"
    assert [row.state for row in office.rows(schema.ballot)] == ["expired", "open"]


def test_what_is_still_in_the_way_is_not_written_down_every_five_minutes(office: Office) -> None:
    office.submit(**EMERGENCY)
    before = len(office.records())
    for _ in range(5):
        assert look_after(office.desk()) == []
    assert len(office.records()) == before


def test_the_meeting_takes_up_what_nothing_keeps_from_it_any_more(office: Office) -> None:
    office.incident("INC-9", "P1", "frontend")
    change, _ = office.submit()
    assert change.state == "assessing"
    assert open_meeting(office.desk(), "first", None) == []
    office.set(schema.incident, schema.incident.c.id == "INC-9", closed_at=office.clock())
    questions = open_meeting(office.desk(), "second", None)
    assert {question["change"] for question in questions} == {change.id}


def test_the_board_is_sent_its_agenda_once_and_then_its_minutes(office: Office) -> None:
    assert open_meeting(office.desk(), "empty", None) == []
    change, _ = office.submit()
    for _ in range(2):
        assert open_meeting(office.desk(), "first", None)
    assert minutes(office.desk(), "empty") is None
    assert minutes(office.desk(), "first")
    sent = [row for row in office.rows(schema.notice) if row.event.startswith("cab.")]
    assert [(row.event, row.audience, row.thread) for row in sent] == [
        ("cab.agenda", "cab", "CAB first"),
        ("cab.minutes", "cab", "CAB first"),
    ]
    assert all(change.id in row.text for row in sent)
    assert all(row.link.endswith("/dags/cab_ballot/runs/first") for row in sent)


@pytest.mark.parametrize(
    ("start", "days", "due"),
    [
        # Over Thanksgiving (26 November 2026) and a weekend.
        ("2026-11-22T08:00:00Z", 5, "2026-12-01T05:00:00Z"),
        ("2026-11-27T18:00:00Z", 1, "2026-12-01T05:00:00Z"),
        # Late in the evening in New York, tomorrow in UTC; and over the end of summer time.
        ("2026-10-31T03:30:00Z", 1, "2026-11-03T05:00:00Z"),
    ],
)
def test_working_days_are_those_of_the_calendar(
    office: Office, start: str, days: int, due: str
) -> None:
    calendar = load_calendar(office.settings.config_file("calendar.yaml"))
    assert format_instant(after_working_days(calendar, parse_instant(start), days)) == due


def test_what_was_found_owes_its_record_an_answer_and_a_review(office: Office) -> None:
    change, _ = office.submit(**FOUND)
    assert office.view(change)["duties"] == [
        {"duty": "record", "due": "2026-11-22T12:00:00Z", "done": "2026-11-23T12:00:00Z",
         "state": "late"},
        {"duty": "acknowledgement", "due": "2026-11-23T08:00:00Z", "done": None,
         "state": "overdue"},
        {"duty": "review", "due": "2026-12-01T05:00:00Z", "done": None, "state": "open"},
    ]  # fmt: skip
    for seat in ("technical_lead", "security_officer"):
        assert office.vote(change, seat).ok
    assert office.view(change)["duties"][1]["state"] == "late"
    assert office.desk("olga").review(change.id, outcome="successful", comment="learnt").ok
    assert office.view(change)["duties"][2]["state"] == "met"


def test_an_emergency_owes_its_review_from_when_it_was_done(office: Office) -> None:
    change = emergency(office)
    assert office.view(change)["duties"] == []
    for seat in ("technical_lead", "operations_manager"):
        assert office.vote(change, seat).ok
    finished = MONDAY + timedelta(hours=1)
    office.set(
        schema.change, schema.change.c.id == change.id, state="review", started_at=MONDAY,
        finished_at=finished, outcome="successful",
    )  # fmt: skip
    duties = {duty["duty"]: duty for duty in office.view(change)["duties"]}
    assert duties["record"]["state"] == duties["acknowledgement"]["state"] == "met"
    assert duties["review"]["due"] == "2026-12-02T05:00:00Z"
    assert not office.desk("olga").close(change.id).ok


def test_what_is_owed_is_told_before_its_time_and_when_it_is_over_once_each(
    office: Office,
) -> None:
    office.submit(**FOUND)
    look_after(office.desk())
    assert [notice.title for notice in owed(office)] == [
        "CHG-000001: still has to be answered for by two of the on-call three"
    ]
    office.clock.now = datetime.fromisoformat("2026-12-01T04:30:00Z")
    look_after(office.desk())
    look_after(office.desk())
    office.clock.now += timedelta(hours=1)
    look_after(office.desk())
    reviews = [notice for notice in owed(office) if "reviewed" in notice.title]
    assert len(reviews) == 2
    assert "overdue" in str(reviews[1].text)


def test_who_did_it_neither_acknowledges_nor_reviews_it(office: Office) -> None:
    happened = {"happened_at": "2026-11-22T03:00", "done_by": "Tomas@Lind.example"}
    change, _ = office.submit(**{**FOUND, "retroactive": happened})
    ruling = office.vote(change, "technical_lead")
    assert (ruling.ok, ruling.reason) == (False, "not_eligible")
    assert office.vote(change, "technical_lead", "dana").ok
    assert office.vote(change, "security_officer").ok
    assert office.load(change).state == "review"
    ruling = office.desk("tomas").review(change.id, outcome="successful", comment="fine")
    assert (ruling.ok, ruling.reason) == (False, "not_eligible")


def test_who_had_it_handed_in_for_them_has_no_vote_on_it(office: Office) -> None:
    change, _ = office.submit(requester="tomas@lind.example")
    assert (change.requester, change.content["on_behalf_of"]) == ("rita", "tomas")
    ruling = office.vote(change, "technical_lead")
    assert (ruling.ok, ruling.reason) == (False, "not_eligible")
    assert "asked for it" in ruling.message


def test_an_incident_that_one_of_its_changes_has_caused_suspends_a_model(office: Office) -> None:
    proposal = {"kind": "model", "model": "telemedicine-flag"}
    asked, _ = office.submit(implementation=proposal)
    office.approve(asked)
    standard = {
        "type": "standard", "model": "telemedicine-flag", "parameters": {"value": True},
        "approvals_required": None,
        "impact_assessment": {"affected_systems": ["api"], "risk_level": None},
    }  # fmt: skip
    used, _ = office.submit(**standard)
    assert used.state == "scheduled"
    link = {"reason": "caused_by", "message": "by it", "change": used.id}
    incident = Subject(kind="incident", id="INC-5")
    with office.desk().unit() as unit:
        unit.append("incident.linked", incident, **link)
    _, ruling = office.submit(**standard)
    assert f"is suspended: {used.id} has caused INC-5" in ruling.message
    with office.desk().unit() as unit:
        unit.append("incident.unlinked", incident, **link)
    assert office.submit(**standard)[0].state == "scheduled"
