"""Heads in the ledger: making the next one, and reading those there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, insert, select, text
from sqlalchemy.engine import Connection

from include.errors import LedgerError, RequestError
from include.ledger import schema
from include.ledger.entry import Entry, Head, read_head
from include.ledger.merkle import Frontier
from include.ledger.note import Checkpoint
from include.ledger.record import time_text

# One sealer at a time.
_SEALING = 7306
# So many records a head at most: what has to be in memory at once.
LARGEST = 50_000
_ROWS = text(
    "SELECT entry, size, root,"
    """ to_char(sealed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), note"""
    " FROM head ORDER BY size"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadRow:
    """A head as its row has it: the text that was signed, and what stands beside it. `sealed_at`
    is as records write times, so that a row may hold what is none."""

    entry: str
    size: int
    root: bytes
    sealed_at: str | None
    note: str

    def differs(self, head: Head) -> list[str]:
        """Return the columns that are not what `head`, which `entry` holds, says."""
        signed = {
            "size": head.size,
            "root": head.checkpoint.root,
            "sealed_at": time_text(head.checkpoint.time),
            "note": head.note,
        }
        return [name for name, value in signed.items() if getattr(self, name) != value]


def newest_head(connection: Connection) -> Head | None:
    """Return the newest head in the database; LedgerError if it is damaged."""
    table = schema.head
    newest = select(table.c.entry).order_by(table.c.size.desc()).limit(1)
    entry = connection.execute(newest).scalar()
    try:
        return None if entry is None else read_head(entry)
    except RequestError as error:
        raise LedgerError(f"the newest head in the database is damaged: {error}") from error


def head_texts(connection: Connection, *, above: int = 0) -> Iterator[str]:
    """Yield the heads of more than `above` records, oldest first, as they are stored."""
    table = schema.head
    query = select(table.c.entry).where(table.c.size > above).order_by(table.c.size)
    yield from connection.execute(query.execution_options(yield_per=20)).scalars()


def head_rows(connection: Connection) -> Iterator[HeadRow]:
    """Yield all heads by their size, with everything that their rows say of them."""
    for entry, size, root, sealed_at, note in connection.execute(
        _ROWS, execution_options={"yield_per": 20}
    ):
        yield HeadRow(
            entry=entry, size=size, root=bytes(root or b""), sealed_at=sealed_at, note=note
        )


def append_head(
    connection: Connection,
    origin: str,
    now: datetime,
    *,
    believe: Callable[[Head], None],
    sign: Callable[[Checkpoint], str],
) -> Head | None:
    """Write the head that follows the newest one and return it; None if nothing is new.

    `believe` raises for a head that must not be built upon. Raises LedgerError where the tree is
    not one: there is a gap, or a head that was signed covers more than there is.
    """
    connection.execute(select(func.pg_advisory_xact_lock(_SEALING)))
    before = newest_head(connection)
    if before is not None:
        believe(before)
    start = 0 if before is None else before.size
    frontier = Frontier(start, () if before is None else before.entry.frontier)
    leaf = schema.leaf
    rows = connection.execute(
        select(leaf).where(leaf.c.position >= start).order_by(leaf.c.position).limit(LARGEST)
    ).all()
    if not rows:
        return None
    if [row.position for row in rows] != list(range(start, start + len(rows))):
        raise LedgerError(
            f"the tree has a gap after its first {start} records; see `./hims audit verify`"
        )
    leaves = tuple(bytes(row.leaf_hash) for row in rows)
    frontier.extend(leaves)
    entry = Entry(
        start=start,
        seqs=tuple(row.seq for row in rows),
        leaves=leaves,
        frontier=frontier.nodes,
    )
    checkpoint = Checkpoint(
        origin=origin, size=entry.size, root=frontier.root(), time=now, entry=entry.digest()
    )
    head = Head(note=sign(checkpoint), checkpoint=checkpoint, entry=entry)
    connection.execute(
        insert(schema.head).values(
            size=head.size,
            root=checkpoint.root,
            sealed_at=now,
            note=head.note,
            entry=head.text(),
        )
    )
    return head
