"""Votes that must not count: second identities, wrong seats, races, doors round the board."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sqlalchemy import insert

from include.changes.ballot import newest_ballot
from include.changes.ruling import Ruling
from include.ledger import schema
from tests.integration.changes.office import MONDAY, SEATS, Office
from tests.integration.train.paper import spoil

FOUR = ("technical_lead", "product_manager", "security_officer", "operations_manager")


def refused(office: Office, ruling: Ruling, reason: str, said: str) -> None:
    assert (ruling.ok, ruling.reason) == (False, reason)
    assert said in ruling.message
    record = office.records("vote.refused")[-1]
    assert (record["outcome"], record["reason"]) == ("denied", reason)
    assert said in record["message"]


def test_an_author_under_another_address_has_no_vote(office: Office) -> None:
    change, _ = office.submit(scope={"authors": ["Tomas@Lind.example", "mei@tan.example"]})
    refused(office, office.vote(change, "technical_lead"), "not_eligible", "wrote part of it")
    assert office.vote(change, "technical_lead", "dana").ok


def test_an_author_under_a_github_account_has_no_vote(office: Office) -> None:
    change, _ = office.submit(scope={"authors": ["17+TLind@users.noreply.github.com"]})
    refused(office, office.vote(change, "technical_lead"), "not_eligible", "wrote part of it")


def test_while_an_author_is_unknown_nobody_s_vote_counts(office: Office) -> None:
    change, _ = office.submit(scope={"authors": ["t.l@private.example"]})
    refused(office, office.vote(change, "security_officer"), "unknown_author", "t.l@private")
    spoil(
        office.settings.config_file("people.yaml"),
        "git: [mei@tan.example]",
        "git: [mei@tan.example, t.l@private.example]",
    )
    assert office.vote(change, "security_officer").ok


def test_whoever_is_found_out_to_be_an_author_after_the_vote_has_not_voted(office: Office) -> None:
    change, _ = office.submit(scope={"authors": ["mei@tan.example"]})
    for seat in FOUR[:3]:
        assert office.vote(change, seat).ok
    path = office.settings.config_file("people.yaml")
    spoil(path, "git: [mei@tan.example]", "git: []")
    spoil(path, "git: [tomas@lind.example]", "git: [tomas@lind.example, mei@tan.example]")
    assert office.vote(change, FOUR[3]).ok
    assert office.load(change).state == "authorizing"
    (said,) = [item for item in office.view(change)["conditions"] if item["code"] == "votes"]
    assert (said["verdict"], "tomas wrote part of it" in said["message"]) == ("no_go", True)
    assert office.records("change.refused")[-1]["reason"] == "votes"


def test_a_delegate_out_of_date_has_no_vote(office: Office) -> None:
    spoil(
        office.settings.config_file("approvals.yaml"),
        "security_officer: {title: Security Officer, holder: sam, delegates: [{person: oscar}]}",
        "security_officer: {title: Security Officer, holder: sam,"
        " delegates: [{person: oscar, until: 2026-11-22}]}",
    )
    change, _ = office.submit()
    refused(office, office.vote(change, "security_officer", "oscar"), "not_eligible", "delegate")
    assert office.vote(change, "security_officer", "sam").ok


def test_one_person_has_one_seat(office: Office) -> None:
    change, _ = office.submit()
    assert office.vote(change, "technical_lead", "dana").ok
    refused(office, office.vote(change, "operations_manager", "dana"), "not_eligible", "one vote")


def test_a_vote_on_what_was_edited_meanwhile_is_refused(office: Office) -> None:
    change, _ = office.submit()
    office.edit(change, impact_assessment={"rollback_plan": "another"})
    refused(office, office.vote(change, "technical_lead"), "not_eligible", "has changed since")


def test_a_vote_after_the_end_is_refused(office: Office) -> None:
    change, _ = office.submit()
    office.clock.now = MONDAY.replace(month=12, day=20)
    refused(office, office.vote(change, "technical_lead"), "expired", "time to answer is over")


def test_a_vote_on_what_was_cancelled_is_refused(office: Office) -> None:
    change, _ = office.submit()
    office.desk().cancel(change.id, "no")
    refused(office, office.vote(change, "technical_lead"), "not_asked", "no open ballot")


def test_an_approval_that_finds_a_criterion_not_met_is_refused(office: Office) -> None:
    change, _ = office.submit()
    ruling = office.vote(change, "technical_lead", criteria={"rollback_plan": "not met"})
    refused(office, ruling, "criteria_not_met", "rollback plan")
    assert office.vote(change, "technical_lead", criteria={"rollback_plan": "met"}).ok
    assert office.records("vote.cast")[0]["details"]["criteria"] == {"rollback_plan": "met"}


def test_a_rule_that_is_edited_after_the_vote_decides_nothing_that_was_asked(
    office: Office,
) -> None:
    change, _ = office.submit()
    office.vote(change, "technical_lead")
    path = office.settings.config_file("approvals.yaml")
    spoil(path, "    votes: 4\n", "    votes: 1\n")
    spoil(
        path,
        "    mandatory: [technical_lead, product_manager, security_officer]\n"
        "    asked: [technical_lead, product_manager, security_officer, operations_manager]\n",
        "    mandatory: [technical_lead]\n    asked: [technical_lead]\n",
    )
    office.desk().settle(change.id)
    assert office.load(change).state == "authorizing"
    assert office.view(change)["ballot"]["votes_needed"] == 4


def test_a_vote_in_the_table_without_its_record_counts_for_nothing(office: Office) -> None:
    change, _ = office.submit()
    with office.ledger.read() as connection:
        ballot = newest_ballot(connection, change)
    assert ballot is not None
    with office.desk("mallory").unit() as unit:
        for seat in FOUR:
            unit.execute(
                insert(schema.vote).values(
                    ballot_id=ballot.id, change_id=change.id, content_hash=change.content_hash,
                    seat=seat, voter=SEATS[seat], choice="approve",
                    meaning=f"approve {change.id} revision 1 as {seat}", comment="",
                    cast_at=unit.now, expires_at=ballot.votes_last_until,
                )
            )  # fmt: skip
        unit.append("something.else", change.subject, message="not a vote")
    office.desk().settle(change.id)
    assert office.load(change).state == "authorizing"


def at_once(*calls: Callable[[], object]) -> list[object]:
    gate = threading.Barrier(len(calls))
    done: list[object] = []
    raised: list[BaseException] = []

    def make(call: Callable[[], object]) -> None:
        gate.wait()
        try:
            done.append(call())
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=make, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert raised == []
    return done


def test_of_two_tabs_that_vote_at_once_one_counts(office: Office) -> None:
    change, _ = office.submit()
    done = at_once(
        lambda: office.vote(change, "security_officer", "sam").ok,
        lambda: office.vote(change, "security_officer", "oscar", "reject", "no").ok,
    )
    assert sorted(map(bool, done)) == [False, True]
    assert len(office.rows(schema.vote)) == 1


def test_an_edit_that_races_with_votes_leaves_none_of_them_counting(office: Office) -> None:
    change, _ = office.submit()
    at_once(
        lambda: office.edit(change, impact_assessment={"rollback_plan": "another"}),
        *[lambda seat=seat: office.vote(change, seat) for seat in FOUR],  # type: ignore[misc]
    )
    after = office.load(change)
    assert (after.revision, after.state) == (2, "authorizing")
    assert not any(vote["counts"] for vote in office.view(after)["votes"])
    assert after.content["rollback_plan"] == "another"


def test_two_changes_that_are_approved_at_once_get_different_slots(office: Office) -> None:
    changes = [office.submit()[0] for _ in range(4)]
    for change in changes:
        for seat in FOUR[:3]:
            office.vote(change, seat)
    at_once(*[lambda change=change: office.vote(change, FOUR[3]) for change in changes])  # type: ignore[misc]
    slots = [office.view(change)["slot"] for change in changes]
    assert all(slots)
    assert len({slot["start"] for slot in slots if slot}) == 4
