"""A ballot: a question to the board about one content, with the rule frozen when it was put.

What waits for votes is a row. The rule and the parties are frozen with the ballot, so editing
config/approvals.yaml afterwards decides nothing that was asked before; who holds a seat is asked on
the day of the vote.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.engine import Connection, Row

from include.approvals import Rule, Tally, Vote, tally
from include.changes.change import Change
from include.instants import format_instant
from include.ledger import Unit, schema

APPROVAL = "approval"
ACKNOWLEDGEMENT = "retroactive_acknowledgement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """A ballot as the ledger has it."""

    id: int
    change_id: str
    content_hash: str
    rule: Rule
    parties: tuple[Mapping[str, Any], ...]
    meaning: str
    state: str
    reason: str | None
    message: str | None
    meeting: str | None
    opened_at: datetime
    closes_at: datetime
    votes_last_until: datetime


def open_ballot(
    unit: Unit,
    change: Change,
    rule: Rule,
    *,
    parties: Iterable[Mapping[str, Any]],
    policy_hash: str,
    closes: datetime,
    votes_last_until: datetime,
    meaning: str = APPROVAL,
) -> Ballot:
    """Put the change's present content before the board; an open ballot on it is kept."""
    present = open_ballot_of(unit.connection, change.id)
    if present is not None and present.content_hash == change.content_hash:
        return present
    if present is not None:
        close_ballot(unit, change, "void", reason="edited", message="the change was edited")
    plain_rule = asdict(rule)
    plain_rule["answer_in"] = None
    number = unit.execute(
        insert(schema.ballot)
        .values(
            change_id=change.id,
            content_hash=change.content_hash,
            rule=plain_rule,
            parties=[dict(party) for party in parties],
            policy_hash=policy_hash,
            meaning=meaning,
            state="open",
            opened_at=unit.now,
            closes_at=closes,
            votes_last_until=votes_last_until,
        )
        .returning(schema.ballot.c.id)
    ).scalar_one()
    unit.append(
        "ballot.opened",
        change.subject,
        reason=change.type,
        message=f"{change.id} is before the board until {format_instant(closes)}",
        release=change.release_id,
        details={"rule": plain_rule, "policy_hash": policy_hash, "ballot": number},
    )
    found = open_ballot_of(unit.connection, change.id)
    assert found is not None  # noqa: S101 - it was written in this transaction
    return found


def close_ballot(unit: Unit, change: Change, state: str, *, reason: str, message: str) -> bool:
    """Close the change's open ballot as `state`, with its record; False if none is open."""
    closed = unit.execute(
        update(schema.ballot)
        .where(schema.ballot.c.change_id == change.id, schema.ballot.c.state == "open")
        .values(state=state, reason=reason, message=message, decided_at=unit.now)
    )
    if not closed.rowcount:
        return False
    unit.append(
        f"ballot.{state}",
        change.subject,
        reason=reason,
        message=f"{change.id}: {message}",
        release=change.release_id,
    )
    return True


def open_ballot_of(connection: Connection, change_id: str) -> Ballot | None:
    """Return the ballot that is open on a change, if one is."""
    return _first(
        connection,
        (schema.ballot.c.change_id == change_id) & (schema.ballot.c.state == "open"),
    )


def newest_ballot(connection: Connection, change: Change) -> Ballot | None:
    """Return the newest ballot on the change's present content that was not taken back."""
    table = schema.ballot
    return _first(
        connection,
        (table.c.change_id == change.id)
        & (table.c.content_hash == change.content_hash)
        & table.c.state.in_(("open", "approved", "acknowledged", "rejected", "expired")),
    )


def count(connection: Connection, change: Change, ballot: Ballot, now: datetime) -> Tally:
    """Return what the unexpired votes on exactly the change's present content amount to.

    A row counts only with its record: the table alone could have been written by whoever has the
    database's password, without a line that says so.
    """
    if ballot.content_hash != change.content_hash:
        return Tally(
            verdict="inconclusive", reason="void", message="the ballot was about another content"
        )
    recorded = recorded_votes(connection, change.id)
    rows = connection.execute(
        select(schema.vote).where(
            schema.vote.c.ballot_id == ballot.id,
            schema.vote.c.content_hash == change.content_hash,
            schema.vote.c.expires_at > now,
        )
    )
    votes = [
        Vote(
            seat=row.seat,
            voter=row.voter,
            choice=row.choice,
            content_hash=row.content_hash,
            comment=row.comment,
        )
        for row in rows
        if (row.ballot_id, row.voter, row.meaning, row.content_hash) in recorded
    ]
    found = tally(ballot.rule, votes, change.content_hash)
    if ballot.meaning == ACKNOWLEDGEMENT:
        # What was done already cannot be approved any more, in no word of any record.
        said = found.message.replace("approval", "acknowledgement").replace(
            "approve", "acknowledge"
        )
        return replace(found, reason=found.reason.replace("approv", "acknowledg"), message=said)
    return found


def recorded_votes(connection: Connection, change_id: str) -> set[tuple[int, str, str, str]]:
    """Return (ballot, voter, meaning, content hash) of every vote on the change with a record."""
    bodies = connection.execute(
        select(schema.record.c.body).where(
            schema.record.c.change == change_id, schema.record.c.event == "vote.cast"
        )
    ).scalars()
    contents = [json.loads(body) for body in bodies]
    return {
        (
            int(content.get("details", {}).get("ballot", 0)),
            str(content["actor"]["user"]),
            str(content.get("meaning")),
            str(content["subject"].get("content_hash")),
        )
        for content in contents
    }


def _first(connection: Connection, where: Any) -> Ballot | None:
    row = connection.execute(
        select(schema.ballot).where(where).order_by(schema.ballot.c.id.desc()).limit(1)
    ).first()
    return None if row is None else from_row(row)


def from_row(row: Row[Any]) -> Ballot:
    """Return the ballot in a row of its table."""
    rule = dict(row.rule)
    return Ballot(
        id=row.id,
        change_id=row.change_id,
        content_hash=row.content_hash,
        rule=Rule(
            mandatory=tuple(rule["mandatory"]),
            asked=tuple(rule["asked"]),
            votes=int(rule["votes"]),
            chair=rule["chair"],
            approvals=int(rule["approvals"]),
        ),
        parties=tuple(row.parties),
        meaning=row.meaning,
        state=row.state,
        reason=row.reason,
        message=row.message,
        meeting=row.meeting,
        opened_at=row.opened_at,
        closes_at=row.closes_at,
        votes_last_until=row.votes_last_until,
    )
