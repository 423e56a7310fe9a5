"""A meeting of the board: which ballots it takes, whom it asks, and minutes from the ledger."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from include.changes.agenda import item, lines_of, waiting
from include.changes.ballot import newest_ballot, open_ballot_of
from include.changes.case import case_of
from include.changes.change import load_change
from include.changes.desk import Desk
from include.changes.open_ballots import ask_anew, end_overdue
from include.changes.parties import stakes
from include.changes.urgent import URGENT, ready
from include.changes.view import votes
from include.ledger import Subject, schema
from include.notices import queue
from include.notices.board_texts import cab_agenda, cab_minutes
from include.notices.wording import moment, short_digest


def open_meeting(desk: Desk, run_id: str, changes: Sequence[str] | None) -> list[dict[str, Any]]:
    """Put the waiting ballots (or those on `changes`) on this meeting's table.

    Return one question for each change and seat: who may answer, what they are shown, until when.
    A ballot is on one table at a time; asked again by the same run the questions are the same.
    Overdue ballots end here, and nothing approves by their silence.
    """
    end_overdue(desk)
    ask_anew(desk)
    # The cut-off: what nothing keeps from the board any more comes before it.
    for name in ready(desk, urgent=False) if changes is None else ():
        desk.go_on(name)
    agenda = desk.catalogue.policy.agenda
    chosen = waiting(desk, most=agenda.most) if changes is None else list(changes)
    table = schema.ballot
    with desk.unit() as unit:
        taken, lines, until = [], [], []
        for name in chosen:
            change = load_change(unit.connection, name, lock=True)
            ballot = open_ballot_of(unit.connection, name)
            if ballot is None or change.release_id is not None:
                continue
            if ballot.meeting not in (None, run_id) and ballot.closes_at > unit.now:
                continue
            urgent = change.type in URGENT
            closes = ballot.closes_at if urgent else min(
                ballot.closes_at, unit.now + agenda.answer_in
            )  # fmt: skip
            if ballot.meeting is None:
                unit.execute(
                    update(table)
                    .where(table.c.id == ballot.id)
                    .values(meeting=run_id, closes_at=closes)
                )
            taken.append(name)
            lines.append(f"{name}: {change.title} ({change.type})")
            until.append(closes)
        if taken:
            queue(
                unit,
                cab_agenda(
                    meeting=run_id,
                    changes=lines,
                    decided_by=max(until),
                    zone=str(desk.catalogue.board.zone),
                    link=desk.settings.run_url("cab_ballot", run_id),
                ),
            )
        unit.append(
            "meeting.opened",
            Subject(kind="meeting", id=run_id),
            message=f"{len(taken)} changes are before the board",
            details={"changes": taken},
        )
    return [question for name in taken for question in _questions(desk, name)]


def question(desk: Desk, change_id: str, seat: str) -> dict[str, Any] | None:
    """Return who may answer for a seat and what they are shown, as the ledger has it now; None
    where the seat is not asked about this content, or has voted on it."""
    with desk.ledger.read() as connection:
        ballot = open_ballot_of(connection, change_id)
        voted = (
            None
            if ballot is None
            else connection.execute(
                select(schema.vote.c.id).where(
                    schema.vote.c.ballot_id == ballot.id, schema.vote.c.seat == seat
                )
            ).first()
        )
    if voted is not None:
        return None
    return next((item for item in _questions(desk, change_id) if item["seat"] == seat), None)


def hash_shown(desk: Desk, change_id: str, seat: str, run_id: str) -> str:
    """Return the hash of the content that a meeting's run has shown a seat last, "" where it has
    shown none."""
    for row in reversed(desk.ledger.records(event="vote", change=change_id)):
        body = json.loads(row["body"])
        shown = body["event"] in ("vote.asked", "vote.escalated") and body["reason"] == seat
        if shown and body["source"].get("run_id") == run_id:
            return str(body.get("details", {}).get("content_hash", ""))
    return ""


def _questions(desk: Desk, change_id: str) -> list[dict[str, Any]]:
    board, people = desk.catalogue.board, desk.catalogue.people
    entry = item(desk, change_id)
    with desk.ledger.read() as connection:
        change = load_change(connection, change_id)
        ballot = open_ballot_of(connection, change_id)
    if ballot is None:
        return []
    barred = stakes(ballot.parties, people).because
    found = []
    for seat in ballot.rule.asked:
        if seat not in board.seats:
            continue  # it is asked anew, without it (open_ballots.ask_anew)
        eligible = board.eligible(seat, board.day(desk.clock()), barred)
        occupants = board.seats[seat].occupants(board.day(desk.clock()))
        names = [person.name for user in eligible if (person := people.find(user)) is not None]
        # The group follows delegations by itself; names are needed only where someone is barred.
        assigned = [f"group:{seat}"] if eligible == occupants else list(eligible)
        body = [
            *lines_of(entry),
            "",
            f"Your vote signs `{short_digest(change.content_hash)}`: should what is significant "
            "change, it is void, and you are asked again.",
            "",
            f"Who decides, until {moment(ballot.closes_at, str(board.zone))}: "
            + (" or ".join(names) or "nobody may vote for this seat"),
        ]
        found.append(
            {
                "change": change_id,
                "seat": seat,
                "title": board.seats[seat].title,
                "people": names,
                "assigned": assigned or ["nobody"],
                "subject": f"{board.seats[seat].title}: {change_id}",
                "body": "\n".join(body),
                "content_hash": change.content_hash,
            }
        )
    return found


def still_open(desk: Desk, change_id: str, content_hash: str) -> datetime | None:
    """Return until when this content can be voted on, None where it cannot any more."""
    with desk.ledger.read() as connection:
        ballot = open_ballot_of(connection, change_id)
    if ballot is None or ballot.content_hash != content_hash or ballot.closes_at <= desk.clock():
        return None
    return ballot.closes_at


def minutes(desk: Desk, run_id: str) -> str | None:
    """Return the minutes of a meeting, in Markdown, from what the ledger holds; and record them.

    Whatever was not decided when its time was over ends here, undecided. None where the meeting had
    nothing before it.
    """
    end_overdue(desk)
    lines = [f"# Minutes of the Change Advisory Board, {desk.clock():%Y-%m-%d %H:%M}Z", ""]
    table = schema.ballot
    with desk.ledger.read() as connection:
        rows = connection.execute(
            select(table.c.change_id).where(table.c.meeting == run_id).order_by(table.c.id)
        ).scalars()
        names = list(rows)
        if not names:
            return None
        decisions = []
        for name in names:
            change = load_change(connection, name)
            ballot = newest_ballot(connection, change)
            case = case_of(change, connection, desk.clock(), desk.settings)
            decided = ballot.state if ballot is not None else "taken back"
            lines += [f"## {name}: {decided}", ""]
            decisions.append(f"{name}: {decided} ({change.title})")
            lines += [
                f"- {vote['seat'].replace('_', ' ')}: {vote['voter']} {vote['choice']}"
                + ("" if vote["counts"] else " (does not count)")
                for vote in votes(connection, change, ballot, case)
            ]
            lines += [f"- The change is {change.state}.", ""]
    text = "\n".join(lines)
    with desk.unit() as unit:
        unit.append(
            "meeting.closed",
            Subject(kind="meeting", id=run_id),
            message=f"the minutes of {run_id} are written",
            details={"minutes": text[:20_000]},
        )
        queue(
            unit,
            cab_minutes(
                meeting=run_id,
                decisions=decisions,
                link=desk.settings.run_url("cab_ballot", run_id),
            ),
        )
    return text
