"""Changes from submission to the board and back: every act, its outcome, and its record."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from include.changes.change import Change
from include.changes.desk import Desk
from include.changes.editing import edit
from include.changes.open_ballots import end_overdue
from include.errors import RecordMissing, RequestError
from include.ledger import schema
from tests.integration.changes.office import MONDAY, SEATS, Office
from tests.integration.train.paper import spoil


def test_a_normal_change_goes_before_the_board_by_itself(office: Office) -> None:
    change, _ = office.submit()
    assert (change.id, change.state, change.revision) == ("CHG-000001", "authorizing", 1)
    shown = office.view(change)
    assert shown["ballot"]["state"] == "open"
    assert shown["ballot"]["mandatory"] == ["technical_lead", "product_manager", "security_officer"]
    events = [record["event"] for record in office.records()]
    assert events == [
        "change.opened", "change.assessing", "change.assessed", "change.authorizing",
        "ballot.opened",
    ]  # fmt: skip


def test_a_change_whose_time_is_over_is_written_down_and_waits_with_its_reasons(
    office: Office,
) -> None:
    change, ruling = office.submit(
        schedule={"planned_start": "2025-02-01", "planned_end": "2025-02-15"}
    )
    assert change.state == "assessing"
    assert not ruling.ok
    assert "the planned time ended" in ruling.message
    (record,) = office.records("change.refused")
    assert (record["outcome"], record["reason"]) == ("denied", "time")


def test_what_is_missing_is_asked_for_when_it_is_needed(office: Office) -> None:
    change, ruling = office.submit(
        description=None, impact_assessment={"rollback_plan": None, "risk_level": None}
    )
    assert change.state == "assessing"
    for word in ("the way back", "risk_level", "what is to be done"):
        assert word in ruling.message
    edited, _ = office.edit(change)
    assert edited.state == "authorizing"


def test_approved_by_all_it_is_scheduled_with_a_slot_of_its_own(office: Office) -> None:
    change, _ = office.submit()
    change = office.approve(change)
    assert change.state == "scheduled"
    shown = office.view(change)
    assert shown["slot"]["start"] == "2026-11-28T07:00:00Z"
    assert shown["slot"]["systems"] == ["frontend"]
    assert shown["ballot"]["state"] == "approved"
    assert "change.scheduled" in [row.event for row in office.rows(schema.notice)]


def test_two_changes_never_hold_one_system_at_one_time(office: Office) -> None:
    slots = []
    for _ in range(3):
        change, _ = office.submit()
        slots.append(office.view(office.approve(change))["slot"])
    starts = [slot["start"] for slot in slots]
    assert starts == ["2026-11-28T07:00:00Z", "2026-11-28T07:45:00Z", "2026-12-05T07:00:00Z"]


def test_a_rejection_by_a_mandatory_seat_ends_it_and_an_edit_brings_it_back(
    office: Office,
) -> None:
    change, _ = office.submit()
    assert office.vote(change, "product_manager", choice="reject", comment="not in December").ok
    assert office.load(change).state == "rejected"
    edited, _ = office.edit(change, schedule={"planned_end": "2026-12-10"})
    assert (edited.state, edited.revision) == ("authorizing", 2)


def test_a_rejection_without_a_reason_does_not_count(office: Office) -> None:
    change, _ = office.submit()
    ruling = office.vote(change, "product_manager", choice="reject", comment=" ")
    assert (ruling.ok, ruling.reason) == (False, "no_reason")
    assert office.load(change).state == "authorizing"


def test_abstaining_counts_for_presence_only(office: Office) -> None:
    change, _ = office.submit(approvals_required=["technical_lead"])
    for seat in ("technical_lead", "product_manager", "security_officer"):
        office.vote(change, seat)
    assert office.load(change).state == "authorizing"
    office.vote(change, "operations_manager", choice="abstain")
    assert office.load(change).state == "scheduled"


def test_an_edit_of_a_significant_field_voids_the_votes_and_shows_what_changed(
    office: Office,
) -> None:
    change, _ = office.submit()
    office.vote(change, "technical_lead")
    edited, ruling = office.edit(change, impact_assessment={"rollback_plan": "Revert to 2.2"})
    assert (edited.state, edited.revision) == ("authorizing", 2)
    assert edited.content_hash != change.content_hash
    assert [vote["counts"] for vote in office.view(edited)["votes"]] == [False]
    (record,) = office.records("change.edited")
    assert record["difference"]["rollback_plan"] == {
        "from": "Revert to previous version",
        "to": "Revert to 2.2",
    }
    assert ruling.ok
    (notice,) = [row for row in office.rows(schema.notice) if row.event == "votes.void"]
    assert "rollback_plan: Revert to previous version → Revert to 2.2" in notice.text
    assert ["Had voted", "tomas"] in notice.fields


def test_content_that_comes_back_is_voted_on_again(office: Office) -> None:
    change, _ = office.submit()
    office.vote(change, "technical_lead")
    office.edit(change, impact_assessment={"rollback_plan": "another"})
    again, _ = office.edit(change)
    assert again.content_hash == change.content_hash
    assert [vote["counts"] for vote in office.view(again)["votes"]] == [False]
    assert office.vote(again, "technical_lead").ok
    assert [vote["counts"] for vote in office.view(again)["votes"]] == [False, True]


def test_an_edit_of_a_label_leaves_the_votes(office: Office) -> None:
    change, _ = office.submit()
    office.vote(change, "technical_lead")
    edited, ruling = office.edit(change, title="Portal", labels=["ux"])
    assert (edited.revision, edited.title, ruling.reason) == (2, "Portal", "label")
    assert [vote["counts"] for vote in office.view(edited)["votes"]] == [True]
    assert office.approve(edited).state == "scheduled"


def test_what_is_done_by_hand_is_what_was_described_to_the_board(office: Office) -> None:
    change, _ = office.submit()
    change = office.approve(change)
    edited, ruling = office.edit(change, description="Delete the patient portal")
    assert (edited.state, ruling.ok) == ("authorizing", True)
    assert [vote["counts"] for vote in office.view(edited)["votes"]] == [False] * 4
    (told,) = [row for row in office.rows(schema.notice) if row.event == "votes.void"]
    assert "Delete the patient portal" in told.text


def test_whoever_wrote_the_commits_is_named_before_anybody_votes(office: Office) -> None:
    scope = {"commits": ["a" * 40], "commit_types": ["fix"]}
    change, ruling = office.submit(scope=scope)
    assert change.state == "assessing"
    assert "missing: scope.authors" in ruling.message
    change, _ = office.edit(change, scope={**scope, "authors": ["tomas@lind.example"]})
    assert change.state == "authorizing"
    assert office.vote(change, "technical_lead").reason == "not_eligible"


def test_a_seat_for_which_nobody_has_a_vote_is_told_with_the_reason(office: Office) -> None:
    change, _ = office.submit(implementers=["tomas", "dana"])
    for seat in ("product_manager", "security_officer", "operations_manager"):
        assert office.vote(change, seat).ok
    assert office.load(change).state == "authorizing"
    (said,) = [item for item in office.view(change)["conditions"] if item["code"] == "votes"]
    assert (
        "nobody has a vote for technical lead today (tomas implements it, dana implements it)"
        in said["message"]
    )


def test_an_edit_of_what_is_approved_takes_its_slot_back(office: Office) -> None:
    change, _ = office.submit()
    change = office.approve(change)
    edited, _ = office.edit(change, impact_assessment={"rollback_plan": "another"})
    assert edited.state == "authorizing"
    assert office.view(edited)["slot"] is None


def test_of_two_edits_of_one_revision_the_second_is_refused(office: Office) -> None:
    change, _ = office.submit()
    desk = office.desk()
    person = desk.catalogue.people.find("rita")
    assert person is not None
    first = office.request(title="first")
    second = office.request(title="second")
    assert edit(desk, change.id, first, person, expected=1)[1].ok
    changed, ruling = edit(desk, change.id, second, person, expected=1)
    assert (ruling.ok, changed.title) == (False, "first")
    assert office.records("change.edit_refused")[0]["outcome"] == "denied"


def test_for_whom_it_is_asked_is_no_label(office: Office) -> None:
    """Naming the asker voids a vote; taking the name out again frees nobody."""
    change, _ = office.submit()
    assert office.vote(change, "technical_lead").ok
    change, ruling = office.edit(change, requester="tomas")
    assert (ruling.ok, change.state) == (True, "authorizing")
    assert [vote["counts"] for vote in office.view(change)["votes"]] == [False]
    assert office.vote(change, "technical_lead").reason == "not_eligible"
    change, _ = office.edit(change, requester="UI/UX Team")
    assert office.vote(change, "technical_lead").reason == "not_eligible"
    assert office.vote(change, "technical_lead", "dana").ok


def test_who_edits_has_no_vote_either(office: Office) -> None:
    change, _ = office.submit()
    edited, _ = office.edit(change, "sam", impact_assessment={"rollback_plan": "better"})
    ruling = office.vote(edited, "security_officer", "sam")
    assert (ruling.ok, ruling.reason) == (False, "not_eligible")
    assert office.vote(edited, "security_officer", "oscar").ok


def test_cancelled_it_gives_back_what_it_had(office: Office) -> None:
    change, _ = office.submit()
    change = office.approve(change)
    assert office.desk().cancel(change.id, "not needed").ok
    assert office.load(change).state == "cancelled"
    assert office.view(change)["slot"] is None
    assert office.desk().cancel(change.id, "again").reason == "already_there"
    ruling = office.edit(change, title="x")[1]
    assert ruling.reason == "not_editable"


def test_an_unknown_change_is_told_as_such(office: Office) -> None:
    with pytest.raises(RecordMissing, match="no change CHG-9"):
        office.desk().load("CHG-9")


def test_nobody_s_silence_approves(office: Office) -> None:
    change, _ = office.submit()
    for seat in ("technical_lead", "product_manager", "security_officer"):
        office.vote(change, seat)
    office.clock.now = MONDAY + timedelta(days=14, seconds=1)
    assert end_overdue(office.desk()) == [change.id]
    assert office.load(change).state == "assessing"
    assert office.records("ballot.expired")[0]["reason"] == "expired"


@pytest.mark.parametrize(
    ("changed", "seat"),
    [
        ({"impact_assessment": {"downtime_required": True}}, "operations_manager"),
        ({"testing_requirements": {"unit_tests": "waived"}}, "qa_lead"),
        ({"impact_assessment": {"affected_systems": ["network"]}}, "operations_manager"),
        ({"approvals_required": ["business_representative"]}, "business_representative"),
    ],
)
def test_what_a_change_touches_adds_mandatory_seats(
    office: Office, changed: dict[str, Any], seat: str
) -> None:
    change, _ = office.submit(**changed)
    assert seat in office.view(change)["ballot"]["mandatory"]


def test_a_window_that_is_taken_out_of_the_calendar_is_told_and_loses_no_vote(
    office: Office,
) -> None:
    change, _ = office.submit()
    spoil(office.settings.config_file("calendar.yaml"), "  standard:", "  saturday:")
    for seat in ("technical_lead", "product_manager", "security_officer", "operations_manager"):
        assert office.vote(change, seat).ok
    (said,) = [item for item in office.view(change)["conditions"] if item["code"] == "time"]
    assert 'no window "standard"' in said["message"]
    assert "edit schedule.change_window" in said["message"]
    assert office.load(change).state == "authorizing"
    spoil(office.settings.config_file("calendar.yaml"), "  saturday:", "  standard:")
    office.desk().settle(change.id)
    assert office.load(change).state == "scheduled"


def test_what_keeps_the_planned_time_closed_is_named_and_when_it_opens_again(
    office: Office,
) -> None:
    change, ruling = office.submit(
        schedule={"planned_start": "2026-12-24", "planned_end": "2026-12-27"}
    )
    assert (change.state, ruling.reason) == ("assessing", "time")
    assert "blackout year-end, Sat 19 Dec 2026 00:00 EST – Mon 4 Jan 2027 00:00 EST" in (
        ruling.message
    )
    assert "the next window that holds it opens Sat 9 Jan 2027 02:00 EST" in ruling.message
    long, ruling = office.submit(schedule={"duration": "3h"})
    assert (long.state, ruling.reason) == ("assessing", "time")
    assert "no window that holds it opens again" in ruling.message


def test_what_is_cancelled_while_it_is_assessed_anew_says_so(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, _ = office.submit()
    load, cancelled = Desk.load, []

    def meanwhile(desk: Desk, change_id: str) -> Change:
        found = load(desk, change_id)
        if found.state == "assessing" and not cancelled:
            cancelled.append(office.desk("olga").cancel(change_id, "not wanted"))
        return found

    monkeypatch.setattr(Desk, "load", meanwhile)
    edited, ruling = office.edit(change, description="Something else")
    assert cancelled[0].ok
    assert (edited.state, edited.revision) == ("cancelled", 2)
    assert (ruling.ok, ruling.reason) == (False, "moved")
    assert "is cancelled by now" in ruling.message


def test_what_is_closed_is_not_told_as_booked(office: Office) -> None:
    change, _ = office.submit()
    spoil(office.settings.config_file("calendar.yaml"), "start: 2026-12-19T", "start: 2026-11-19T")
    found = {item["code"]: item["message"] for item in office.view(change)["conditions"]}
    assert "blackout year-end" in found["time"]
    assert found["slot"] == "nothing is open in the planned time to be booked"


def test_a_major_change_needs_all_six_and_a_rehearsed_way_back(office: Office) -> None:
    change, ruling = office.submit(type="major", justification="need")
    assert (change.state, ruling.reason) == ("assessing", "rehearsed")
    proof = {"uri": "runs/17", "sha256": "a" * 64}
    change, _ = office.edit(
        change,
        type="major",
        justification="need",
        impact_assessment={"controls": {"rollback_planning": proof}},
    )
    assert change.state == "authorizing"
    for seat in list(SEATS)[:5]:
        office.vote(change, seat)
    assert office.load(change).state == "authorizing"
    office.vote(change, "qa_lead")
    assert office.load(change).state == "scheduled"


def test_an_emergency_needs_its_incident_and_two_of_three(office: Office) -> None:
    emergency = {
        "type": "emergency",
        "schedule": None,
        "approvals_required": None,
        "impact_assessment": {"affected_systems": ["api"]},
    }
    change, ruling = office.submit(**emergency)
    assert (change.state, ruling.reason) == ("assessing", "incident")
    office.incident("INC-7", "P3")
    change, ruling = office.edit(change, **emergency, incident="INC-7")
    assert "only P1 and P2" in ruling.message
    office.incident("INC-8", "P1")
    change, _ = office.edit(change, **emergency, incident="INC-8")
    assert change.state == "authorizing"
    assert office.vote(change, "security_officer").ok
    assert office.load(change).state == "authorizing"
    assert office.vote(change, "operations_manager", "dana").ok
    change = office.load(change)
    assert change.state == "scheduled"
    assert office.view(change)["slot"]["start"] == "2026-11-23T12:00:00Z"


def test_an_emergency_passes_no_hard_blackout(office: Office) -> None:
    office.incident("INC-8", "P1")
    office.clock.now = MONDAY.replace(month=12, day=24)
    change, ruling = office.submit(
        type="emergency", schedule=None, approvals_required=None, incident="INC-8",
        impact_assessment={"affected_systems": ["api"]},
    )  # fmt: skip
    assert (change.state, ruling.reason) == ("assessing", "blackout")


def test_what_happened_already_is_acknowledged_and_never_approved(office: Office) -> None:
    change, _ = office.submit(
        type="retroactive", schedule=None, approvals_required=None,
        retroactive={"happened_at": "2026-11-22T03:00", "done_by": "devi"},
    )  # fmt: skip
    assert change.state == "authorizing"
    office.vote(change, "technical_lead")
    office.vote(change, "security_officer")
    change = office.load(change)
    assert change.state == "review"
    meanings = [vote["meaning"] for vote in office.view(change)["votes"]]
    assert meanings == [
        f"acknowledge {change.id} revision 1 as technical_lead",
        f"acknowledge {change.id} revision 1 as security_officer",
    ]
    assert not any("approve" in str(record) for record in office.records("change.review"))
    closed = office.desk("olga").review(change.id, outcome="successful", comment="learnt")
    assert closed.ok
    assert office.load(change).state == "closed"


def test_a_change_is_reviewed_by_somebody_else(office: Office) -> None:
    change, _ = office.submit(
        type="retroactive", schedule=None, approvals_required=None,
        retroactive={"happened_at": "2026-11-22T03:00"},
    )  # fmt: skip
    office.vote(change, "technical_lead")
    office.vote(change, "security_officer")
    ruling = office.desk("rita").review(change.id, outcome="successful", comment="fine")
    assert (ruling.ok, ruling.reason) == (False, "not_eligible")
    assert office.load(change).state == "review"


@pytest.mark.parametrize("user", ["rita", "olga"])
def test_no_word_given_ahead_is_a_review(office: Office, user: str) -> None:
    office.incident()
    change, _ = office.submit(type="emergency", schedule=None, incident="INC-1")
    with pytest.raises(RequestError, match="hims change review"):
        office.desk(user).attest(change.id, "review", verdict="go", comment="fine")
    assert office.rows(schema.checklist) == []


@pytest.mark.parametrize(
    ("user", "item"),
    [("audra", "alerts"), ("devi", "team"), ("olga", "security_tests"), ("quinn", "go_no_go")],
)
def test_a_word_of_somebody_who_has_none_on_the_item_is_refused(
    office: Office, user: str, item: str
) -> None:
    change, _ = office.submit()
    ruling = office.desk(user).attest(change.id, item, verdict="go", comment="fine")
    assert (ruling.ok, ruling.reason) == (False, "not_eligible")
    assert office.rows(schema.checklist) == []
    (refused,) = office.records("checklist.refused")
    assert (refused["actor"]["user"], refused["outcome"]) == (user, "denied")


def test_a_conflicting_incident_is_seen_at_the_vote_too(office: Office) -> None:
    change, _ = office.submit()
    office.incident("INC-9", "P1", "frontend")
    for seat in ("technical_lead", "product_manager", "security_officer", "operations_manager"):
        office.vote(change, seat)
    assert office.load(change).state == "authorizing"
    (refused,) = office.records("change.refused")
    assert refused["reason"] == "conflict.open_incident"
    assert "INC-9" in refused["message"]


def test_handed_in_again_as_it_is_what_expired_goes_before_the_board_anew(office: Office) -> None:
    change, _ = office.submit()
    office.clock.now = MONDAY + timedelta(days=15)
    end_overdue(office.desk())
    assert office.load(change).state == "assessing"
    again, ruling = office.edit(change)
    assert (again.revision, again.state, ruling.ok) == (1, "authorizing", True)
    assert office.view(again)["ballot"]["state"] == "open"


def test_a_reason_of_any_characters_is_kept_and_what_has_ended_is_not_held(office: Office) -> None:
    change, _ = office.submit()
    assert office.desk("olga").hold(change.id, "a\x00b").ok
    assert office.load(change).held_because == "a\ufffdb"
    assert office.desk("olga").cancel(change.id, "a\x00b").ok
    ruling = office.desk("olga").hold(change.id, None)
    assert (ruling.ok, ruling.reason) == (False, "not_open")


@pytest.mark.parametrize("act", ["cancel", "hold", "attest"])
def test_a_patient_s_data_is_taken_out_of_what_people_say(office: Office, act: str) -> None:
    change, _ = office.submit()
    text = "on behalf of MRN 00123456"
    desk = office.desk("olga")
    if act == "cancel":
        desk.cancel(change.id, text)
    elif act == "hold":
        desk.hold(change.id, text)
    else:
        desk.attest(change.id, "alerts", verdict="go", comment=text)
    said = str(office.records()) + str(office.view(change)) + str(office.rows(schema.checklist))
    assert "00123456" not in said
    assert "[medical record number removed]" in said
