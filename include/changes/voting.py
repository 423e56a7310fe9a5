"""Casting a vote: one person, one seat, on exactly the content that was shown."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select

from include.approvals import Board
from include.changes.ballot import ACKNOWLEDGEMENT, Ballot, newest_ballot, open_ballot_of
from include.changes.change import Change, load_change
from include.changes.parties import stakes, unknown_message
from include.changes.ruling import Ruling
from include.ledger import Outcome, Unit, schema
from include.ledger.kept_text import keep_text
from include.ledger.record import storable
from include.people import People

# The plan's approval criteria (section 3.2), in its words.
CRITERIA = {
    "business_justification": "Business justification: clear business need",
    "technical_feasibility": "Technical feasibility: technically sound implementation",
    "risk_assessment": "Risk assessment: acceptable risk level",
    "resource_availability": "Resource availability: adequate resources allocated",
    "testing_coverage": "Testing coverage: comprehensive testing plan",
    "rollback_plan": "Rollback plan: viable rollback strategy",
}
JUDGEMENTS = ("not judged", "met", "not met")


def cast_vote(
    unit: Unit,
    change_id: str,
    board: Board,
    people: People,
    *,
    seat: str,
    choice: str,
    comment: str,
    content_hash: str,
    cast_at: datetime,
    criteria: Mapping[str, str] | None = None,
) -> Ruling:
    """Write the vote of the unit's actor for a seat, or record why it does not count.

    Refused: a voter who does not hold the seat today, who has a stake in the change, who has voted
    for another seat; a second vote on a seat; a vote on content that is no longer the change's, or
    on no open ballot; a rejection without a reason; an approval whose criteria say no. The same
    vote again changes nothing. Votes on one change take their turn.
    """
    change = load_change(unit.connection, change_id, lock=True)
    ballot = open_ballot_of(unit.connection, change.id)
    judged = {name: word for name, word in (criteria or {}).items() if name in CRITERIA and word}
    asked = None if ballot is None or content_hash != change.content_hash else ballot.id
    existing = unit.row(
        select(schema.vote).where(
            schema.vote.c.ballot_id == asked,
            (schema.vote.c.seat == seat) | (schema.vote.c.voter == unit.actor.user),
        )
    )
    repeated = existing is not None and (existing.seat, existing.voter, existing.choice) == (
        seat,
        unit.actor.user,
        choice,
    )
    name = unit.actor.name
    if repeated:
        message = f"{name} has voted {choice} for {seat} already"
        unit.append(
            "vote.repeated",
            change.subject,
            reason="already_voted",
            message=message,
            release=change.release_id,
        )
        return Ruling(ok=True, reason="already_voted", message=message)
    reason, problem = _objection(
        unit, board, people, change, ballot, seat, content_hash, choice, comment, judged
    )
    if not problem and existing is not None:
        reason = "not_eligible"
        if existing.seat == seat and existing.voter == unit.actor.user:
            problem = f"has voted {existing.choice} already, and a vote stands"
        elif existing.voter == unit.actor.user:
            problem = f"has voted for {existing.seat}; one person has one vote"
        else:
            problem = f"{existing.voter} has voted for this seat"
    if problem or ballot is None:
        unit.append(
            "vote.refused",
            change.subject,
            outcome=Outcome.DENIED,
            reason=reason,
            message=f"{name} for {seat}: {problem}",
            release=change.release_id,
            details={"seat": seat, "choice": choice, "content_hash": content_hash},
        )
        return Ruling(ok=False, reason=reason, message=f"{name}: {problem}")
    meaning = _meaning(choice, change, ballot, seat)
    unit.execute(
        insert(schema.vote).values(
            ballot_id=ballot.id,
            change_id=change.id,
            content_hash=content_hash,
            seat=seat,
            voter=unit.actor.user,
            choice=choice,
            meaning=meaning,
            comment=storable(comment[:4000]),
            cast_at=cast_at,
            expires_at=min(ballot.votes_last_until, cast_at + board.votes_last)
            if change.release_id is None
            else ballot.votes_last_until,
        )
    )
    word = meaning.partition(f" {change.id}")[0]
    unit.append(
        "vote.cast",
        change.subject,
        reason=word,
        message=f"{name} votes {word} for {seat}",
        release=change.release_id,
        meaning=meaning,
        details={
            "seat": seat,
            "ballot": ballot.id,
            **({"comment": keep_text(unit, comment[:4000])} if comment.strip() else {}),
            **({"criteria": judged} if judged else {}),
            **_standing(board, seat, unit.actor.user),
        },
    )
    return Ruling(ok=True, reason=choice, message=f"{name} votes {choice}")


def _standing(board: Board, seat: str, user: str) -> dict[str, Any]:
    """Return for whom a delegate speaks."""
    holder = board.seats[seat].holder
    return {"on_behalf_of": holder} if user != holder else {}


def _meaning(choice: str, change: Change, ballot: Ballot, seat: str) -> str:
    # What was done already is acknowledged or not; nobody can still approve it.
    words = {"approve": "acknowledge", "reject": "object to"} if (
        ballot.meaning == ACKNOWLEDGEMENT
    ) else {}  # fmt: skip
    return f"{words.get(choice, choice)} {change.id} revision {change.revision} as {seat}"


def _objection(
    unit: Unit,
    board: Board,
    people: People,
    change: Change,
    ballot: Ballot | None,
    seat: str,
    content_hash: str,
    choice: str,
    comment: str,
    judged: Mapping[str, Any],
) -> tuple[str, str]:
    user = unit.actor.user
    if content_hash != change.content_hash:
        return "not_eligible", f"{change.id} has changed since it was shown; look at it again"
    if seat not in board.seats:
        return "not_eligible", f"config/approvals.yaml has no seat {seat} any more"
    if user not in board.seats[seat].occupants(board.day(unit.now)):
        return "not_eligible", "does not hold this seat today, and is not its delegate"
    if ballot is None:
        last = newest_ballot(unit.connection, change)
        ended = f"it is {last.state}" if last is not None else "it was never asked"
        return "not_asked", f"there is no open ballot on {change.id}: {ended}"
    if ballot.closes_at <= unit.now:
        return "expired", "the time to answer is over"
    if seat not in ballot.rule.asked:
        return "not_eligible", f"{seat} is not asked about {change.id}"
    found = stakes(ballot.parties, people)
    if user in found.because:
        return "not_eligible", f"{found.because[user]}, and so has no vote on it"
    if found.unknown:
        return "unknown_author", unknown_message(found.unknown)
    if choice == "reject" and not comment.strip():
        return "no_reason", "a rejection needs its reason: say in the comment what is missing"
    unmet = [name for name, word in judged.items() if word == "not met"]
    if choice == "approve" and unmet:
        said = ", ".join(name.replace("_", " ") for name in unmet)
        return "criteria_not_met", f"approves, and finds not met: {said}; one of the two is wrong"
    return "", ""
