"""A change as it is shown: on the command line, in JSON, on a ballot, in the agenda."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Connection

from include.changes import checklist, items
from include.changes.ballot import Ballot, newest_ballot, recorded_votes
from include.changes.case import Case, case_of
from include.changes.change import Change
from include.changes.condition import plain
from include.changes.desk import Desk
from include.changes.duties import duties_of
from include.changes.evidence import risk_of
from include.changes.machine import Way, forward, judge
from include.instants import format_instant
from include.ledger import schema
from include.output import plain_value


def view(desk: Desk, change: Change) -> dict[str, Any]:
    """Return everything that is known of a change as plain data."""
    now = desk.clock()
    with desk.ledger.read() as connection:
        case = case_of(change, connection, now, desk.settings)
        ballot = newest_ballot(connection, change)
        way = forward(change)
        shown: dict[str, Any] = {
            **summary(change),
            "votes": votes(connection, change, ballot, case),
            "ballot": None if ballot is None else _ballot(ballot),
            "slot": slot(connection, change.id),
            "risk": plain_value(risk_of(case)),
            "conditions": plain(judge(case, way)) if way and change.release_id is None else [],
            "next": None if way is None else way.target,
            "checklist": plain(
                checklist.conditions(
                    case, (*checklist.tests_of(change.content), *items.BEFORE, *items.AFTER)
                )
            ),
            "duties": [
                {
                    "duty": duty.name,
                    "due": format_instant(duty.due),
                    "done": _text(duty.done),
                    "state": duty.state(now),
                }
                for duty in duties_of(case)
            ],
            "revisions": _revisions(connection, change.id),
            "content": {key: value for key, value in change.content.items() if key != "request"},
        }
    return shown


def summary(change: Change) -> dict[str, Any]:
    """Return what a list shows of a change."""
    return {
        "id": change.id,
        "type": change.type,
        "state": change.state,
        "title": change.title,
        "priority": change.priority,
        "risk_level": change.risk_level,
        "requester": change.requester,
        "team": change.team,
        "systems": list(change.systems),
        "revision": change.revision,
        "content_hash": change.content_hash,
        "release": change.release_id,
        "incident": change.incident_id,
        "model": change.model,
        "on_hold": change.held_because,
        "outcome": change.outcome,
        "planned_start": _text(change.planned_start),
        "planned_end": _text(change.planned_end),
        "started_at": _text(change.started_at),
        "finished_at": _text(change.finished_at),
        "closed_at": _text(change.closed_at),
        "created_at": _text(change.created_at),
    }


def votes(
    connection: Connection, change: Change, ballot: Ballot | None, case: Case
) -> list[dict[str, Any]]:
    """Return every vote ever cast on a change, oldest first; `counts` tells those that do now."""
    table = schema.vote
    recorded = recorded_votes(connection, change.id)
    rows = connection.execute(
        select(table).where(table.c.change_id == change.id).order_by(table.c.id)
    )
    return [
        {
            "seat": row.seat,
            "voter": row.voter,
            "choice": row.choice,
            "meaning": row.meaning,
            "comment": row.comment,
            "content_hash": row.content_hash,
            "cast_at": format_instant(row.cast_at),
            "expires_at": format_instant(row.expires_at),
            "counts": ballot is not None
            and row.ballot_id == ballot.id
            and row.content_hash == change.content_hash
            and row.expires_at > case.now
            and (row.ballot_id, row.voter, row.meaning, row.content_hash) in recorded,
        }
        for row in rows
    ]


def slot(connection: Connection, change_id: str) -> dict[str, Any] | None:
    """Return what a change has booked, None if nothing."""
    table = schema.slot
    rows = list(
        connection.execute(
            select(table).where(table.c.change_id == change_id, table.c.released_at.is_(None))
        )
    )
    if not rows:
        return None
    return {
        "window": rows[0].window_name,
        "start": format_instant(rows[0].during.lower),
        "end": format_instant(rows[0].during.upper),
        "systems": sorted(row.system for row in rows),
    }


def next_way(change: Change) -> Way | None:
    """Return the way on from the change's state."""
    return forward(change)


def _ballot(ballot: Ballot) -> dict[str, Any]:
    return {
        "state": ballot.state,
        "meaning": ballot.meaning,
        "mandatory": list(ballot.rule.mandatory),
        "asked": list(ballot.rule.asked),
        "votes_needed": ballot.rule.votes,
        "approvals_needed": ballot.rule.approvals,
        "chair": ballot.rule.chair,
        "opened_at": format_instant(ballot.opened_at),
        "closes_at": format_instant(ballot.closes_at),
        "message": ballot.message,
    }


def _revisions(connection: Connection, change_id: str) -> list[dict[str, Any]]:
    table = schema.revision
    return [
        {
            "number": row.number,
            "content_hash": row.content_hash,
            "author": row.author,
            "created_at": format_instant(row.created_at),
        }
        for row in connection.execute(
            select(table).where(table.c.change_id == change_id).order_by(table.c.number)
        )
    ]


def _text(value: Any) -> str | None:
    return None if value is None else format_instant(value)
