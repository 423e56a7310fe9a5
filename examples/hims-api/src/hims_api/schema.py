"""The database's schema: numbered migrations, each applied once, in order, in one transaction.

A migration's file says in its first lines which kind it is:

    expand        adds; the code of the release before works on
    contract      takes away what no code uses any more; older code does not work on
    irreversible  loses data; the way back is a restore
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import psycopg

KINDS = ("expand", "contract", "irreversible")
LOCK = 0x68696D73  # "hims": the advisory lock that only one migrating process holds
LOCK_TIMEOUT = "5s"  # rather fail and be run again than hold up people's requests


class SchemaError(Exception):
    """The schema cannot be read or changed; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step of the schema."""

    version: int
    name: str
    kind: str
    sql: str

    @property
    def checksum(self) -> str:
        """Return what tells an edited file from the one that was applied."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.version:04d} {self.name} ({self.kind})"


def load_migrations() -> tuple[Migration, ...]:
    """Return this version's migrations, oldest first: 1, 2, 3 … without a gap."""
    found = sorted(
        (
            parse_migration(file.name, file.read_text(encoding="utf-8"))
            for file in (files("hims_api") / "migrations").iterdir()
            if file.name.endswith(".sql")
        ),
        key=lambda migration: migration.version,
    )
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise SchemaError("the migrations are not numbered 1, 2, 3 …")
    return tuple(found)


def parse_migration(file_name: str, sql: str) -> Migration:
    """Return the migration in a file named like `0001_appointments.sql`."""
    named = re.fullmatch(r"([0-9]{4})_([a-z0-9_]+)\.sql", file_name)
    if not named:
        raise SchemaError(f"{file_name}: a migration is named like 0001_appointments.sql")
    kind = re.search(r"^-- kind: (\w+)$", sql, re.MULTILINE)
    if not kind or kind[1] not in KINDS:
        raise SchemaError(f'{file_name}: needs a line "-- kind: KIND", one of {", ".join(KINDS)}')
    return Migration(version=int(named[1]), name=named[2], kind=kind[1], sql=sql)


def misfit(seen: Mapping[int, str], needed: int) -> tuple[str, str] | None:
    """Return why code of schema `needed` cannot work on a database, None if it can.

    `seen` has the kind of each migration that the database has had. A newer schema fits as long as
    it has only been expanded: that is what lets two releases run side by side, and one go back.
    """
    missing = [version for version in range(1, needed + 1) if version not in seen]
    if missing:
        return "schema_too_old", f"Migration {missing[0]:04d} is not applied."
    for version in sorted(seen):
        if version > needed and seen[version] != "expand":
            kind = seen[version]
            return "schema_too_new", f"Migration {version:04d} ({kind}) is not for this version."
    return None


def migrate(database_url: str) -> Iterator[str]:
    """Apply what is pending and yield a line for each step, once it is done.

    Running it twice, or twice at once, changes nothing more. Raises SchemaError; what was yielded
    before stays applied, what failed has left no trace.
    """
    migrations = load_migrations()
    with _connect(database_url) as connection:
        done = 0
        for migration in migrations:
            try:
                applied = _apply(connection, migration)
            except psycopg.Error as error:
                raise SchemaError(f"migration {migration} failed: {_first_line(error)}") from error
            if applied:
                done += 1
                yield f"applied {migration}"
        if not done:
            yield f"nothing to do: the schema is at {_newest(_applied(connection)):04d}"


def status(database_url: str) -> dict[str, Any]:
    """Return what is applied and what is pending, in a form for programs."""
    migrations = load_migrations()
    with _connect(database_url) as connection:
        applied = _applied(connection)
    return {
        "schema": _newest(applied),
        "needed": migrations[-1].version,
        "applied": [
            {"version": version, "name": name, "kind": kind, "at": _instant(at)}
            for version, name, kind, _, at in applied
        ],
        "pending": [
            {"version": migration.version, "name": migration.name, "kind": migration.kind}
            for migration in migrations
            if migration.version not in {row[0] for row in applied}
        ],
    }


def _apply(connection: psycopg.Connection[Any], migration: Migration) -> bool:
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_version ("
            " version integer PRIMARY KEY, name text NOT NULL, kind text NOT NULL,"
            " checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        row = connection.execute(
            "SELECT checksum FROM schema_version WHERE version = %s", (migration.version,)
        ).fetchone()
        if row is not None:
            if row[0] != migration.checksum:
                raise SchemaError(
                    f"migration {migration} was applied with another text; "
                    "add a new migration instead of editing one"
                )
            return False
        connection.execute(migration.sql.encode())
        connection.execute(
            "INSERT INTO schema_version (version, name, kind, checksum) VALUES (%s, %s, %s, %s)",
            (migration.version, migration.name, migration.kind, migration.checksum),
        )
        return True


def _applied(connection: psycopg.Connection[Any]) -> list[Any]:
    try:
        return connection.execute(
            "SELECT version, name, kind, checksum, applied_at FROM schema_version ORDER BY version"
        ).fetchall()
    except psycopg.errors.UndefinedTable:
        return []


def _newest(applied: list[Any]) -> int:
    return max((row[0] for row in applied), default=0)


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _connect(database_url: str) -> psycopg.Connection[Any]:
    try:
        return psycopg.connect(
            database_url, autocommit=True, connect_timeout=5, application_name="hims-api migrate"
        )
    except psycopg.Error as error:
        raise SchemaError(f"the database does not answer: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
