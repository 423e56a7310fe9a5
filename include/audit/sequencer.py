"""The sequencer's row: where it is wrong, new records get no place, and nothing seals them."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import text
from sqlalchemy.engine import Connection

_STANDS = text("SELECT size, low, next_low, highest FROM sequencer_stands()")
_TREE = text("SELECT count(*), greatest(max(seq), 0) FROM leaf")


def sequencer_faults(connection: Connection) -> Iterator[str]:
    """Yield what of the sequencer's row does not fit the tree, as a sentence each."""
    rows = connection.execute(_STANDS).all()
    if len(rows) != 1:
        yield (
            f"the sequencer has {len(rows)} rows, not one: records get no place in the tree; put "
            "its row back, and find out who changed it"
        )
        return
    row = rows[0]
    size, highest = connection.execute(_TREE).one()
    highest = highest or 0
    for name, said, true in [("size", row.size, size), ("highest", row.highest, highest)]:
        if said != true:
            yield (
                f"the sequencer's {name} is {said}, and by the tree it is {true}: records get the "
                "wrong place or none; set it right, and find out who changed it"
            )
    if not row.low <= row.next_low <= max(row.highest, highest):
        yield (
            f"the sequencer begins at {row.low} and then at {row.next_low}, beyond {highest}, the "
            "highest record with a place: it passes records over; set `low` and `next_low` to 0, "
            "and find out who changed them"
        )
