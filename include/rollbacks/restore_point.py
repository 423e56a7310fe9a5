"""Where the restore of a rollback leads: which backup is put back.

It is the one from right before the first release after the wanted version, since the last restore
and on a schema that this version knows. A release that was tried twice has two, and the first try
may have migrated the database before it failed: then the second one's backup already holds what has
to go.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Connection, Row

from include.backups import kind
from include.backups.backup import Backup, delete_backup
from include.errors import BackupError
from include.ledger import schema
from include.releases.phases.looking import ENVIRONMENT
from include.releases.versions import Version
from include.rollbacks.rollback import Rollback
from include.rollbacks.schema_turns import Turn, schema_turns


def restore_point(rollback: Rollback) -> Backup:
    """Return the proven backup that leads to the wanted version's data and schema.

    Raises BackupError where there is none.
    """
    with rollback.train.ledger.read() as connection:
        chosen = _chosen(connection, rollback)
        taken = connection.execute(
            select(schema.step.c.result).where(
                schema.step.c.release_id == chosen.release_id,
                schema.step.c.attempt == chosen.attempt,
                schema.step.c.name == "take_backup",
            )
        ).scalar()
    if not taken:
        raise BackupError(f"the ledger does not say what {chosen.id} held")
    return kind.dump_of(rollback.train, taken["stored"], _dumped_snapshot(rollback))


def forget_dump(rollback: Rollback) -> None:
    """Delete the dump that was made of a DB snapshot; the snapshot stays."""
    delete_backup(_dumped_snapshot(rollback))


def database_of(rollback: Rollback) -> str:
    """Return the name of the service's database; raise BackupError where it has none."""
    database = rollback.train.plan.service.environments[ENVIRONMENT].database
    if database is None:
        raise BackupError(f"{rollback.to.service} keeps no data of its own; nothing to restore")
    return database


def _chosen(connection: Connection, rollback: Rollback) -> Row[Any]:
    backups, releases = schema.backup, schema.release
    rows = connection.execute(
        select(backups, releases.c.version)
        .join(releases, releases.c.id == backups.c.release_id)
        .where(
            backups.c.service == rollback.to.service,
            backups.c.database == database_of(rollback),
            backups.c.proven_at.is_not(None),
        )
        .order_by(backups.c.taken_at.desc())
    ).all()
    wanted = Version.parse(rollback.to.version)
    turns = list(schema_turns(connection, rollback.to.service, rollback.to.version))
    # What an earlier restore has undone is no release after the wanted one: going back that far
    # would lose all that was written since.
    restored = [turn.at for turn in turns if turn.release is None]
    after = [
        row
        for row in rows
        if Version.parse(row.version) > wanted and all(at < row.taken_at for at in restored)
    ]
    if not after:
        raise BackupError(f"there is no proven backup from after {rollback.to.version} served")
    first = min(Version.parse(row.version) for row in after)
    tries = [row for row in after if Version.parse(row.version) == first]
    fit = next((row for row in tries if _is_known(turns, row.taken_at)), None)
    if fit is None:
        raise BackupError(
            f"every backup from before {first} was taken after a migration that "
            f"{rollback.to.version} does not know; none leads back to it. Release a newer version "
            "instead"
        )
    return fit


def _is_known(turns: Sequence[Turn], taken_at: datetime) -> bool:
    before = [turn for turn in turns if turn.at < taken_at]
    return not before or before[-1].release is None


def _dumped_snapshot(rollback: Rollback) -> Path:
    return rollback.train.settings.state_dir / "backups" / f"{rollback.id}-snapshot.dump"
