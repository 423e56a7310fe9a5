"""What is in a database, counted: the figures that a restored copy has to reach again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
from psycopg import sql

# Tables whose rows a dump carries: no system tables, none that an extension makes itself. A
# partitioned table has no rows of its own, its partitions are listed each for itself.
_TABLES = """
    SELECT n.nspname, c.relname, quote_ident(n.nspname) || '.' || quote_ident(c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence <> 't'
      AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                      AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY 3
"""
# Not-null constraints are left out: before PostgreSQL 18 they are no rows of this catalogue.
_CONSTRAINTS = """
    SELECT count(*)
    FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE o.convalidated AND o.contype IN ('c', 'f', 'p', 'u', 'x') AND c.relpersistence <> 't'
      AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                      AND d.objid = c.oid AND d.deptype = 'e')
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Rows by table (`schema.table`, quoted as SQL does) and the number of valid constraints."""

    counts: Mapping[str, int]
    constraints: int


def read_contents(connection: psycopg.Connection) -> Contents:
    """Count everything in the connection's transaction, whose snapshot decides what is seen.

    Counting locks each table against being dropped or emptied until the transaction ends. Where
    row-level security would hide rows from this role the server refuses instead.
    """
    connection.execute("SET LOCAL row_security = off")
    tables = connection.execute(_TABLES).fetchall()
    counts = {}
    for schema, table, shown in tables:
        query = sql.SQL("SELECT count(*) FROM ONLY {}").format(sql.Identifier(schema, table))
        row = connection.execute(query).fetchone()
        counts[str(shown)] = int(row[0]) if row else 0
    found = connection.execute(_CONSTRAINTS).fetchone()
    return Contents(counts=counts, constraints=int(found[0]) if found else 0)
