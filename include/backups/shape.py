"""The shape of a database: what it would take to make its tables anew, without any row."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from include.backups.database import Database

# One line about a table or view in each row. What counts is somebody's own: no system tables, none
# that an extension makes, and no partitions, which come and go with the calendar.
_LINES = """
    WITH own AS (
        SELECT c.oid, c.relkind, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
          AND NOT c.relispartition
          AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                          AND d.objid = c.oid AND d.deptype = 'e')
    )
    SELECT name, concat_ws(' ', 'column', attname, format_type(atttypid, atttypmod), attnotnull,
                           attidentity, attgenerated, pg_get_expr(adbin, adrelid))
    FROM own JOIN pg_attribute ON attrelid = own.oid
    LEFT JOIN pg_attrdef ON adrelid = own.oid AND adnum = attnum
    WHERE attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT name, concat_ws(' ', conname, convalidated, pg_get_constraintdef(pg_constraint.oid))
    FROM own JOIN pg_constraint ON conrelid = own.oid WHERE contype IN ('c', 'f', 'p', 'u', 'x')
    UNION ALL
    SELECT name, pg_get_indexdef(indexrelid)
    FROM own JOIN pg_index ON indrelid = own.oid WHERE indisvalid
    UNION ALL
    SELECT name, pg_get_triggerdef(pg_trigger.oid)
    FROM own JOIN pg_trigger ON tgrelid = own.oid WHERE NOT tgisinternal
    UNION ALL
    SELECT name, pg_get_viewdef(oid) FROM own WHERE relkind IN ('v', 'm')
"""


def read_shape(url: str) -> dict[str, str]:
    """Return, per table and view (`schema.table`), a short hash of its definition.

    Raises BackupError when the database can't be read.
    """
    lines: dict[str, set[str]] = {}
    with Database.at(url).connect() as connection:
        # Definitions name what the search path does not show; whose it is must not matter.
        connection.execute("SET LOCAL search_path = ''")
        for name, line in connection.execute(_LINES).fetchall():
            lines.setdefault(str(name), set()).add(str(line))
    return {
        name: hashlib.sha256("\n".join(sorted(said)).encode()).hexdigest()[:16]
        for name, said in sorted(lines.items())
    }


def differing(expected: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Return which tables and views are not as expected, sorted."""
    return sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
