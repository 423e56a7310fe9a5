"""Ballots that stand open: kept back and let on, or asked anew by the rule of today."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from include.changes.change import Change
from include.changes.meeting import open_meeting
from include.changes.open_ballots import end_overdue, unblocked
from include.changes.urgent import look_after
from include.changes.why import why
from include.ledger import Subject, schema
from tests.integration.changes.office import MONDAY, Office


def kept_back(office: Office) -> Change:
    """Return a change that everybody approved while an incident was open on its system."""
    change, _ = office.submit()
    office.incident("INC-9", "P1", "frontend")
    for seat in ("technical_lead", "product_manager", "security_officer", "operations_manager"):
        assert office.vote(change, seat).ok
    assert office.load(change).state == "authorizing"
    return change


def over(office: Office) -> None:
    incident = schema.incident
    office.set(incident, incident.c.id == "INC-9", closed_at=office.clock.now)


def test_what_is_approved_goes_on_once_nothing_keeps_it_back(office: Office) -> None:
    change = kept_back(office)
    look_after(office.desk())
    assert office.load(change).state == "authorizing"
    over(office)
    assert unblocked(office.desk()) == [change.id]
    look_after(office.desk())
    assert office.load(change).state == "scheduled"
    assert unblocked(office.desk()) == []


def test_what_is_approved_and_kept_back_is_not_refused_again_and_again(office: Office) -> None:
    change = kept_back(office)
    # The time to answer is over before the votes are.
    office.set(schema.ballot, schema.ballot.c.change_id == change.id, closes_at=MONDAY)
    office.clock.now = MONDAY + timedelta(hours=1)
    for _ in range(3):
        look_after(office.desk())
    assert len(office.records("change.refused")) == 1
    assert office.load(change).state == "authorizing"
    over(office)
    look_after(office.desk())
    assert office.load(change).state == "scheduled"


def test_votes_that_have_lapsed_meanwhile_let_nothing_on(office: Office) -> None:
    change = kept_back(office)
    over(office)
    office.clock.now = MONDAY + timedelta(days=15)
    assert unblocked(office.desk()) == []
    assert end_overdue(office.desk()) == [change.id]
    assert office.load(change).state == "assessing"


def test_a_seat_that_the_board_has_lost_has_its_ballots_asked_anew(office: Office) -> None:
    changes = [office.submit(title=title)[0] for title in ("one", "two")]
    asked = {"mandatory": [], "asked": ["technical_lead", "treasurer"], "votes": 2,
             "approvals": 0, "chair": None}  # fmt: skip
    office.set(schema.ballot, schema.ballot.c.change_id == changes[0].id, rule=asked)
    questions = open_meeting(office.desk(), "meeting-1", None)
    assert {question["change"] for question in questions} == {change.id for change in changes}
    assert "treasurer" not in {question["seat"] for question in questions}
    (void,) = office.records("ballot.withdrawn")
    assert void["subject"]["id"] == changes[0].id
    assert office.view(changes[0])["ballot"]["state"] == "open"


@pytest.mark.parametrize("name", ["service:tomas", "service:release_train"])
def test_nobody_writes_under_a_program_s_name(office: Office, name: str) -> None:
    change, _ = office.submit()
    with office.desk().unit() as unit:
        ballot = schema.ballot
        unit.execute(update(ballot).values(parties=[{"part": "author", "name": name}]))
        unit.append("test.arranged", Subject(kind="change", id="x"), message="arranged")
    ruling = office.vote(change, "technical_lead")
    assert (ruling.ok, ruling.reason) == (False, "unknown_author")


def test_an_account_that_asked_and_is_nobody_s_keeps_a_change_from_the_board(
    office: Office,
) -> None:
    change, ruling = office.submit(requester="jane@agency.example")
    assert (change.state, ruling.ok) == ("draft", False)
    assert "nobody knows who jane@agency.example is" in ruling.message


def test_out_of_a_rejection_only_an_edit_leads(office: Office) -> None:
    change, _ = office.submit()
    office.vote(change, "technical_lead", choice="reject", comment="no")
    found = why(office.desk(), office.load(change))
    assert (found["state"], found["allowed"], found["next"]) == ("rejected", False, None)
    assert "an edit brings it back" in found["message"]
