"""The rows of a change's work: a step that is done is not done again (§3.3).

Some of them are no steps, but what a person has asked of a change that stands still.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from include.changes.change import Change
from include.ledger import Unit, schema

# To begin again in its slot; to be led back, with the reason.
AGAIN = "asked to begin again"
BACK = "asked to be led back"
# When it was booked another slot, its own having passed: what was said for that one is said anew.
REBOOKED = "booked another slot"


def asked_back(connection: Connection, change: Change) -> str | None:
    """Return why a person wants the change led back; None if nobody does."""
    table = schema.work
    row = connection.execute(
        select(table.c.result).where(
            table.c.change_id == change.id, table.c.name == BACK, table.c.state == "started"
        )
    ).first()
    return None if row is None else str((row.result or {}).get("because"))


def rebooked_at(connection: Connection, change: Change) -> datetime | None:
    """Return when the change was booked another slot in the place of one that had passed."""
    table = schema.work
    found: datetime | None = connection.execute(
        select(table.c.finished_at).where(table.c.change_id == change.id, table.c.name == REBOOKED)
    ).scalar()
    return found


def work_state(connection: Connection, change: Change, name: str) -> str | None:
    """Return how far a step is: `started`, `done` or `failed`; None if it never was."""
    table = schema.work
    row = connection.execute(
        select(table.c.state).where(table.c.change_id == change.id, table.c.name == name)
    ).first()
    return None if row is None else str(row.state)


def write_work(
    unit: Unit, change: Change, name: str, result: dict[str, Any] | None, *, state: str = "done"
) -> None:
    """Write how far a step is, with what came of it; beginning it again counts its tries."""
    table = schema.work
    ended: datetime | None = None if state == "started" else unit.now
    statement = insert(table).values(
        change_id=change.id, name=name, state=state, tries=1, result=result,
        started_at=unit.now, finished_at=ended,
    )  # fmt: skip
    unit.execute(
        statement.on_conflict_do_update(
            index_elements=["change_id", "name"],
            set_={
                "state": state,
                "result": result,
                "finished_at": ended,
                "tries": table.c.tries + (1 if state == "started" else 0),
            },
        )
    )
