"""Putting a backup back over the database that it was taken of, and what that would cost.

What would be lost is counted first, row by row, against the backup restored into scratch. The
restore itself is one transaction: it happens whole or not at all, however it ends.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from include.backups.backup import Backup
from include.backups.contents import read_contents
from include.backups.database import Database
from include.backups.postgres import PostgresTools
from include.backups.proof import scratch_copy
from include.errors import BackupError

_COLUMNS = """
    SELECT quote_ident(table_schema) || '.' || quote_ident(table_name), column_name
    FROM information_schema.columns ORDER BY ordinal_position
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """Rows by table that are in the database and not in the backup: written or changed since.

    `gone` are rows of the backup that the database no longer has: deleted or changed since.
    """

    written: Mapping[str, int]
    gone: Mapping[str, int]

    @property
    def rows(self) -> int:
        """Return how many written rows a restore would lose."""
        return sum(self.written.values())

    def sentence(self) -> str:
        """Return it for those who vote."""
        if not self.rows and not sum(self.gone.values()):
            return "nothing was written since the backup"
        parts = [f"{number:,} in {table}" for table, number in sorted(self.written.items())]
        back = sum(self.gone.values())
        rows = "1 row" if self.rows == 1 else f"{self.rows:,} rows"
        return (
            f"{rows} written or changed since the backup would be lost"
            + (f" ({', '.join(parts[:6])})" if parts else "")
            + (f"; {back:,} rows would come back as they were" if back else "")
        )


def count_lost_writes(backup: Backup, url: str, admin_url: str, tools: PostgresTools) -> Lost:
    """Restore `backup` into scratch and compare it with the database at `url`, row by row.

    Columns that only one of the two has are left out: rows are compared by what both know. Raises
    BackupError when the backup can't be restored.
    """
    admin = Database.at(admin_url)
    written: dict[str, int] = {}
    gone: dict[str, int] = {}
    with (
        scratch_copy(backup, admin, tools) as scratch,
        Database.at(url).connect() as now,
        scratch.connect() as then,
    ):
        _steady(now)
        ours, theirs = _columns(now), _columns(then)
        for table in sorted({*read_contents(now).counts, *read_contents(then).counts}):
            both = [name for name in ours.get(table, ()) if name in theirs.get(table, ())]
            present = _rows(now, table, both) if table in ours else Counter()
            saved = _rows(then, table, both) if table in theirs else Counter()
            if new := (present - saved).total():
                written[table] = new
            if missing := (saved - present).total():
                gone[table] = missing
    return Lost(written=written, gone=gone)


def restore_over(backup: Backup, url: str, tools: PostgresTools) -> int:
    """Put `backup` over the database at `url`, whose role owns it; return the rows it holds then.

    Everything that is there now is dropped in the transaction that restores: afterwards the
    database is what it was, also where later migrations had added tables. Raises BackupError, with
    nothing changed, when anything fails or the rows are not those of the backup.
    """
    database = Database.at(url)
    if database.name != backup.database:
        raise BackupError(f"{backup.path} is a backup of {backup.database}, not of {database.name}")
    with tempfile.TemporaryDirectory(prefix="restore-") as scratch:
        script = Path(scratch) / "restore.sql"
        dumped = tools.restore(
            backup.path,
            ["--no-owner", "--no-publications", "--no-subscriptions", f"--file={script}"],
        )
        if dumped.status != 0:
            raise BackupError(f"{backup.path} can't be read: {dumped.complaint}; nothing changed")
        with database.connect() as connection:
            drop = _drop_all(connection)
        ran = tools.run(
            "psql",
            [
                "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1",
                f"--command={drop}", f"--file={script}", f"--dbname={database.argument()}",
            ],
            database,
        )  # fmt: skip
        if ran.status != 0:
            raise BackupError(
                f"{database.place}: the restore failed and was undone: {ran.complaint}"
            )
    with database.connect() as connection:
        restored = read_contents(connection)
    if dict(restored.counts) != dict(backup.counts):
        raise BackupError(
            f"{database.place}: after the restore the rows are not those of {backup.path}"
        )
    return sum(restored.counts.values())


def _steady(connection: psycopg.Connection) -> None:
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True


def _columns(connection: psycopg.Connection) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for table, column in connection.execute(_COLUMNS).fetchall():
        found.setdefault(str(table), []).append(str(column))
    return found


def _rows(connection: psycopg.Connection, table: str, columns: list[str]) -> Counter[str]:
    """Return how often each row is there, by the hash of what `columns` say."""
    named = sql.SQL(", ").join(sql.Identifier(name) for name in columns)
    # `table` is quoted by the server itself.
    query = sql.SQL("SELECT md5(ROW({})::text), count(*) FROM ONLY {} GROUP BY 1").format(
        named,
        sql.SQL(table),
    )
    return Counter({str(key): int(number) for key, number in connection.execute(query).fetchall()})


def _drop_all(connection: psycopg.Connection) -> str:
    """Return SQL that empties the database of everything its owner made."""
    rows = connection.execute(
        "SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' "
        "AND nspname <> 'information_schema'"
    ).fetchall()
    drops = [
        sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)).as_string(connection)
        for (name,) in rows
    ]
    return "; ".join([*drops, "CREATE SCHEMA public"])
