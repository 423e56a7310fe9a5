"""Putting a backup back over the database that it was taken of, and what that would cost.

What would be lost is counted first, row by row, against the backup restored into scratch. The
restore itself is one transaction: it happens whole or not at all, however it ends.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import psycopg
from psycopg import sql

from include.backups.backup import Backup, digest_of
from include.backups.contents import read_contents
from include.backups.database import Database
from include.backups.postgres import PostgresTools
from include.backups.proof import scratch_copy
from include.errors import BackupError

_AS_SCRIPT = ("--no-owner", "--no-publications", "--no-subscriptions", "--file=-")
_CHUNK = 1 << 20
# Rows at a time of those that are compared.
_FETCHED = 10_000
_HELD, _DONE = "nobody writes", "the backup is put back"
# How long those who write are waited for.
_PATIENCE = "60s"
_OURS = """
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
      AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                      AND d.objid = c.oid AND d.deptype = 'e')
"""
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

    Raises BackupError when the backup can't be restored.
    """
    with scratch_copy(backup, Database.at(admin_url), tools) as scratch:
        return compare_writes(scratch, url)


def compare_writes(scratch: Database, url: str) -> Lost:
    """Compare a restored backup with the database at `url`, row by row.

    Columns that only one of the two has are left out: rows are compared by what both know.
    """
    written: dict[str, int] = {}
    gone: dict[str, int] = {}
    with Database.at(url).connect() as now, scratch.connect() as then:
        _steady(now)
        ours, theirs = _columns(now), _columns(then)
        for table in sorted({*read_contents(now).counts, *read_contents(then).counts}):
            both = [name for name in ours.get(table, ()) if name in theirs.get(table, ())]
            present = _rows(now, table, both) if table in ours else iter(())
            saved = _rows(then, table, both) if table in theirs else iter(())
            new, missing = _apart(present, saved)
            if new:
                written[table] = new
            if missing:
                gone[table] = missing
    return Lost(written=written, gone=gone)


def restore_over(
    backup: Backup, url: str, tools: PostgresTools, *, before: Callable[[], None] = lambda: None
) -> int:
    """Put `backup` over the database at `url`, whose role owns it; return the rows it holds then.

    Everything that is there now is dropped in the transaction that restores: afterwards the
    database is what it was, also where later migrations had added tables. `before` is called once
    nobody else can write any more, though all can read; what it raises leaves all as it is. Raises
    BackupError, with nothing changed, when anything fails, when the backup is not what was taken,
    or when the rows are not those of the backup.
    """
    database = Database.at(url)
    if database.name != backup.database:
        raise BackupError(f"{backup.path} is a backup of {backup.database}, not of {database.name}")
    if not _is_whole(backup):
        raise BackupError(f"{backup.path} is not the backup that was taken; nothing changed")
    with database.connect() as connection:
        drop, lock, check = (
            _drop_all(connection),
            _lock_all(connection),
            _check_rows(backup, connection),
        )
    held, agreed = threading.Event(), threading.Event()

    def script() -> Iterator[bytes]:
        yield f"BEGIN;\n{lock}\nSELECT '{_HELD}';\n".encode()
        held.wait()
        if not agreed.is_set():
            return
        yield f"{drop};\n".encode()
        with tools.restoring(backup.path, _AS_SCRIPT) as dump:
            while piece := dump.output.read(_CHUNK):
                yield piece
        if dump.status != 0:
            raise BackupError(f"{backup.path} can't be read: {dump.complaint}; nothing changed")
        yield f"{check}\nCOMMIT;\nSELECT '{_DONE}';\n".encode()

    options = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
    with tools.running(
        "psql", [*options, "--file=-", f"--dbname={database.argument()}"], database, given=script()
    ) as program:
        try:
            if any(line.strip() == _HELD.encode() for line in program.output):
                before()
                agreed.set()
        finally:
            held.set()
        done = [line for line in program.output if line.strip() == _DONE.encode()]
    if program.status != 0 or not done:
        raise BackupError(
            f"{database.place}: the restore failed and was undone: {program.complaint}"
        )
    with database.connect() as connection:
        restored = read_contents(connection)
    if dict(restored.counts) != dict(backup.counts):
        raise BackupError(
            f"{database.place}: after the restore the rows are not those of {backup.path}"
        )
    return sum(restored.counts.values())


def _is_whole(backup: Backup) -> bool:
    try:
        return digest_of(backup.path) == backup.digest
    except OSError:
        return False


def _steady(connection: psycopg.Connection) -> None:
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True


def _columns(connection: psycopg.Connection) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for table, column in connection.execute(_COLUMNS).fetchall():
        found.setdefault(str(table), []).append(str(column))
    return found


def _rows(
    connection: psycopg.Connection, table: str, columns: list[str]
) -> Iterator[tuple[str, int]]:
    """Yield how often each row is there, by the hash of what `columns` say, in order.

    As a stream: a table may have more rows than this process has room for.
    """
    named = sql.SQL(", ").join(sql.Identifier(name) for name in columns)
    # `table` is quoted by the server itself.
    query = sql.SQL(
        'SELECT md5(ROW({})::text) COLLATE "C", count(*) FROM ONLY {} GROUP BY 1 ORDER BY 1'
    ).format(named, sql.SQL(table))
    with connection.cursor(name="rows") as cursor:
        cursor.itersize = _FETCHED
        for key, number in cursor.execute(query):
            yield str(key), int(number)


def _apart(ours: Iterator[tuple[str, int]], theirs: Iterator[tuple[str, int]]) -> tuple[int, int]:
    """Return how many rows of two ordered streams only the first has, and only the second."""
    only_ours = only_theirs = 0
    our, their = next(ours, None), next(theirs, None)
    while our is not None or their is not None:
        if their is None or (our is not None and our[0] < their[0]):
            only_ours += our[1] if our is not None else 0
            our = next(ours, None)
        elif our is None or their[0] < our[0]:
            only_theirs += their[1]
            their = next(theirs, None)
        else:
            only_ours += max(our[1] - their[1], 0)
            only_theirs += max(their[1] - our[1], 0)
            our, their = next(ours, None), next(theirs, None)
    return only_ours, only_theirs


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


def _lock_all(connection: psycopg.Connection) -> str:
    """Return SQL that lets others read and nobody else write until the transaction ends."""
    rows = connection.execute(
        f"SELECT format('%I.%I', n.nspname, c.relname) {_OURS} ORDER BY 1"
    ).fetchall()
    patience = f"SET LOCAL lock_timeout = '{_PATIENCE}'; "
    patience += "SET LOCAL idle_in_transaction_session_timeout = 0;"
    if not rows:
        return patience
    return (
        f"{patience} LOCK TABLE ONLY {', ONLY '.join(name for (name,) in rows)} IN EXCLUSIVE MODE;"
    )


def _check_rows(backup: Backup, connection: psycopg.Connection) -> str:
    """Return SQL that fails unless every table has the rows of the backup."""
    # No table's name can end a quotation that nobody can guess.
    quote = f"$rows_{secrets.token_hex(16)}$"
    check = sql.SQL(
        "IF (SELECT count(*) FROM ONLY {}) <> {} THEN"
        " RAISE EXCEPTION 'the rows of % are not those of the backup', {}; END IF;"
    )
    checks = [
        # A table's name is quoted by the server itself.
        check.format(sql.SQL(table), rows, table).as_string(connection)
        for table, rows in backup.counts.items()
    ]
    return f"DO {quote} BEGIN {' '.join(checks)} END {quote};"
