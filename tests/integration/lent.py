"""A ledger's database that one test after another gets, each time as empty as the first time.

Copying a database and throwing it away costs more than most tests do in it: rows are put back
instead. A database in which anything but rows has changed, or that has grown, is given up.
"""

# ruff: noqa: S608 - names of our own tables

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from include.ledger import Ledger

if TYPE_CHECKING:
    from tests.integration.conftest import PostgresServer

# What says that somebody has changed more than rows; whoever writes there leaves a newer xmin.
_CATALOGUES = (
    "pg_attrdef", "pg_attribute", "pg_class", "pg_constraint", "pg_default_acl",
    "pg_event_trigger", "pg_extension", "pg_index", "pg_largeobject_metadata", "pg_namespace",
    "pg_policy", "pg_proc", "pg_publication", "pg_rewrite", "pg_sequence", "pg_trigger", "pg_type",
)  # fmt: skip
_SHAPE = " UNION ALL ".join(
    f"SELECT '{name}', count(*), max(xmin::text::bigint) FROM {name}" for name in _CATALOGUES
) + (
    " UNION ALL SELECT 'settings', count(*), 0 FROM pg_db_role_setting WHERE setdatabase ="
    " (SELECT oid FROM pg_database WHERE datname = current_database())"
    " ORDER BY 1"
)
_GROWN = 4 * 1024 * 1024
_SIZE = (
    "SELECT sum(pg_relation_size(oid)) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
)
# Waits until they are gone, so that the next test finds nobody there.
_ALONE = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


class LentLedger:
    """The database, and a ledger on it: what it has learned about its statements it keeps."""

    def __init__(self, server: PostgresServer, template: str) -> None:
        self._server = server
        self._template = template
        self._name: str | None = None
        self._ledger: Ledger | None = None
        self._shape: list[tuple[object, ...]] = []
        self._restore = ""

    @property
    def name(self) -> str:
        """Return the database's name, made if there is none."""
        if self._name is None:
            self._name = self._server.create_database(template=self._template, owner="ledger_owner")
            with psycopg.connect(self._server.url(self._name)) as connection:
                self._shape = connection.execute(_SHAPE.encode()).fetchall()
                self._restore = _restoring(connection)
        return self._name

    @property
    def ledger(self) -> Ledger:
        """Return a ledger on the database as the application's role."""
        if self._ledger is None:
            self._ledger = Ledger(self._server.url(self.name, "ledger_app"))
        return self._ledger

    def take_back(self) -> None:
        """End what is left of a test in it, and make it empty again or give it up."""
        if self._name is None:
            return
        if self._ledger is not None:
            self._ledger.close()
        try:
            with psycopg.connect(self._server.url(self._name)) as connection:
                connection.execute(_ALONE.encode())
                size = connection.execute(_SIZE.encode()).fetchone()
                same = connection.execute(_SHAPE.encode()).fetchall() == self._shape
                if same and size is not None and size[0] < _GROWN:
                    connection.execute(self._restore.encode())
                    return
        except psycopg.OperationalError:
            pass  # nobody is let in any more
        self.give_up()

    def give_up(self) -> None:
        """Drop the database; the next test gets a new one."""
        name, self._name, self._ledger = self._name, None, None
        if name is not None:
            self._server.drop_database(name)


def _restoring(connection: psycopg.Connection[tuple[object, ...]]) -> str:
    """Return the statements that make the rows and numbers of a database what they are now."""
    parts = ["SET LOCAL session_replication_role = replica"]
    tables = connection.execute(
        "SELECT c.relname, string_agg(quote_ident(a.attname), ', ') FROM pg_class c"
        " JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relkind = 'r'"
        " AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped"
        " AND a.attgenerated = '' GROUP BY c.relname"
    ).fetchall()
    for table, columns in tables:
        rows = connection.execute(
            f"SELECT quote_literal(json_agg(t)) FROM public.{table} t".encode()
        ).fetchone()
        parts.append(f"DELETE FROM public.{table}")
        if rows is not None and rows[0] is not None:
            parts.append(
                f"INSERT INTO public.{table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns}"
                f" FROM json_populate_recordset(NULL::public.{table}, {rows[0]})"
            )
    numbers = connection.execute(
        "SELECT quote_literal(format('public.%I', sequencename)),"
        " coalesce(last_value, start_value), last_value IS NOT NULL"
        " FROM pg_sequences WHERE schemaname = 'public'"
    ).fetchall()
    parts += [f"SELECT setval({name}, {value}, {used})" for name, value, used in numbers]
    return "; ".join(parts)
