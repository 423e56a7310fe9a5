"""Guards about people's votes: who has none, and what those that there are amount to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sqlalchemy import select

from include.changes.ballot import count, newest_ballot
from include.changes.case import Case
from include.changes.condition import Condition, go, no, unknown
from include.changes.parties import parties_of, stakes, unknown_message
from include.ledger import schema

REQUESTER, OPERATIONS = "the requester", "operations manager"


def authors(case: Case) -> tuple[Condition, ...]:
    """Know who wrote what it brings, before anybody votes on it."""
    scope = case.content.get("scope") or {}
    written, service = case.written, scope.get("service")
    if not scope.get("commits"):
        return ()
    if written.unread:
        message = f"who wrote its commits cannot be read: {written.unread}"
        return (unknown("authors", message, OPERATIONS),)
    if service and written.missing:
        few = ", ".join(sha[:12] for sha in written.missing[:3])
        message = (
            f"{len(written.missing)} of its commits ({few}) are not in {service}'s repository: "
            "push them, or say of which service they are"
        )
        return (no("authors", message, REQUESTER),)
    found = stakes(
        parties_of(requester=case.change.requester, authors=written.authors), case.people
    )
    if found.unknown:
        return (unknown("authors", unknown_message(found.unknown), OPERATIONS),)
    said = f"{len(written.authors)} by the repository" if written.authors else "as the request says"
    return (go("authors", f"who wrote its commits has no vote on it: {said}", REQUESTER),)


def votes(case: Case) -> tuple[Condition, ...]:
    """Have the votes of enough people, none of whom has a stake in it."""
    ballot = newest_ballot(case.connection, case.change)
    if ballot is None:
        return (no("votes", "the board has not been asked about this content", "the board"),)
    written = parties_of(requester=case.change.requester, authors=case.written.authors)
    found = stakes([*ballot.parties, *written], case.people)
    if found.unknown:
        return (unknown("votes", unknown_message(found.unknown), "operations"),)
    # Who somebody is may become known only after they have voted.
    voters = case.connection.execute(
        select(schema.vote.c.voter).where(schema.vote.c.ballot_id == ballot.id)
    ).scalars()
    barred = [f"{user} {found.because[user]}" for user in voters if user in found.because]
    if barred:
        message = f"voted, and had no vote: {', '.join(barred)}; an edit has it voted on anew"
        return (no("votes", message, REQUESTER),)
    verdict = count(case.connection, case.change, ballot, case.now)
    who = ", ".join(seat.replace("_", " ") for seat in verdict.missing) or "the board"
    message = "; ".join([verdict.message, *_unfillable(case, verdict.missing, found.because)])
    return (Condition(code="votes", verdict=verdict.verdict, message=message, who=who),)


def _unfillable(case: Case, seats: Iterable[str], because: Mapping[str, str]) -> Iterator[str]:
    """Tell of the seats for which nobody has a vote today: waiting for them leads nowhere."""
    board = case.catalogue.board
    day = board.day(case.now)
    for name in seats:
        if name in board.seats and not board.eligible(name, day, because):
            occupants = board.seats[name].occupants(day)
            said = ", ".join(f"{user} {because[user]}" for user in occupants)
            yield (
                f"nobody has a vote for {name.replace('_', ' ')} today ({said}): give it another "
                "delegate in config/approvals.yaml"
            )


def rejected(case: Case) -> tuple[Condition, ...]:
    """Have a vote that ends it."""
    ballot = newest_ballot(case.connection, case.change)
    if ballot is not None:
        verdict = count(case.connection, case.change, ballot, case.now)
        if verdict.verdict == "no_go":
            return (go("rejected", verdict.message, "the board"),)
    return (no("rejected", "no vote has rejected this content", "the board"),)
