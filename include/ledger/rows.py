"""Rows of state and the records that vouch for them.

A unit of work writes the digest of every row that it has changed into its last record. A row is
what its newest record says, or it was changed behind the ledger's back and counts for nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    DateTime,
    Integer,
    Table,
    Text,
    func,
    literal_column,
    select,
    text,
    tuple_,
)
from sqlalchemy.engine import Connection
from sqlalchemy.sql import ColumnElement

from include.ledger import schema

# Tables whose rows nothing vouches for: they are the ledger itself.
OWN = ("record", "leaf", "head", "sequencer")


def state_tables() -> list[Table]:
    """Return the tables whose rows records vouch for: those with a key, but the ledger itself."""
    return [
        table
        for table in schema.metadata.sorted_tables
        if table.name not in OWN and len(table.primary_key.columns)
    ]


_NEWEST = text(
    "SELECT DISTINCT ON (k) k, (body::jsonb) -> 'rows' ->> k"
    " FROM unnest(CAST(:keys AS text[])) AS k JOIN record"
    " ON (body::jsonb) -> 'rows' IS NOT NULL AND (body::jsonb) -> 'rows' ? k"
    " ORDER BY k, seq DESC"
)


def key_columns(table: Table) -> tuple[str, ...]:
    """Return the columns that tell a row from others, in the order of a row's key."""
    return tuple(sorted(column.name for column in table.primary_key.columns))


def row_key(table: Table, **values: str | int) -> str:
    """Return how records name a row: `gate ["…", …]`; `values` are its key columns."""
    parts = [str(values[name]) for name in key_columns(table)]
    return f"{table.name} {json.dumps(parts, ensure_ascii=False)}"


def keys_where(connection: Connection, table: Table, condition: ColumnElement[bool]) -> list[str]:
    """Return the keys of the rows of a table for which `condition` holds."""
    return list(
        connection.execute(select(_key(table)).select_from(table).where(condition)).scalars()
    )


def touched(connection: Connection) -> list[str]:
    """Return the keys of the rows that this transaction has changed, each once."""
    noted = connection.execute(select(func.current_setting("hims.rows", True))).scalar() or ""
    return list(dict.fromkeys(noted.split("\n")[:-1]))


def digests(connection: Connection, keys: Iterable[str]) -> dict[str, str | None]:
    """Return the digest of each row as it is now; None for one that is not there, or whose key no
    row of its table can have."""
    found: dict[str, str | None] = dict.fromkeys(keys)
    by_table: dict[str, list[tuple[Any, ...]]] = {}
    for key in found:
        name, _, parts = key.partition(" ")
        values = _values(schema.metadata.tables[name], parts)
        if values is not None:
            by_table.setdefault(name, []).append(values)
    for name, wanted in by_table.items():
        table = schema.metadata.tables[name]
        columns = [table.c[column] for column in key_columns(table)]
        query = (
            select(_key(table), _content(table))
            .select_from(table)
            .where(tuple_(*columns).in_(wanted))
        )
        found |= {key: digest(content) for key, content in connection.execute(query)}
    return found


def every_digest(connection: Connection, table: Table) -> Iterator[tuple[str, str]]:
    """Yield key and digest of every row of a table, a few thousand in memory at a time."""
    query = (
        select(_key(table), _content(table)).select_from(table).execution_options(yield_per=2000)
    )
    for key, content in connection.execute(query):
        yield key, digest(content)


def digest(content: str) -> str:
    """Return the digest of a row's text, in hexadecimal."""
    return hashlib.sha256(content.encode("utf-8")).hexdigest()


def strangers(connection: Connection, keys: Iterable[str]) -> list[str]:
    """Return those of the rows that are not what their newest record says, or have none."""
    present = digests(connection, keys)
    said = {str(key): value for key, value in connection.execute(_NEWEST, {"keys": list(present)})}
    return [key for key, value in present.items() if key not in said or said[key] != value]


def _values(table: Table, parts: str) -> tuple[Any, ...] | None:
    """Return the values of a row's key columns; None where they are none."""
    try:
        given = json.loads(parts)
        columns = [table.c[name] for name in key_columns(table)]
        return tuple(_value(column, part) for column, part in zip(columns, given, strict=True))
    except (ValueError, TypeError, RecursionError):
        return None


def _value(column: Column[Any], part: Any) -> Any:
    if not isinstance(part, str):
        raise TypeError(part)
    if isinstance(column.type, Integer):
        return int(part)
    return datetime.fromisoformat(part) if isinstance(column.type, DateTime) else part


def _key(table: Table) -> ColumnElement[str]:
    parts = ", ".join(f"to_jsonb(\"{table.name}\") ->> '{name}'" for name in key_columns(table))
    key: ColumnElement[str] = literal_column(
        f"'{table.name} ' || jsonb_build_array({parts})::text", Text
    )
    return key


def _content(table: Table) -> ColumnElement[str]:
    # Without nulls, so that a column which a migration adds changes no digest.
    row: ColumnElement[str] = literal_column(
        f'jsonb_strip_nulls(to_jsonb("{table.name}"))::text', Text
    )
    return row
