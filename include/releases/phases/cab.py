"""The Change Advisory Board on a release: the change, the votes on its hash, the tally."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from include.approvals import Board, Rule, Tally
from include.changes.ballot import count, newest_ballot, open_ballot, open_ballot_of
from include.changes.case import case_of
from include.changes.change import Change, book_slot, load_change, open_change
from include.changes.machine import advance
from include.changes.parties import parties_of, stakes, unknown_message
from include.changes.ruling import Ruling
from include.changes.voting import cast_vote as cast
from include.errors import RecordMissing, RequestError
from include.ledger import Actor, Unit, schema
from include.notices import texts
from include.people import People, load_people
from include.policies import note_policies
from include.privacy import screen
from include.releases.phases.briefing import ballot
from include.releases.phases.code_freeze import artefact
from include.releases.plan import ReleasePlan
from include.releases.train import Done, Train, Withdrawn
from include.services.migration_kind import expands


def release_content(
    train: Train,
    *,
    commit: str,
    commits: list[str],
    digest: str,
    migrations: Sequence[Mapping[str, str]] = (),
) -> dict[str, Any]:
    """Return what a release's change says about exactly this commit and artefact."""
    plan = train.plan
    return {
        "title": plan.title,
        "type": plan.change_type,
        "priority": "normal",
        "requester": plan.requester.user,
        "description": f"Release train {plan.release}, attempt {plan.attempt}",
        "scope": {
            "service": plan.service.name,
            "version": plan.version,
            "from_version": plan.previous_version,
            "commit": commit,
            "commits": sorted(commits),
            "artefact": digest,
        },
        "affected_systems": list(plan.service.systems),
        "risk": {"level": "medium", "downtime_required": False},
        "rollback_plan": _rollback_plan(plan.previous_version, migrations),
        "slot": {
            "window": plan.slot.window,
            "earliest": _text(plan.slot.start),
            "latest": _text(plan.slot.latest),
        },
        "strategy": plan.strategy,
        "implementers": ["service:release_train"],
    }


def current_content(train: Train) -> dict[str, Any]:
    """Return the content of what this train is about to deploy, read anew."""
    checked = train.result("check_commits")
    return release_content(
        train,
        commit=str(train.result("bump_version")["commit"]),
        commits=list(checked["commits"]),
        digest=artefact(train).digest,
        migrations=checked.get("migrations") or (),
    )


def _rollback_plan(previous: str, migrations: Sequence[Mapping[str, str]]) -> str:
    """Return the way back that there is: over some migrations code alone does not go back."""
    barred = [f"{item['name']} ({item['kind']})" for item in migrations if not expands(item)]
    if not barred:
        return f"traffic back to {previous}, which stays running"
    return (
        "a fix forward, or a restore of the database as it was before the deploy, which two people "
        f"vote on: code alone does not go back over {', '.join(barred)}"
    )


def open_release_change(train: Train) -> Done:
    """Open the release's change, book its slot, and put it before the board."""
    plan = train.plan

    def open_it() -> Done:
        for gate in ("tag_candidate", "test_staging"):
            train.result(gate)
        content = current_content(train)
        found = stakes(parties(train), load_people(train.settings))
        if found.unknown:
            message = unknown_message(found.unknown)
            return Done(ok=False, reason="unknown_author", message=message)
        opened: list[Change] = []

        def write(unit: Any) -> None:
            change = open_change(unit, content, release_id=train.release)
            move(
                unit, train, change, "assessing", reason="submitted", message="opened by its train"
            )
            end = plan.slot.start + plan.work
            holder = book_slot(
                unit, change, start=plan.slot.start, end=end, window=plan.slot.window
            )
            if holder is not None:
                raise _SlotTaken(
                    f"the slot {plan.slot.local} is booked for {holder} on one of "
                    f"{', '.join(change.systems)}; choose another target window"
                )
            move(
                unit,
                train,
                change,
                "authorizing",
                reason="assessed",
                message=f"{change.id} is before the board",
            )
            open_ballot(
                unit,
                change,
                _rule(plan),
                parties=parties(train),
                policy_hash=plan.policy.approvals,
                closes=plan.slot.latest,
                votes_last_until=plan.slot.latest,
            )
            unit.execute(
                update(schema.release)
                .where(schema.release.c.id == train.release)
                .values(change_id=change.id, updated_at=unit.now)
            )
            opened.append(change)

        return Done(message="the release's change is before the board", write=write)

    try:
        train.step("open_change", "release.change_opened", open_it)
    except _SlotTaken as taken:
        refused = Done(ok=False, reason="slot_taken", message=str(taken))
        return train.step("open_change", "release.change_opened", lambda: refused)
    change = release_change(train)
    return Done(
        message=f"{change.id} asks {len(plan.seats)} seats",
        result={"change": change.id, "content_hash": change.content_hash},
    )


