"""How a change ends that did not arrive: given up before production was touched, reviewed after."""

from __future__ import annotations

from sqlalchemy import true, update

from include.changes.case import case_of
from include.changes.change import Change, load_change, release_slot
from include.changes.machine import BEFORE, ENDED, advance
from include.ledger import Unit, schema
from include.settings import Settings


def give_up(unit: Unit, settings: Settings, change: Change, *, reason: str, message: str) -> None:
    """Cancel a change that has touched nothing; put one that has into review, as rolled back.

    Either way its slot, its permits and its open ballot are given back. Ended already, it stays.
    """
    release_slot(unit, change.id)
    if change.state in ENDED or change.state in ("review", "rejected"):
        return
    case = case_of(change, unit.connection, unit.now, settings)
    if change.state in BEFORE:
        advance(unit, case, "cancelled", reason=reason, message=message)
        return
    if change.state != "rolling_back":
        advance(unit, case, "rolling_back", reason=reason, message=message)
    record_outcome(unit, change, "rolled_back")
    case = case.about(load_change(unit.connection, change.id), unit)
    advance(unit, case, "review", reason=reason, message=f"{change.id} has to be reviewed")


def record_outcome(unit: Unit, change: Change, outcome: str, *, anew: bool = False) -> None:
    """Write down how the implementation went; the first word stands, unless it is led back after
    it had been done (`anew`)."""
    table = schema.change
    unit.execute(
        update(table)
        .where(table.c.id == change.id, true() if anew else table.c.outcome.is_(None))
        .values(outcome=outcome, updated_at=unit.now)
    )
