"""The board's votes on a release: whose counts, on what, and how often."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import insert, update

from include.errors import RecordMissing, RequestError
from include.ledger import schema
from include.releases.phases import cab
from include.releases.train import Done, Train
from tests.integration.train.paper import DAG, SEATS, Station, note, person, spoil


@pytest.fixture
def train(built: Station) -> Train:
    """Return a train whose change is before the board."""
    made = built.train(begin=False)
    assert cab.open_release_change(made).ok
    return made


def refused(station: Station, done: Done, said: str) -> None:
    assert not done.ok
    assert done.reason == "not_eligible"
    assert said in done.message
    record = station.bodies("vote.refused")[-1]
    assert record["outcome"] == "denied"
    assert said in record["message"]


def test_a_vote_is_a_row_and_a_record_that_says_what_it_means(built: Station, train: Train) -> None:
    change = built.change(train)
    assert built.vote(train, "security_officer", "sam", comment="threat model read").ok
    (row,) = built.rows(schema.vote)
    assert (row.seat, row.voter, row.choice, row.content_hash) == (
        "security_officer",
        "sam",
        "approve",
        change.content_hash,
    )
    (record,) = built.bodies("vote.cast")
    assert record["meaning"] == f"approve {change.id} revision 1 as security_officer"
    assert record["actor"] == {"auth": "airflow-hitl", "name": "Sam", "user": "sam"}
    assert record["subject"]["content_hash"] == change.content_hash
    assert record["change"] == change.id


def test_the_change_is_opened_once_and_asks_the_plan_s_seats(built: Station, train: Train) -> None:
    assert cab.open_release_change(train).ok
    assert len(built.rows(schema.change)) == 1
    requests = cab.seat_requests(train, built.board, built.people)
    assert [(item["seat"], item["assigned"]) for item in requests] == [
        (seat, [f"group:{seat}"]) for seat in SEATS
    ]


def test_a_voter_who_does_not_hold_the_seat_is_refused(built: Station, train: Train) -> None:
    for user in ("priya", "rita", "audra", "nobody", "", "SAM"):
        refused(built, built.vote(train, "security_officer", user), "does not hold this seat today")
    assert built.rows(schema.vote) == []


def test_a_delegate_votes_on_their_days_only(built: Station, train: Train) -> None:
    approvals = built.settings.config_file("approvals.yaml")
    day = built.clock.now.date()
    seat = "delegates: [{person: oscar}]}\n  operations"
    spoil(approvals, seat, seat.replace("oscar", f"oscar, until: {day}"))
    built.clock.now += timedelta(days=1)
    refused(built, built.vote(train, "security_officer", "oscar"), "does not hold this seat today")
    built.clock.now -= timedelta(days=1)
    assert built.vote(train, "security_officer", "oscar").ok


def test_the_requester_does_not_vote_on_what_they_asked_for(built: Station, train: Train) -> None:
    spoil(built.settings.config_file("approvals.yaml"), "holder: sam", "holder: rita")
    refused(built, built.vote(train, "security_officer", "rita"), "asked for it")
    request = cab.seat_requests(train, built.board, built.people)[2]
    assert request["assigned"] == ["oscar"]


def test_an_author_does_not_vote_under_whatever_case_git_has_their_address(
    built: Station,
) -> None:
    made = built.train(begin=False)
    built.arrange(
        "UPDATE step SET result = jsonb_set(result, '{authors}',"
        " '[\"Sam.OKAFOR@arocord.EXAMPLE\"]') WHERE name = 'check_commits'"
    )
    assert cab.open_release_change(made).ok
    refused(built, built.vote(made, "security_officer", "sam"), "wrote part of it")
    assert built.vote(made, "security_officer", "oscar").ok


def test_a_seat_of_which_everybody_is_barred_is_asked_all_the_same(built: Station) -> None:
    made = built.train(begin=False)
    built.arrange(
        "UPDATE step SET result = jsonb_set(result, '{authors}',"
        ' \'["sam.okafor@arocord.example", "oscar.brandt@arocord.example"]\')'
        " WHERE name = 'check_commits'"
    )
    assert cab.open_release_change(made).ok
    request = cab.seat_requests(made, built.board, built.people)[2]
    assert (request["assigned"], request["people"]) == (["nobody"], [])


def test_one_person_votes_for_one_seat(built: Station, train: Train) -> None:
    assert built.vote(train, "technical_lead", "dana").ok
    refused(built, built.vote(train, "operations_manager", "dana"), "has voted for technical_lead")
    assert built.vote(train, "operations_manager", "olga").ok


def test_a_seat_has_one_vote(built: Station, train: Train) -> None:
    assert built.vote(train, "security_officer", "oscar", "reject").ok
    refused(built, built.vote(train, "security_officer", "sam"), "oscar has voted for this seat")
    (row,) = built.rows(schema.vote)
    assert row.choice == "reject"


def test_the_same_vote_again_is_no_error_and_no_second_vote(built: Station, train: Train) -> None:
    assert built.vote(train, "security_officer", "sam").ok
    again = built.vote(train, "security_officer", "sam", comment="once more")
    assert (again.ok, again.reason) == (True, "already_voted")
    assert len(built.rows(schema.vote)) == 1
    assert len(built.bodies("vote.cast")) == 1


def test_a_vote_stands_and_is_not_changed_into_another(built: Station, train: Train) -> None:
    assert built.vote(train, "security_officer", "sam", "approve").ok
    refused(built, built.vote(train, "security_officer", "sam", "reject"), "a vote stands")
    (row,) = built.rows(schema.vote)
    assert row.choice == "approve"


def test_a_vote_on_what_the_change_no_longer_says_is_refused(built: Station, train: Train) -> None:
    shown = built.change(train).content_hash
    with built.ledger.write(person("rita"), DAG, built.clock()) as unit:
        change = built.change(train)
        unit.execute(update(schema.change).values(content_hash="sha256:edited", revision=1))
        unit.append("change.revised", change.subject, message="edited")
    refused(
        built,
        built.vote(train, "security_officer", "sam", content_hash=shown),
        "has changed since it was shown",
    )


def test_a_seat_that_was_abolished_meanwhile_is_refused_in_words(
    built: Station, train: Train
) -> None:
    refused(built, built.vote(train, "astrologer", "sam"), "has no seat astrologer")
    approvals = built.settings.config_file("approvals.yaml")
    text = approvals.read_text().replace("operations_manager", "head_of_operations")
    approvals.write_text(text)
    refused(built, built.vote(train, "operations_manager", "olga"), "has no seat")
    with pytest.raises(RequestError, match="asks the seat operations_manager, which the board"):
        cab.seat_requests(train, built.board, built.people)


@pytest.mark.parametrize(
    "comment", ["\x00", "half \ud800", "x" * 100_000, "’; DROP TABLE vote; --"]
)
def test_whatever_a_comment_holds_the_vote_is_not_lost(
    built: Station, train: Train, comment: str
) -> None:
    assert built.vote(train, "security_officer", "sam", comment=comment).ok
    (row,) = built.rows(schema.vote)
    assert 0 < len(row.comment) <= 4000


def test_without_a_change_there_is_nothing_to_vote_on(built: Station) -> None:
    made = built.train(begin=False)
    with pytest.raises(RecordMissing, match="has no change"):
        built.vote(made, "security_officer", "sam", content_hash="sha256:1")
    tallied = cab.tally_votes(made)
    assert (tallied.ok, tallied.reason) == (True, "not_needed")


def at_once(*calls: Callable[[], Done]) -> list[Done]:
    """Make all calls at the same instant and return what they returned; none may raise."""
    gate = threading.Barrier(len(calls))
    done: list[Done] = []
    raised: list[BaseException] = []

    def make(call: Callable[[], Done]) -> None:
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


def test_of_two_votes_of_one_seat_at_once_one_counts_and_the_other_is_on_record(
    built: Station, train: Train
) -> None:
    done = at_once(
        lambda: built.vote(train, "security_officer", "sam"),
        lambda: built.vote(train, "security_officer", "oscar", "reject"),
    )
    assert sorted(item.ok for item in done) == [False, True]
    assert len(built.rows(schema.vote)) == len(built.bodies("vote.cast")) == 1
    assert len(built.bodies("vote.refused")) == 1


def test_of_one_person_s_votes_for_two_seats_at_once_one_counts(
    built: Station, train: Train
) -> None:
    done = at_once(
        lambda: built.vote(train, "technical_lead", "dana"),
        lambda: built.vote(train, "operations_manager", "dana"),
    )
    assert sorted(item.ok for item in done) == [False, True]
    assert len(built.rows(schema.vote)) == 1


def test_one_vote_delivered_twice_at_once_is_one_vote(built: Station, train: Train) -> None:
    done = at_once(*[lambda: built.vote(train, "security_officer", "sam")] * 4)
    assert all(item.ok for item in done)
    assert len(built.rows(schema.vote)) == len(built.bodies("vote.cast")) == 1


def test_all_seats_at_once_all_count(built: Station, train: Train) -> None:
    calls = [
        lambda seat=seat, user=user: built.vote(train, seat, user) for seat, user in SEATS.items()
    ]
    assert all(item.ok for item in at_once(*calls))
    assert cab.tally_votes(train).ok


def test_the_tally_counts_the_ledger_and_moves_the_change(built: Station, train: Train) -> None:
    for seat, user in SEATS.items():
        built.vote(train, seat, user)
    done = cab.tally_votes(train)
    assert done.ok, done.message
    assert built.change(train).state == "scheduled"
    assert cab.tally_votes(train).reason == "already_done"
    assert len(built.bodies("change.scheduled")) == 1


def test_the_tally_says_whose_vote_is_missing(built: Station, train: Train) -> None:
    built.vote(train, "technical_lead", "tomas")
    done = cab.tally_votes(train)
    assert (done.ok, done.reason) == (False, "mandatory_seat_missing")
    assert "product manager, security officer" in done.message
    assert built.change(train).state == "rejected"


def test_a_rejection_ends_it_with_the_reason(built: Station, train: Train) -> None:
    built.vote(train, "product_manager", "priya", "reject", comment="not this week")
    done = cab.tally_votes(train)
    assert (done.ok, done.reason) == (False, "rejected")
    assert "not this week" in done.message


def test_a_vote_in_the_table_without_its_record_counts_for_nothing(
    built: Station, train: Train
) -> None:
    built.vote(train, "technical_lead", "tomas")
    change = built.change(train)
    with train.unit() as unit:
        for seat in ("product_manager", "security_officer", "operations_manager"):
            unit.execute(
                insert(schema.vote).values(
                    change_id=change.id,
                    content_hash=change.content_hash,
                    seat=seat,
                    voter=SEATS[seat],
                    choice="approve",
                    meaning=f"approve {change.id} revision {change.revision} as {seat}",
                    comment="",
                    cast_at=unit.now,
                    expires_at=train.plan.slot.latest,
                )
            )
        unit.append("something.else", change.subject, message="not a vote")
    assert cab.tally_votes(train).reason == "mandatory_seat_missing"


def test_votes_that_have_expired_count_for_nothing(built: Station, train: Train) -> None:
    for seat, user in SEATS.items():
        built.vote(train, seat, user)
    built.clock.now = train.plan.slot.latest
    assert cab.tally_votes(train).reason == "mandatory_seat_missing"


def test_a_slot_that_somebody_else_has_booked_stops_the_change_with_the_holder_s_name(
    built: Station,
) -> None:
    made = built.train(begin=False)
    other = built.train("run-2", version="2.2.1", kind="patch")
    note(other, "check_commits", commits=["d" * 40], authors=[])
    for name in ("bump_version", "tag_candidate", "test_staging"):
        note(other, name, commit="d" * 40)
    note(other, "build_artefact", digest="sha256:" + "d" * 64, path="/nowhere")
    assert cab.open_release_change(other).ok
    done = cab.open_release_change(made)
    assert (done.ok, done.reason) == (False, "slot_taken")
    assert f"is booked for {built.change(other).id}" in done.message
    (record,) = [item for item in built.bodies() if item["reason"] == "slot_taken"]
    assert record["outcome"] == "failure"
    assert len(built.rows(schema.change)) == 1
    assert len(built.rows(schema.slot)) == 1