class _SlotTaken(Withdrawn):
    """The slot turned out to be booked when the change wanted it."""


def release_change(train: Train) -> Change:
    """Return the release's change; LedgerError if none was opened."""
    with train.ledger.read() as connection:
        change_id = connection.execute(
            select(schema.release.c.change_id).where(schema.release.c.id == train.release)
        ).scalar()
        if change_id is None:
            raise RecordMissing(f"{train.release} has no change; its CAB phase has not run")
        return load_change(connection, str(change_id))


def parties(train: Train) -> list[dict[str, str]]:
    """Return who has a stake in the release: who asked for it, and who wrote commits of it."""
    return parties_of(
        requester=train.plan.requester.user, authors=train.result("check_commits")["authors"]
    )


def excluded_voters(train: Train, people: People) -> frozenset[str]:
    """Return who may not vote: the requester and everybody who wrote a commit of the release."""
    return frozenset(stakes(parties(train), people).because)


def move(
    unit: Unit, train: Train, change: Change, target: str, *, reason: str, message: str
) -> Ruling:
    """Move the release's change through the machine of changes, in a unit of the train's."""
    case = case_of(change, unit.connection, unit.now, train.settings)
    ruling = advance(unit, case, target, reason=reason, message=message)
    if not ruling.ok:
        raise NotMoved(f"{change.id} stays {change.state}: {ruling.message}")
    return ruling


class NotMoved(RequestError):
    """A guard of the change's machine refused; its words say why."""


def seat_requests(train: Train, board: Board, people: People) -> list[dict[str, Any]]:
    """Return, for each seat that is asked, who may answer and what they are shown.

    A seat whose every occupant is excluded is still listed, with nobody: the tally will say so.
    """
    plan = train.plan
    change = release_change(train)
    excluded = excluded_voters(train, people)
    day = board.day(train.clock())
    until = train.clock() + plan.profile.answers.cab
    requests = []
    for seat in plan.seats:
        if seat.name not in board.seats:
            raise RequestError(
                f"the plan of {plan.release} asks the seat {seat.name}, which the board "
                "(config/approvals.yaml) no longer has; put it back until this train has ended"
            )
        eligible = board.eligible(seat.name, day, excluded)
        occupants = board.seats[seat.name].occupants(day)
        # The group follows delegations by itself; names are needed only where someone is barred.
        assigned = [f"group:{seat.name}"] if eligible == occupants else list(eligible)
        names = [person.name for user in eligible if (person := people.find(user)) is not None]
        requests.append(
            {
                "seat": seat.name,
                "title": seat.title,
                "assigned": assigned or ["nobody"],
                "people": names,
                "subject": f"{seat.title}: {plan.title}",
                "body": ballot(train, change, seat=seat, names=names, until=until),
                "content_hash": change.content_hash,
            }
        )
    return requests


def cast_vote(
    train: Train,
    board: Board,
    people: People,
    *,
    seat: str,
    choice: str,
    comment: str,
    content_hash: str,
    voter: Actor,
    cast_at: datetime,
    criteria: Mapping[str, str] | None = None,
) -> Done:
    """Write a seat's vote on exactly `content_hash`, or record why it does not count.

    Who may vote, and what is refused, is told by `include.changes.voting`. The same vote again
    changes nothing.
    """
    change_id = release_change(train).id
    comment = screen(train.settings, "comment", comment)
    with train.ledger.write(voter, train.source, train.clock()) as unit:
        note_policies(unit, train.settings)
        ruling = cast(
            unit,
            change_id,
            board,
            people,
            seat=seat,
            choice=choice,
            comment=comment,
            content_hash=content_hash,
            cast_at=cast_at,
            criteria=criteria,
        )
        if ruling.ok and ruling.reason != "already_voted":
            train.tell(
                unit,
                texts.checkpoint_decided(
                    release=train.release,
                    attempt=train.plan.attempt,
                    checkpoint=f"CAB: {board.seats[seat].title}",
                    decision=choice,
                    by=voter.name,
                    comment=comment,
                    key=seat,
                ),
            )
    return Done(
        ok=ruling.ok,
        reason=ruling.reason if not ruling.ok or ruling.reason == "already_voted" else "done",
        message=ruling.message,
        result={"choice": choice} if ruling.ok else {},
    )


