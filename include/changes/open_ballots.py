"""Ballots that stand open: overdue, approved and kept back, or by a rule of a board that was."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.engine import Connection

from include.changes.ballot import Ballot, count, open_ballot_of
from include.changes.case import case_of
from include.changes.change import load_change
from include.changes.condition import refusals
from include.changes.desk import Desk
from include.changes.machine import advance, forward, judge
from include.ledger import schema


def end_overdue(desk: Desk) -> list[str]:
    """End every ballot whose time is over; return the changes that they were about.

    What is approved and only kept from going on is not among them: that is for `unblocked`.
    """
    late = _open().where(schema.ballot.c.closes_at <= desk.clock())
    with desk.ledger.read() as connection:
        names = list(connection.execute(late).scalars())
        found = [name for name in names if not _approved(desk, connection, name)]
    for name in found:
        desk.settle(name)
    return found


def unblocked(desk: Desk) -> list[str]:
    """Return the changes that their board has approved, and from which what kept them from going on
    at the last vote (an incident, a blackout, a slot that was taken) has gone.

    They are looked at without a record: what was in the way was recorded when it was found.
    """
    ballot, vote = schema.ballot, schema.vote
    voted = select(vote.c.id).where(vote.c.ballot_id == ballot.c.id).exists()
    found = []
    with desk.ledger.read() as connection:
        for name in list(connection.execute(_open().where(voted)).scalars()):
            if not _approved(desk, connection, name):
                continue
            change = load_change(connection, name)
            way = forward(change)
            case = replace(
                case_of(change, connection, desk.clock(), desk.settings),
                catalogue_of=lambda: desk.catalogue,
            )
            if way is not None and not refusals(judge(case, way)):
                found.append(name)
    return found


def ask_anew(desk: Desk) -> list[str]:
    """Have those changes assessed anew, and voted on by the rule of today, whose ballots ask a seat
    that config/approvals.yaml has no more; return them."""
    seats = desk.catalogue.board.seats
    with desk.ledger.read() as connection:
        rows = connection.execute(_open(schema.ballot.c.rule)).all()
    found = [row.change_id for row in rows if not set(row.rule["asked"]) <= set(seats)]
    for name in found:
        with desk.unit() as unit:
            change = load_change(unit.connection, name, lock=True)
            ballot = open_ballot_of(unit.connection, name)
            if change.state != "authorizing" or ballot is None or _asks_only(ballot, seats):
                # Somebody has decided it meanwhile, or asked anew.
                unit.append("ballot.looked_at", change.subject, reason=change.state,
                            message=f"{name} is {change.state}; nothing is asked anew")  # fmt: skip
                continue
            message = "its ballot asks a seat that config/approvals.yaml has no more"
            advance(unit, desk.case(unit, change), "assessing", reason="seat_gone", message=message)
        desk.go_on(name)
    return found


def _asks_only(ballot: Ballot, seats: Iterable[str]) -> bool:
    return set(ballot.rule.asked) <= set(seats)


def _open(*columns: Any) -> Select[Any]:
    """Select the changes, no releases, on which a ballot is open, the oldest ballot first."""
    ballot, change = schema.ballot, schema.change
    return (
        select(ballot.c.change_id, *columns)
        .join(change, change.c.id == ballot.c.change_id)
        .where(ballot.c.state == "open", change.c.state == "authorizing")
        .where(change.c.release_id.is_(None))
        .order_by(ballot.c.id)
    )


def _approved(desk: Desk, connection: Connection, change_id: str) -> bool:
    change, ballot = load_change(connection, change_id), open_ballot_of(connection, change_id)
    if ballot is None:
        return False
    return count(connection, change, ballot, desk.clock()).verdict == "go"
