"""When enough people have agreed: counts, never percentages (plan §3.2, design §4).

all mandatory seats approve · at least `votes` seats have voted · at least `approvals` approve ·
the chair's seat has voted, where the rule asks for it
a rejection by a mandatory seat ends it, and so do rejections that leave too few who could approve;
abstaining counts for presence only; what another seat has against it stops nothing by itself, and
is told with its reason wherever the decision is
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

Choice = Literal["approve", "reject", "abstain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One seat's word: who gave it, and the content hash that it signs."""

    seat: str
    voter: str
    choice: Choice
    content_hash: str
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The decision rule for one type of change; `chair` None lets it be decided without the chair.

    `answer_in` is the time to answer, None where the profile or the agenda says it.
    """

    mandatory: tuple[str, ...]
    asked: tuple[str, ...]
    votes: int
    chair: str | None
    approvals: int = 0
    answer_in: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What the votes amount to. `verdict` is `inconclusive` while seats are still missing."""

    verdict: Literal["go", "no_go", "inconclusive"]
    reason: str
    message: str
    missing: tuple[str, ...] = ()


def tally(rule: Rule, votes: Iterable[Vote], content_hash: str) -> Tally:
    """Count the votes that sign `content_hash`; votes on another content count for nothing."""
    valid = {vote.seat: vote for vote in votes if vote.content_hash == content_hash}
    for seat in rule.mandatory:
        vote = valid.get(seat)
        if vote and vote.choice == "reject":
            said = f": {vote.comment}" if vote.comment else ""
            return Tally(
                verdict="no_go",
                reason="rejected",
                message=f"{_words(seat)} ({vote.voter}) rejected it{said}",
            )
    approvals = sum(vote.choice == "approve" for vote in valid.values())
    silent = sum(seat not in valid for seat in rule.asked)
    if approvals + silent < rule.approvals:
        against = [vote for vote in valid.values() if vote.choice == "reject"]
        said = "; ".join(f"{_words(vote.seat)} ({vote.voter})" for vote in against)
        return Tally(
            verdict="no_go",
            reason="rejected",
            message=f"{rule.approvals} approvals cannot be reached any more; against it: "
            f"{said or 'nobody, but too many abstained'}",
        )
    missing = tuple(
        seat for seat in rule.mandatory if seat not in valid or valid[seat].choice != "approve"
    )
    if missing:
        names = ", ".join(_words(seat) for seat in missing)
        return Tally(
            verdict="inconclusive",
            reason="mandatory_seat_missing",
            message=f"no approval of this content by: {names}",
            missing=missing,
        )
    if len(valid) < rule.votes:
        return Tally(
            verdict="inconclusive",
            reason="quorum_missing",
            message=f"{len(valid)} seats have voted on this content, {rule.votes} are needed",
            missing=tuple(seat for seat in rule.asked if seat not in valid),
        )
    if rule.chair is not None and rule.chair not in valid:
        return Tally(
            verdict="inconclusive",
            reason="chair_missing",
            message=f"the chair ({_words(rule.chair)}) or a delegate has to vote",
            missing=(rule.chair,),
        )
    if approvals < rule.approvals:
        return Tally(
            verdict="inconclusive",
            reason="approvals_missing",
            message=f"{approvals} have approved this content, {rule.approvals} are needed",
            missing=tuple(seat for seat in rule.asked if seat not in valid),
        )
    return Tally(
        verdict="go",
        reason="approved",
        message=f"{approvals} of {len(valid)} votes approve"
        + (", all mandatory seats among them" if rule.mandatory else "")
        + _dissent(valid.values()),
    )


def _dissent(votes: Iterable[Vote]) -> str:
    said = [
        f"{_words(vote.seat)} ({vote.voter}){f': {vote.comment}' if vote.comment else ''}"
        for vote in votes
        if vote.choice == "reject"
    ]
    return f"; against it: {'; '.join(said)}" if said else ""


def _words(seat: str) -> str:
    return seat.replace("_", " ")
