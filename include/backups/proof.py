"""The proof of a backup: it is read to its end, restored into scratch, and counted.

`pg_restore --list` is not enough: it reads the table of contents only and passes a dump whose data
is cut off.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from include.backups.backup import Backup, digest_of, size_of
from include.backups.cipher import is_sealed
from include.backups.contents import Contents, read_contents
from include.backups.database import Database
from include.backups.postgres import PostgresTools
from include.backups.scratch import scratch_database
from include.errors import BackupError
from include.instants import format_instant

_DATABASE = re.compile(r"^;\s+dbname: (.*)$", re.MULTILINE)
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Whether a backup can be restored.

    `reason` is `proven`, or why not: `missing`, `empty`, `truncated`, `digest_changed`,
    `unreadable`, `wrong_database`, `restore_failed`, `count_mismatch` or `constraints_differ`.
    `counts` are the rows that were restored, as far as it came to that; `seconds` is how long the
    proof took; `checked_at` is aware UTC.
    """

    proven: bool
    reason: str
    message: str
    checked_at: datetime
    seconds: float
    counts: Mapping[str, int] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the proof as plain JSON data, for the ledger."""
        return {
            "proven": self.proven,
            "reason": self.reason,
            "message": self.message,
            "checked_at": format_instant(self.checked_at),
            "seconds": round(self.seconds, 3),
            "counts": dict(self.counts),
        }


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found out about a backup; `reason` is one of `Proof`'s."""

    reason: str
    message: str
    counts: Mapping[str, int] = field(default_factory=dict)


def prove_backup(backup: Backup, admin_url: str, tools: PostgresTools, now: datetime) -> Proof:
    """Restore `backup` into a scratch database on the server of `admin_url` and compare the two.

    The role of `admin_url` needs CREATEDB; the scratch database is dropped again, and so are those
    that killed runs left. A backup that is wrong in itself is an outcome; BackupError is raised
    when there is no saying: the server can't be reached or the programs are missing.
    """
    started = time.monotonic()
    finding = (
        _examine_file(backup)
        or _read_through(backup, tools)
        or _restore(backup, Database.at(admin_url), tools)
    )
    return Proof(
        proven=finding.reason == "proven",
        reason=finding.reason,
        message=finding.message,
        checked_at=now,
        seconds=time.monotonic() - started,
        counts=finding.counts,
    )


def _examine_file(backup: Backup) -> Finding | None:
    """Find what is wrong with the file as a file."""
    try:
        size = size_of(backup.path)
        if size == 0:
            return Finding("empty", f"{backup.path} is empty.")
        if size < backup.size:
            return Finding(
                "truncated",
                f"{backup.path} is truncated: {size:,} of {backup.size:,} bytes are left.",
            )
        digest = digest_of(backup.path)
    except FileNotFoundError:
        return Finding("missing", f"{backup.path} is not there.")
    except OSError as error:
        return Finding("unreadable", f"{backup.path} cannot be read: {error.strerror}.")
    if digest != backup.digest:
        return Finding(
            "digest_changed",
            f"{backup.path} has changed since it was taken: its digest is {digest[:19]}…, "
            f"it was {backup.digest[:19]}….",
        )
    if not backup.counts:
        return Finding("empty", f"{backup.path} holds no table at all.")
    return None


def _read_through(backup: Backup, tools: PostgresTools) -> Finding | None:
    """Find what is wrong with the file as a dump: read its head, then all of it."""
    try:
        return _as_dump(backup, tools)
    except BackupError as error:
        if not is_sealed(backup.path):
            raise
        return Finding("unreadable", f"{error}.")


def _as_dump(backup: Backup, tools: PostgresTools) -> Finding | None:
    listed = tools.restore(backup.path, ["--list"])
    if listed.status != 0:
        return _unreadable(backup, listed.complaint)
    head = _DATABASE.search(listed.output)
    if head is None or head.group(1) != backup.database:
        of = f"is a dump of {head.group(1)}" if head else "does not say of which database it is"
        return Finding("wrong_database", f"{backup.path} {of}, not of {backup.database}.")
    read = tools.restore(backup.path, ["--file=/dev/null"])
    return _unreadable(backup, read.complaint) if read.status != 0 else None


def _unreadable(backup: Backup, complaint: str) -> Finding:
    if "end of file" in complaint or "too short" in complaint:
        return Finding("truncated", f"{backup.path} ends too early: {complaint}.")
    return Finding(
        "unreadable",
        f"{backup.path} is no readable dump: {complaint or 'no reason was given'}.",
    )


def _restore(backup: Backup, admin: Database, tools: PostgresTools) -> Finding:
    try:
        with scratch_copy(backup, admin, tools) as scratch, scratch.connect() as inside:
            return compare(
                backup.counts, backup.constraints, backup.database, read_contents(inside)
            )
    except RestoreFailed as error:
        return Finding("restore_failed", f"The restore failed: {error}.")


class RestoreFailed(BackupError):
    """The backup itself can't be restored, on a server that is well."""


@contextmanager
def scratch_copy(backup: Backup, admin: Database, tools: PostgresTools) -> Iterator[Database]:
    """Restore `backup` into a scratch database on the server of `admin`; drop it in the end.

    Raises RestoreFailed where the backup is to blame, BackupError where the server is.
    """
    with admin.connect(autocommit=True) as connection:
        tools.require(connection.info.server_version)
        with scratch_database(admin, connection, like=backup.database) as scratch:
            ran = tools.restore(
                backup.path,
                [
                    "--no-password",
                    "--exit-on-error",
                    # Roles, grants and replication belong to a server, not to the data.
                    "--no-owner",
                    "--no-privileges",
                    "--no-tablespaces",
                    "--no-publications",
                    "--no-subscriptions",
                    "--no-security-labels",
                    f"--dbname={scratch.argument()}",
                ],
                scratch,
            )
            if ran.status != 0:
                if not scratch.answers():
                    raise BackupError(
                        f"{admin.place}: the server was lost during the restore "
                        f"({ran.complaint}); prove the backup again"
                    )
                raise RestoreFailed(ran.complaint)
            yield scratch


def compare(
    counts: Mapping[str, int], constraints: int, database: str, restored: Contents
) -> Finding:
    """Compare what was restored with what the source `database` held."""
    tables = sorted({*counts, *restored.counts})
    wrong = [name for name in tables if counts.get(name) != restored.counts.get(name)]
    if wrong:
        shown = "; ".join(
            f"{name}: {_rows(counts.get(name))} backed up, "
            f"{_rows(restored.counts.get(name))} restored"
            for name in wrong[:_SHOWN]
        )
        more = f"; and {len(wrong) - _SHOWN} more tables" if len(wrong) > _SHOWN else ""
        return Finding("count_mismatch", f"{shown}{more}.", restored.counts)
    if restored.constraints != constraints:
        return Finding(
            "constraints_differ",
            f"{restored.constraints} constraints hold after the restore, {constraints} "
            "did in the source.",
            restored.counts,
        )
    return Finding(
        "proven",
        f"Restored into a scratch database: {len(tables)} tables, "
        f"{sum(counts.values()):,} rows and {restored.constraints} constraints as in {database}.",
        restored.counts,
    )


def _rows(number: int | None) -> str:
    if number is None:
        return "no such table"
    return "1 row" if number == 1 else f"{number:,} rows"
