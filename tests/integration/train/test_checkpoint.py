"""Checkpoints that one person answers: whose word it is, and that the first one stands."""

from __future__ import annotations

from datetime import timedelta

import pytest

from include.errors import RecordMissing
from include.ledger import schema
from tests.integration.train.paper import Station, spoil


def test_an_approval_is_the_gate_s_verdict_on_exactly_this_artefact(built: Station) -> None:
    train = built.train(begin=False)
    done = built.answer(train, "uat", "quinn", comment="works for the wards")
    assert done.ok
    assert done.message == "User acceptance: go by quinn: works for the wards"
    (gate,) = [row for row in built.rows(schema.gate) if row.name == "uat"]
    assert (gate.verdict, gate.decided_by) == ("go", "quinn")
    assert (gate.commit, gate.digest) == ("c" * 40, train.result("build_artefact")["digest"])
    (record,) = built.bodies("checkpoint.uat")
    assert record["actor"]["user"] == "quinn"
    decided = built.bodies("gate.go")[-1]
    assert decided["meaning"] == "go for hims-api-2.3.0 at User acceptance as qa_lead"


def test_a_rejection_is_a_no_that_is_never_asked_again(built: Station) -> None:
    train = built.train(begin=False)
    done = built.answer(train, "uat", "bea", approved=False, comment="the form is empty")
    assert (done.ok, done.reason) == (False, "rejected")
    assert "no-go by bea: the form is empty" in done.message
    again = built.answer(train, "uat", "quinn", approved=True, comment="looks fine to me")
    assert (again.ok, again.reason) == (False, "rejected")
    assert again.message == done.message
    assert [row.verdict for row in built.rows(schema.gate) if row.name == "uat"] == ["no_go"]
    assert len(built.bodies("checkpoint.uat")) == 1


@pytest.mark.parametrize(
    ("name", "user"),
    [("uat", "rita"), ("uat", "sam"), ("go_no_go", "quinn"), ("go_no_go", "admin"), ("uat", "x")],
)
def test_the_word_of_somebody_who_is_not_asked_counts_for_nothing_and_is_on_record(
    built: Station, name: str, user: str
) -> None:
    train = built.train(begin=False)
    done = built.answer(train, name, user)
    assert (done.ok, done.reason) == (False, "not_eligible")
    assert [row for row in built.rows(schema.gate) if row.name == name] == []
    assert not train.has(f"answer_{name}")
    (record,) = built.bodies("checkpoint.refused")
    assert (record["outcome"], record["actor"]["user"]) == ("denied", user)


def test_a_seat_s_delegate_answers_on_their_days(built: Station) -> None:
    seat = "holder: quinn, delegates: [{person: oscar}]"
    until = built.clock.now.date()
    spoil(
        built.settings.config_file("approvals.yaml"),
        seat,
        seat.replace("oscar", f"oscar, until: {until}"),
    )
    train = built.train(begin=False)
    built.clock.now += timedelta(days=1)
    assert not built.answer(train, "uat", "oscar").ok
    built.clock.now -= timedelta(days=1)
    assert built.answer(train, "uat", "oscar").ok


@pytest.mark.parametrize("comment", ["\x00\ud800", "x" * 100_000])
def test_whatever_the_comment_the_answer_is_not_lost(built: Station, comment: str) -> None:
    train = built.train(begin=False)
    assert built.answer(train, "uat", "quinn", comment=comment).ok
    assert 0 < len(train.result("answer_uat")["comment"]) <= 2000


def test_without_an_artefact_there_is_nothing_to_accept(station: Station) -> None:
    with pytest.raises(RecordMissing, match="build_artefact"):
        station.answer(station.train(), "uat", "quinn")
