"""Leave to work on a change: issued under a fence, and asked for anew before each step."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, true
from sqlalchemy.engine import Connection

from include.changes.change import Change, load_change
from include.changes.condition import refusals
from include.changes.desk import Desk
from include.changes.guards import GUARDS
from include.ledger import Outcome, Subject, Unit, schema
from include.ledger.number import next_number

# What still has to hold between the steps: production can change under a permit's feet.
MEANWHILE = ("hold", "slot", "records", "alarm")


def issue_permit(
    unit: Unit, change: Change, holder: str, expires: datetime, conditions: Any
) -> int:
    """Issue a permit to the run `holder`, with the verdicts that it stands on; return its fence."""
    fence = next_number(unit, "permit")
    unit.execute(
        insert(schema.permit).values(
            fence=fence, release_id=None, attempt=None, change_id=change.id,
            content_hash=change.content_hash, systems=list(change.systems),
            conditions=conditions, holder=holder, issued_at=unit.now, expires_at=expires,
        )
    )  # fmt: skip
    unit.append(
        "permit.issued",
        Subject(kind="permit", id=str(fence), content_hash=change.content_hash),
        message=f"permit {fence} for {change.id}, until {expires:%H:%M}Z",
        change=change.id,
        details={"conditions": conditions},
    )
    return fence


def another_run(connection: Connection, change: Change, holder: str) -> str | None:
    """Return the sentence that says whose permit is in force, where it is not that of `holder`."""
    table = schema.permit
    other = connection.execute(
        select(table.c.holder)
        .where(table.c.change_id == change.id, table.c.closed_at.is_(None))
        .order_by(table.c.fence.desc())
        .limit(1)
    ).scalar()
    if other is None or other == holder:
        return None
    return (
        f"no permit of this run is in force: {change.id} belongs to {other}. Has that run ended, "
        f"let it begin again (./hims change again {change.id}) or be led back "
        f"(./hims change lead-back {change.id})"
    )


def withdrawn(desk: Desk, change: Change, holder: str, *, finishing: bool = False) -> str | None:
    """Look again before a step: permit in force, nothing held, no alarm, the slot still ours.

    What was approved to finish after its window does so with the permit that it had.
    """
    table = schema.permit
    with desk.unit() as unit:
        now = load_change(unit.connection, change.id)
        case = desk.case(unit, now)
        asked = [name for name in MEANWHILE if not (finishing and name == "slot")]
        found = refusals([item for name in asked for item in GUARDS[name](case)])
        permit = unit.row(
            select(table.c.fence).where(
                table.c.change_id == change.id,
                table.c.content_hash == now.content_hash,
                table.c.holder == holder,
                table.c.closed_at.is_(None),
                true() if finishing else table.c.expires_at > unit.now,
            )
        )
        said = [f"{item.code}: {item.message}" for item in found]
        if permit is None:
            said.append("no permit of this run is in force")
        unit.append(
            "permit.withdrawn" if said else "permit.confirmed",
            now.subject,
            outcome=Outcome.DENIED if said else Outcome.SUCCESS,
            reason="permit",
            message="; ".join(said)[:2000] or "the permit stands",
        )
    return "; ".join(said) or None