def hash_shown(train: Train, seat: str) -> str:
    """Return the hash of the content that this run has shown a seat last, "" where it showed none.

    As the ledger has it: what a task was handed in between may have been edited.
    """
    for row in reversed(train.ledger.records(event="vote.asked", release=train.release)):
        body = json.loads(row["body"])
        if body["reason"] == seat and body["source"].get("run_id") == train.run_id:
            return str(body.get("details", {}).get("content_hash", ""))
    return ""


def voted_before(train: Train, seat: str) -> Done | None:
    """Return a seat's vote on the content as it is now, None where it has not voted: a task that
    was killed after the vote does not ask again."""
    change, table = release_change(train), schema.vote
    with train.ledger.read() as connection:
        ballot = newest_ballot(connection, change)
        row = (
            None
            if ballot is None
            else connection.execute(
                select(table.c.voter, table.c.choice).where(
                    table.c.ballot_id == ballot.id, table.c.seat == seat
                )
            ).first()
        )
    if row is None:
        return None
    message = f"{row.voter} has voted {row.choice} for {seat} already"
    return Done(reason="already_voted", message=message, result={"choice": row.choice})


def asked_until(train: Train, content_hash: str) -> datetime | None:
    """Return until when the board can vote on this content, None where it cannot any more."""
    with train.ledger.read() as connection:
        ballot = open_ballot_of(connection, release_change(train).id)
    if ballot is None or ballot.content_hash != content_hash:
        return None
    return min(ballot.closes_at, ballot.opened_at + train.plan.profile.answers.cab)


def tally_votes(train: Train) -> Done:
    """Count the votes in the ledger; what a task's state or an XCom says counts for nothing."""
    try:
        change = release_change(train)
    except RecordMissing as error:
        # The train ended before its change was opened: nobody was asked.
        return Done(reason="not_needed", message=str(error))

    def count() -> Done:
        with train.ledger.read() as connection:
            verdict = count_votes(connection, train.plan, change, train.clock())
        if verdict.verdict != "go":
            _reject(train, change, verdict)
            return Done(ok=False, reason=verdict.reason, message=f"CAB: {verdict.message}")

        def approve(unit: Any) -> None:
            move(unit, train, change, "scheduled", reason="approved", message=verdict.message)

        return Done(message=f"CAB: {verdict.message}", write=approve)

    return train.step("tally_votes", "cab.tallied", count)


def _reject(train: Train, change: Change, verdict: Tally) -> None:
    """Let the change be rejected: by a vote, or because the time to answer is over."""
    with train.unit() as unit:
        move(unit, train, change, "rejected", reason=verdict.reason, message=verdict.message)


def count_votes(connection: Connection, plan: ReleasePlan, change: Change, now: datetime) -> Tally:
    """Return what the unexpired votes on the change's present content amount to."""
    ballot = newest_ballot(connection, change)
    if ballot is None or ballot.rule != _rule(plan):
        return Tally(
            verdict="inconclusive",
            reason="not_asked",
            message=f"the board has not been asked about this content of {change.id}",
            missing=plan.mandatory_seats,
        )
    return count(connection, change, ballot, now)


def _rule(plan: ReleasePlan) -> Rule:
    return Rule(
        mandatory=plan.mandatory_seats,
        asked=tuple(seat.name for seat in plan.seats),
        votes=plan.votes_needed,
        chair=plan.chair,
    )


def _text(value: datetime) -> str:
    return f"{value:%Y-%m-%dT%H:%M:%SZ}"
