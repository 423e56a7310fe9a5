"""What stands between a change and what comes next, and who can change it."""

from __future__ import annotations

from typing import Any

from include.changes.case import case_of
from include.changes.change import Change
from include.changes.condition import plain, refusals
from include.changes.desk import Desk
from include.changes.machine import ENDED, forward, judge


def why(desk: Desk, change: Change) -> dict[str, Any]:
    """Return `{"id", "allowed", "conditions", …}`: what the next way's guards say now."""
    way = forward(change)
    found: dict[str, Any] = {"id": change.id, "state": change.state, "next": None}
    if way is None:
        ended = "it has ended" if change.state in ENDED else "an edit brings it back"
        return {**found, "allowed": False, "conditions": [], "message": ended}
    with desk.ledger.read() as connection:
        conditions = judge(case_of(change, connection, desk.clock(), desk.settings), way)
    refused = refusals(conditions)
    message = f"may go on to {way.target}" if not refused else f"may not go on to {way.target} yet"
    if change.held_because:
        message += f"; on hold: {change.held_because}"
    return {
        **found,
        "next": way.target,
        "allowed": not refused,
        "conditions": plain(conditions),
        "message": message,
    }
