"""When enough people have agreed, against an oracle written from the table in the design."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.approvals import Rule, Vote, tally

SIX = (
    "technical_lead",
    "product_manager",
    "security_officer",
    "operations_manager",
    "business_representative",
    "qa_lead",
)
NORMAL = Rule(mandatory=SIX[:3], asked=SIX[:4], votes=4, chair=SIX[0])
MAJOR = Rule(mandatory=SIX, asked=SIX, votes=6, chair=SIX[0])
HASH = "sha256:this"


def vote(
    seat: str,
    choice: Literal["approve", "reject", "abstain"] = "approve",
    content_hash: str = HASH,
    comment: str = "",
) -> Vote:
    return Vote(
        seat=seat, voter=f"p-{seat}", choice=choice, content_hash=content_hash, comment=comment
    )


def oracle(rule: Rule, votes: list[Vote], content_hash: str) -> str:
    """Say what the design's row says: mandatory seats all approve, at least so many of the six
    have voted, the chair (or a delegate, on the same seat) has voted; counts, never percentages;
    votes on another hash are void; a mandatory seat's rejection is a no."""
    said = {}
    for each in votes:
        if each.content_hash == content_hash:
            said[each.seat] = each.choice
    if [seat for seat in rule.mandatory if said.get(seat) == "reject"]:
        return "no_go"
    agreed = [seat for seat in rule.mandatory if said.get(seat) == "approve"]
    if len(agreed) == len(rule.mandatory) and len(said) >= rule.votes and rule.chair in said:
        return "go"
    return "inconclusive"


SEATS = st.sampled_from(SIX)
VOTES = st.lists(
    st.builds(
        vote,
        SEATS,
        st.sampled_from(["approve", "approve", "approve", "reject", "abstain"]),
        st.sampled_from([HASH, HASH, HASH, HASH, "sha256:other"]),
    ),
    max_size=9,
    unique_by=lambda each: (each.seat, each.content_hash),
)


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    asked = tuple(draw(st.lists(SEATS, min_size=1, max_size=6, unique=True)))
    size = draw(st.integers(1, len(asked)))
    return Rule(
        mandatory=asked[:size],
        asked=asked,
        votes=draw(st.integers(1, len(asked))),
        chair=draw(st.sampled_from(asked)),
    )


@given(st.one_of(st.sampled_from([NORMAL, MAJOR]), rules()), VOTES)
@settings(max_examples=400)
def test_the_tally_is_what_the_design_s_table_says(rule: Rule, votes: list[Vote]) -> None:
    found = tally(rule, votes, HASH)
    assert found.verdict == oracle(rule, votes, HASH)
    assert found.message
    assert tally(rule, list(reversed(votes)), HASH).verdict == found.verdict


@given(VOTES)
@settings(max_examples=100)
def test_whoever_is_called_missing_can_help(votes: list[Vote]) -> None:
    found = tally(NORMAL, votes, HASH)
    if found.verdict != "inconclusive":
        return
    said = {each.seat: each.choice for each in votes if each.content_hash == HASH}
    assert found.missing
    for seat in found.missing:
        assert said.get(seat) != "approve"


@pytest.mark.parametrize(
    ("votes", "verdict", "reason"),
    [
        ([], "inconclusive", "mandatory_seat_missing"),
        ([vote(seat) for seat in SIX[:3]], "inconclusive", "quorum_missing"),
        ([vote(seat) for seat in SIX[:4]], "go", "approved"),
        ([*(vote(seat) for seat in SIX[:3]), vote(SIX[3], "reject")], "go", "approved"),
        ([*(vote(seat) for seat in SIX[:3]), vote(SIX[3], "abstain")], "go", "approved"),
        (
            [*(vote(seat) for seat in SIX[1:4]), vote(SIX[0], "abstain")],
            "inconclusive",
            "mandatory_seat_missing",
        ),
        (
            [*(vote(seat) for seat in SIX[1:4]), vote(SIX[0], "reject", comment="too soon")],
            "no_go",
            "rejected",
        ),
        (
            [*(vote(seat) for seat in SIX[1:4]), vote(SIX[0], "reject", "sha256:other")],
            "inconclusive",
            "mandatory_seat_missing",
        ),
        (
            [vote(seat, content_hash="sha256:other") for seat in SIX],
            "inconclusive",
            "mandatory_seat_missing",
        ),
    ],
)
def test_a_normal_change(votes: list[Vote], verdict: str, reason: str) -> None:
    found = tally(NORMAL, votes, HASH)
    assert (found.verdict, found.reason) == (verdict, reason)


def test_a_major_change_wants_all_six() -> None:
    assert tally(MAJOR, [vote(seat) for seat in SIX], HASH).verdict == "go"
    for absent in SIX:
        found = tally(MAJOR, [vote(seat) for seat in SIX if seat != absent], HASH)
        assert (found.verdict, found.missing) == ("inconclusive", (absent,))


def test_the_chair_has_to_vote_also_where_it_is_not_mandatory() -> None:
    rule = Rule(mandatory=SIX[1:3], asked=SIX, votes=2, chair=SIX[0])
    found = tally(rule, [vote(seat) for seat in SIX[1:]], HASH)
    assert (found.verdict, found.reason, found.missing) == (
        "inconclusive",
        "chair_missing",
        SIX[:1],
    )
    assert tally(rule, [vote(seat) for seat in SIX], HASH).verdict == "go"


def test_a_rejection_says_who_and_why() -> None:
    found = tally(NORMAL, [vote("security_officer", "reject", comment="no threat model")], HASH)
    assert found.message == "security officer (p-security_officer) rejected it: no threat model"


def test_what_a_seat_has_against_what_goes_ahead_is_told_with_it() -> None:
    votes = [*(vote(seat) for seat in SIX[:3]), vote(SIX[3], "reject", comment="no capacity")]
    found = tally(NORMAL, votes, HASH)
    assert found.verdict == "go"
    assert "against it: operations manager (p-operations_manager): no capacity" in found.message
