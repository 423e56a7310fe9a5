"""Which kind of backup a database gets: a dump by pg_dump, or a DB snapshot where `rds` names it.

What a step wrote down of a backup says its kind, so that later configuration changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from include.backups.backup import Backup, delete_backup
from include.backups.backup import take_backup as dump_database
from include.backups.database import Database
from include.backups.proof import Proof
from include.backups.proof import prove_backup as restore_and_compare
from include.backups.rds import RdsSnapshots, Snapshot, delete_snapshot
from include.backups.tools import backup_tools
from include.errors import BackupError
from include.instants import format_instant, parse_instant
from include.services.cloud import Rds
from include.services.service import Placement
from include.settings import Settings

# Where scratch databases are made.
ADMIN_CONNECTION = "backup_db"
_ARN = "arn:"


class Work(Protocol):
    """What a train and a regular job have for it."""

    @property
    def settings(self) -> Settings: ...
    @property
    def secrets(self) -> Callable[[str], str]: ...
    @property
    def vendor(self) -> Callable[[str], Any]: ...
    @property
    def clock(self) -> Callable[[], datetime]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A backup for the ledger; `path` is a file's or an ARN, `stored` what the others here take."""

    path: str
    uri: str
    digest: str
    size: int
    database: str
    counts: Mapping[str, int]
    taken_at: datetime
    message: str
    stored: dict[str, Any]


def take_backup(work: Work, placement: Placement, key: str, *, jobs: int = 1) -> Taken:
    """Back up the database of `placement` under the name `key`, which makes it once.

    Raises BackupError when it can't be taken.
    """
    database = str(placement.database)
    if placement.rds is not None:
        snapshot = _snapshots(work, database, placement.rds).take(key, work.clock())
        return Taken(
            path=snapshot.arn,
            uri=snapshot.arn,
            digest=snapshot.digest,
            size=snapshot.size,
            database=snapshot.database,
            counts=snapshot.counts,
            taken_at=snapshot.taken_at,
            message=f"{snapshot.database} backed up as the DB snapshot {snapshot.arn}: "
            f"PostgreSQL {snapshot.engine_version}, "
            f"{'encrypted' if snapshot.encrypted else 'not encrypted'}, "
            f"{sum(snapshot.counts.values()):,} rows in {len(snapshot.counts)} tables",
            stored={
                "rds": placement.rds.model_dump(mode="json"),
                "connection": database,
                "snapshot": snapshot.document(),
            },
        )
    path = _home(work.settings) / f"{key}.dump"
    url, tools = work.secrets(f"{database}_db"), backup_tools(work.settings, work.vendor)
    backup = dump_database(url, path, tools, now=work.clock(), jobs=jobs)
    taken_at = format_instant(backup.taken_at)
    return Taken(
        path=str(backup.path),
        uri=backup.path.as_uri(),
        digest=backup.digest,
        size=backup.size,
        database=backup.database,
        counts=backup.counts,
        taken_at=backup.taken_at,
        message=f"{backup.database} backed up: {backup.size:,} bytes, "
        f"{sum(backup.counts.values()):,} rows in {len(backup.counts)} tables",
        stored={**asdict(backup), "path": str(backup.path), "taken_at": taken_at},
    )


def prove_backup(work: Work, stored: Mapping[str, Any]) -> Proof:
    """Restore a backup into scratch and compare it; see `include.backups.proof.prove_backup`."""
    if is_snapshot(stored):
        keeper, snapshot = _snapshot(work, stored)
        return keeper.prove(snapshot, work.clock())
    tools = backup_tools(work.settings, work.vendor)
    return restore_and_compare(
        read_dump(stored), work.secrets(ADMIN_CONNECTION), tools, work.clock()
    )


def proof_document(stored: Mapping[str, Any], proof: Proof) -> dict[str, Any]:
    """Return what the ledger keeps of a proof."""
    document = {"counts": dict(proof.counts), "seconds": proof.seconds}
    if not is_snapshot(stored):
        return document
    snapshot = stored["snapshot"]
    kept = ("arn", "identifier", "engine_version", "encrypted", "digest")
    return {**document, "snapshot": {name: snapshot[name] for name in kept}}


def delete(work: Work, identifier: str, path: str) -> None:
    """Delete what the backup `identifier` is said to be.

    Raises BackupError, with nothing deleted, for a file elsewhere than backups are, and for a
    snapshot that is not ours.
    """
    home = _home(work.settings)
    if path.startswith(_ARN):
        delete_snapshot(work.vendor("rds"), path, home)
        return
    if Path(path).resolve().parent != home.resolve():
        raise BackupError(
            f"{identifier} is said to lie at {path}, which is not in {home.resolve()}; nothing was "
            "deleted there. Find out who changed the ledger (./hims audit verify)"
        )
    delete_backup(Path(path))


def dump_of(work: Work, stored: Mapping[str, Any], path: Path) -> Backup:
    """Return a backup as a dump that can be put back; that of a snapshot is made at `path`, once.

    Raises BackupError when the snapshot can't be restored, or is not what it has to be.
    """
    if not is_snapshot(stored):
        return read_dump(stored)
    keeper, snapshot = _snapshot(work, stored)
    return keeper.dump(snapshot, path, backup_tools(work.settings, work.vendor))


def is_snapshot(stored: Mapping[str, Any]) -> bool:
    """Tell whether a step wrote a DB snapshot down."""
    return "snapshot" in stored


def database_of(stored: Mapping[str, Any]) -> str:
    """Return the name of the database that a backup is of."""
    return str(stored["snapshot"]["database"] if is_snapshot(stored) else stored["database"])


def read_dump(stored: Mapping[str, Any]) -> Backup:
    """Return a dump as a step wrote it down."""
    taken_at = parse_instant(str(stored["taken_at"]))
    return Backup(**{**stored, "path": Path(str(stored["path"])), "taken_at": taken_at})


def _snapshot(work: Work, stored: Mapping[str, Any]) -> tuple[RdsSnapshots, Snapshot]:
    try:
        where, snapshot = Rds.model_validate(stored["rds"]), Snapshot.of(stored["snapshot"])
        return _snapshots(work, str(stored["connection"]), where), snapshot
    except (KeyError, TypeError, ValidationError) as error:
        raise BackupError("the ledger does not describe the DB snapshot; take a new one") from error


def _snapshots(work: Work, database: str, where: Rds) -> RdsSnapshots:
    return RdsSnapshots(
        work.vendor("rds"),
        where,
        Database.at(work.secrets(f"{database}_db")),
        _home(work.settings),
        clock=work.clock,
        encrypt=work.settings.overall.backups.encrypt,
    )


def _home(settings: Settings) -> Path:
    return settings.state_dir / "backups"
