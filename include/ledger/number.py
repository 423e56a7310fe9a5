"""Numbers without gaps: changes, and the fences of permits.

A PostgreSQL sequence leaves gaps: what a transaction took and did not commit is lost, and a crash
loses up to 32 numbers more. An auditor asks about every missing number, so these are counted in the
unit of work that uses them: one that is undone gives its number back. The price is that two units
that take a number of one kind wait for each other; changes and permits are rare enough.
"""

from __future__ import annotations

from typing import Literal

from sqlalchemy.dialects.postgresql import insert

from include.ledger import schema
from include.ledger.ledger import Unit

Counted = Literal["change", "permit", "hold", "audit", "incident"]


def next_number(unit: Unit, name: Counted) -> int:
    """Return the next number of its kind, from 1; it is taken when the unit commits."""
    table = schema.counter
    statement = insert(table).values(name=name, value=1)
    counted = statement.on_conflict_do_update(
        index_elements=["name"], set_={"value": table.c.value + 1}
    )
    return int(unit.execute(counted.returning(table.c.value)).scalar_one())
