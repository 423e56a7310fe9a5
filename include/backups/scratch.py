"""A scratch database that is always gone in the end, also when its maker was killed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from include.backups.database import Database, said
from include.errors import BackupError

_PREFIX = "release_control_scratch_"
# Advisory locks are told from others by their first number.
_LOCKS = 7302


@contextmanager
def scratch_database(
    admin: Database, connection: psycopg.Connection, *, like: str
) -> Iterator[Database]:
    """Make an empty database with the encoding of the database `like`, if that is here; drop it.

    `connection` is an autocommit connection to `admin`; it holds a lock as long as the scratch
    database is in use. What killed runs left is dropped first: nobody holds the lock of those.
    Raises BackupError when the role may not create databases.
    """
    drop_leftovers(connection)
    name = _PREFIX + secrets.token_hex(8)
    connection.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", [_LOCKS, name])
    try:
        create = sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name))
        try:
            connection.execute(create + _as_in(connection, like))
        except psycopg.Error as error:
            raise BackupError(
                f"{admin.place}: no scratch database could be made ({said(error)}); the role "
                "needs CREATEDB and room on the disk"
            ) from error
        # What is restored here need not survive a power cut.
        quick = sql.SQL("ALTER DATABASE {} SET synchronous_commit = off")
        connection.execute(quick.format(sql.Identifier(name)))
        yield admin.named(name)
    finally:
        if not connection.broken:
            _drop(connection, name)
            connection.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", [_LOCKS, name])


def drop_leftovers(connection: psycopg.Connection) -> list[str]:
    """Drop the scratch databases of this role that nobody works in; return their names."""
    query = (
        "SELECT d.datname FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba "
        "WHERE starts_with(d.datname, %s) AND r.rolname = current_user ORDER BY 1"
    )
    dropped = []
    for (name,) in connection.execute(query, [_PREFIX]).fetchall():
        key = [_LOCKS, name]
        taken = connection.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", key).fetchone()
        if taken is None or not taken[0]:
            continue
        try:
            _drop(connection, name)
            dropped.append(name)
        finally:
            connection.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", key)
    return dropped


def _drop(connection: psycopg.Connection, name: str) -> None:
    # A restore whose parent was killed may still be writing into it. Not by force: that is refused
    # while autovacuum is in there, which a plain drop sends away.
    connection.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = %s AND usename = current_user",
        [name],
    )
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))


def _as_in(connection: psycopg.Connection, like: str) -> sql.Composable:
    row = connection.execute(
        "SELECT pg_encoding_to_char(encoding), datcollate, datctype FROM pg_database "
        "WHERE datname = %s AND datlocprovider = 'c'",
        [like],
    ).fetchone()
    if row is None:
        return sql.SQL("")
    words = sql.SQL(" ENCODING {} LC_COLLATE {} LC_CTYPE {}")
    return words.format(*(sql.Literal(value) for value in row))
