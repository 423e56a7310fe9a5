"""The backup drill, and pruning: a backup that nobody can restore is found before it is needed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.engine import Row

from include.backups import kind
from include.ledger import Outcome, Subject, schema
from include.upkeep.upkeep import Upkeep


def newest_backups(job: Upkeep) -> list[str]:
    """Return the id of the newest proven backup of each database."""
    table = schema.backup
    with job.ledger.read() as connection:
        rows = connection.execute(
            select(table.c.id, table.c.database)
            .where(table.c.proven_at.is_not(None), table.c.pruned_at.is_(None))
            .order_by(table.c.taken_at.desc())
        ).all()
    newest: dict[str, str] = {}
    for row in rows:
        newest.setdefault(row.database, row.id)
    return sorted(newest.values())


def drill(job: Upkeep, backup: str) -> tuple[bool, str]:
    """Restore one backup into scratch, compare it, and record how it went."""
    table, steps = schema.backup, schema.step
    with job.ledger.read() as connection:
        row = connection.execute(select(table).where(table.c.id == backup)).one()
        taken = connection.execute(
            select(steps.c.result).where(
                steps.c.release_id == row.release_id,
                steps.c.attempt == row.attempt,
                steps.c.name == "take_backup",
            )
        ).scalar()
    if not taken:
        return _told(job, row, ok=False, reason="unknown", message="nobody wrote what it held")
    proof = kind.prove_backup(job, taken["stored"])
    message = f"{proof.message} ({proof.seconds:.1f} s)"
    return _told(job, row, ok=proof.proven, reason=proof.reason, message=message)


def prune(job: Upkeep, retention: timedelta) -> list[str]:
    """Delete backups older than `retention` and return their ids.

    Kept, whatever their age: the newest of each database and the newest proven one, those of
    releases that are under way, and that of what serves now, which a rollback would restore.
    Raises BackupError for one that is said to lie elsewhere than backups do, and for a DB snapshot
    that is not ours; nothing there is touched.
    """
    table = schema.backup
    kept = {*newest_backups(job), *_newest_of_all(job), *_needed(job)}
    with job.ledger.read() as connection:
        rows = connection.execute(
            select(table).where(table.c.pruned_at.is_(None)).order_by(table.c.taken_at)
        ).all()
    pruned = []
    for row in rows:
        if row.id in kept or row.taken_at > job.clock() - retention:
            continue
        # The backup first: told as pruned and still there would be kept by nobody's rule.
        kind.delete(job, row.id, row.path)
        with job.unit() as unit:
            unit.execute(update(table).where(table.c.id == row.id).values(pruned_at=unit.now))
            unit.append(
                "backup.pruned",
                Subject(kind="backup", id=row.id),
                message=f"{row.id} of {row.database}, taken {row.taken_at:%Y-%m-%d}, is deleted "
                "as its retention is over",
                release=row.release_id,
            )
        pruned.append(str(row.id))
    return pruned


def _newest_of_all(job: Upkeep) -> set[str]:
    """Return the newest backup of each database, proven or not: it may be all there is."""
    table = schema.backup
    with job.ledger.read() as connection:
        rows = connection.execute(
            select(table.c.id, table.c.database)
            .where(table.c.pruned_at.is_(None))
            .order_by(table.c.taken_at.desc())
        ).all()
    newest: dict[str, str] = {}
    for row in rows:
        newest.setdefault(row.database, row.id)
    return set(newest.values())


def _needed(job: Upkeep) -> set[str]:
    table, releases, deployments = schema.backup, schema.release, schema.deployment
    with job.ledger.read() as connection:
        running = connection.execute(
            select(table.c.id)
            .join(releases, releases.c.id == table.c.release_id)
            .where(releases.c.state == "running")
        ).scalars()
        serving = connection.execute(
            select(table.c.id)
            .join(
                deployments,
                (deployments.c.release_id == table.c.release_id)
                & (deployments.c.attempt == table.c.attempt),
            )
            .where(deployments.c.state == "live")
        ).scalars()
        return {*running, *serving}


def _told(job: Upkeep, row: Row[Any], *, ok: bool, reason: str, message: str) -> tuple[bool, str]:
    with job.unit() as unit:
        if ok:
            table = schema.backup
            unit.execute(update(table).where(table.c.id == row.id).values(drilled_at=unit.now))
        unit.append(
            "backup.drilled",
            Subject(kind="backup", id=row.id),
            outcome=Outcome.SUCCESS if ok else Outcome.FAILURE,
            reason=reason,
            message=f"{row.id}: {message}"[:2000],
            release=row.release_id,
        )
    return ok, f"{row.id}: {message}"
