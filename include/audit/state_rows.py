"""Rows of state against the records that vouch for them, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from sqlalchemy import text
from sqlalchemy.engine import Connection

from include.ledger import rows

_BATCH = 2000
# The newest word on every row. The pattern only spares parsing what cannot match. What is no JSON
# is a finding of its own, and says nothing here.
_SAID = text(
    "SELECT DISTINCT ON (key) key, value, seq FROM record, LATERAL ("
    "  SELECT CASE WHEN pg_input_is_valid(body, 'jsonb') THEN (body::jsonb) -> 'rows' END AS named"
    "  OFFSET 0"
    ") AS said, jsonb_each_text(CASE WHEN jsonb_typeof(named) = 'object' THEN named END)"
    """ WHERE body LIKE '%"rows":{%' ORDER BY key, seq DESC"""
)
# With its index every body is JSON.
_INDEXED = text("SELECT to_regclass('public.record_rows') IS NOT NULL")
# A list of keys vouches for nothing.
_NAMED = text(
    "SELECT DISTINCT k FROM unnest(CAST(:keys AS text[])) AS k"
    " JOIN record ON (body::jsonb) -> 'rows' IS NOT NULL AND (body::jsonb) -> 'rows' ? k"
    " AND jsonb_typeof((body::jsonb) -> 'rows') = 'object'"
)
_NAMED_UNINDEXED = text(
    "SELECT DISTINCT k FROM unnest(CAST(:keys AS text[])) AS k JOIN record ON"
    " CASE WHEN pg_input_is_valid(body, 'jsonb') AND jsonb_typeof((body::jsonb) -> 'rows')"
    " = 'object' THEN (body::jsonb) -> 'rows' ? k END"
)


def unvouched_rows(
    connection: Connection, *, limit: int
) -> Iterator[tuple[str, int | None, str, str]]:
    """Yield kind, seq, key and sentence for rows that differ from their newest record (`state`),
    are gone (`state_missing`), or were never recorded (`state_unrecorded`), at most `limit`."""
    found = _differing(connection)
    yield from islice(found, limit)
    yield from islice(_unrecorded(connection), limit)


def _differing(connection: Connection) -> Iterator[tuple[str, int | None, str, str]]:
    known = {table.name for table in rows.state_tables()}
    said = iter(connection.execution_options(yield_per=_BATCH).execute(_SAID))
    while batch := list(islice(said, _BATCH)):
        now = rows.digests(connection, [key for key, _, _ in batch if key.split(" ")[0] in known])
        for key, value, seq in batch:
            if key not in now or now[key] == value:
                continue
            if now[key] is None:
                message = f"{key[:200]} is gone; record {seq} vouches for it"
                yield "state_missing", int(seq), key, message
            else:
                message = (
                    f"{key[:200]} was changed behind the ledger's back; record {seq} says otherwise"
                )
                yield "state", int(seq), key, message


def _unrecorded(connection: Connection) -> Iterator[tuple[str, int | None, str, str]]:
    indexed = connection.execute(_INDEXED).scalar_one()
    for table in rows.state_tables():
        present = rows.every_digest(connection, table)
        while batch := [key for key, _ in islice(present, _BATCH)]:
            asked = _NAMED if indexed else _NAMED_UNINDEXED
            named = set(connection.execute(asked, {"keys": batch}).scalars())
            for key in batch:
                if key not in named:
                    yield "state_unrecorded", None, key, f"no record speaks of {key}"
