"""Restoring the database in a rollback: what it would cost, who agreed to that, and doing it.

Nobody restores a database alone. What two people sign is the hash of which backup would be put back
and how many written rows that loses at most; it is counted again once nobody can write any more,
and more than what was signed is refused.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from include.backups import kind
from include.backups.backup import Backup, load_backup, take_backup
from include.backups.database import Database
from include.backups.proof import scratch_copy
from include.backups.restore import Lost, compare_writes, restore_over
from include.backups.shape import read_shape
from include.backups.tools import backup_tools
from include.instants import format_instant
from include.ledger import Actor, Outcome, Unit, schema
from include.ledger.record import content_hash
from include.people import Person
from include.releases.phases.looking import ENVIRONMENT
from include.releases.schema_records import RESTORED
from include.releases.train import Done
from include.rollbacks.restore_point import database_of, restore_point
from include.rollbacks.rollback import Rollback

VOTES = 2
# What may be written while people read and vote, on top of what was counted.
_MARGIN = 0.1
_MARGIN_ROWS = 100


def count_writes(rollback: Rollback) -> Done:
    """Count, by a restore into scratch, what putting the backup back would lose."""

    def count() -> Done:
        rollback.result("restore_previous_version")
        if not rollback.database:
            return Done(message="no database is to be restored", result={"wanted": False})
        backup = restore_point(rollback)
        lost = _lost(rollback, backup)
        most = lost.rows + max(_MARGIN_ROWS, round(lost.rows * _MARGIN))
        signed = {
            "rollback": rollback.id,
            "backup": backup.digest,
            "database": backup.database,
            "taken_at": format_instant(backup.taken_at),
            "lost_at_most": most,
        }
        return Done(
            message=f"{backup.database} as of {format_instant(backup.taken_at)}: {lost.sentence()}",
            result={
                "wanted": True,
                "lost": lost.rows,
                "written": dict(lost.written),
                "gone": dict(lost.gone),
                "most": most,
                "sentence": lost.sentence(),
                "taken_at": format_instant(backup.taken_at),
                "backup": backup.digest,
                "content_hash": content_hash(signed),
            },
        )

    return rollback.step("count_writes", count)


def cast_vote(
    rollback: Rollback, person: Person | None, actor: Actor, *, approve: bool, comment: str
) -> Done:
    """Write one person's vote on exactly this restore; a refusal is a record too."""
    counted = rollback.result("count_writes")
    signed = str(counted["content_hash"])
    problem = _not_theirs(rollback, person)
    table = schema.rollback_vote
    train = rollback.train
    choice = "approve" if approve else "reject"
    with train.ledger.write(actor, train.source, train.clock()) as unit:
        if problem is None:
            values = {
                "rollback_id": rollback.id,
                "content_hash": signed,
                "voter": actor.user,
                "choice": choice,
                "meaning": f"{choice} of restoring the database in {rollback.id}, losing at most "
                f"{counted['most']} rows",
                "comment": comment[:2000],
                "cast_at": unit.now,
            }
            written = unit.execute(insert(table).values(**values).on_conflict_do_nothing())
            if not written.rowcount:
                problem = f"{actor.name} has voted on this already; a second person is needed"
        unit.append(
            "rollback.voted" if problem is None else "rollback.vote_refused",
            rollback.subject,
            outcome=Outcome.SUCCESS if problem is None else Outcome.DENIED,
            reason=choice if problem is None else "not_eligible",
            message=problem or f"{actor.name}: {choice}: {counted['sentence']}",
            release=train.release,
            meaning=str(values["meaning"]) if problem is None else None,
            details={"content_hash": signed},
        )
    return Done(
        ok=problem is None,
        reason=choice if problem is None else "not_eligible",
        message=problem or f"{actor.name} says {choice}",
    )


def restore(rollback: Rollback) -> Done:
    """Put the backup back, if two people have signed exactly this and nobody objects.

    What is there now is backed up first, so that what is lost can still be read.
    """
    counted = rollback.result("count_writes")
    agreed = _agreed(rollback, str(counted["content_hash"]))
    if isinstance(agreed, str):
        return Done(ok=False, reason="not_agreed", message=agreed)
    backup = restore_point(rollback)
    if backup.digest != counted["backup"]:
        message = "another backup than the one that was voted on would be restored"
        return Done(ok=False, reason="other_backup", message=message)
    train = rollback.train
    url = train.secrets(f"{database_of(rollback)}_db")
    tools = backup_tools(train.settings, train.vendor)
    found: list[tuple[Lost, Backup]] = []

    def keep(scratch: Database) -> None:
        lost = compare_writes(scratch, url)
        if lost.rows > int(counted["most"]):
            raise _LostMoreError(lost.rows)
        kept = take_backup(url, _next_kept(rollback), tools, now=train.clock())
        found.append((lost, kept))

    try:
        with scratch_copy(backup, _scratch_server(rollback), tools) as scratch:
            rows = restore_over(backup, url, tools, before=lambda: keep(scratch))
    except _LostMoreError as more:
        message = (
            f"{more.rows:,} rows would be lost by now; {int(counted['most']):,} at most were "
            "agreed to. Nothing was restored; ask for a new rollback"
        )
        return Done(ok=False, reason="lost_more", message=message)
    ((lost, kept),) = found
    with train.unit() as unit:
        _note_kept(unit, rollback)
        unit.append(
            RESTORED,
            rollback.subject,
            message=f"{backup.database} has the schema of {format_instant(backup.taken_at)} again",
            release=train.release,
            details={"environment": ENVIRONMENT, "shape": read_shape(url)},
        )
    return Done(
        message=f"{backup.database} is as of {format_instant(backup.taken_at)} again, {rows:,} "
        f"rows; {lost.rows:,} written rows are lost to it and kept in {kept.path.name}; agreed by "
        f"{' and '.join(agreed)}",
        result={"restored": True, "rows": rows, "lost": lost.rows, "kept": str(kept.path)},
        evidence=[{"uri": kept.path.as_uri(), "sha256": kept.digest}],
    )


class _LostMoreError(Exception):
    """More than was agreed to would be lost."""

    def __init__(self, rows: int) -> None:
        super().__init__(rows)
        self.rows = rows


def _next_kept(rollback: Rollback) -> Path:
    """Return where what is there now is kept; what a killed try has kept is never written over."""
    return _kept(rollback, len(_all_kept(rollback)) + 1)


def _all_kept(rollback: Rollback) -> list[Path]:
    paths: list[Path] = []
    while (path := _kept(rollback, len(paths) + 1)).exists():
        paths.append(path)
    return paths


def _kept(rollback: Rollback, number: int) -> Path:
    home = rollback.train.settings.state_dir / "backups"
    return home / f"{rollback.id}-before-restore-{number}.dump"


def _note_kept(unit: Unit, rollback: Rollback) -> None:
    """Write down what was kept of the database: who looks for it finds it, and it is pruned."""
    for number, path in enumerate(_all_kept(rollback), start=1):
        kept = load_backup(path)
        values = {
            "id": f"BKP-{rollback.id}-{number}",
            "release_id": rollback.train.release,
            "attempt": rollback.train.plan.attempt,
            "service": rollback.to.service,
            "database": kept.database,
            "path": str(kept.path),
            "digest": kept.digest,
            "size": kept.size,
            "counts": dict(kept.counts),
            "taken_at": kept.taken_at,
        }
        unit.execute(insert(schema.backup).values(**values).on_conflict_do_nothing())


def _agreed(rollback: Rollback, signed: str) -> list[str] | str:
    """Return who agreed, or why that is not enough."""
    table = schema.rollback_vote
    with rollback.train.ledger.read() as connection:
        rows = connection.execute(
            select(table).where(table.c.rollback_id == rollback.id, table.c.content_hash == signed)
        ).all()
    against = [row.voter for row in rows if row.choice == "reject"]
    if against:
        return f"{', '.join(against)} objects to the restore; the database stays as it is"
    voters = sorted({row.voter for row in rows if row.voter != rollback.requested_by})
    if len(voters) < VOTES:
        return (
            f"{len(voters)} of {VOTES} people have agreed to restore the database; "
            "a task marked successful by hand counts for nothing"
        )
    return voters


def _not_theirs(rollback: Rollback, person: Person | None) -> str | None:
    if person is None or not person.may("roll_back"):
        name = person.name if person is not None else "whoever votes"
        return f"no role of {name} may vote on restoring a database (config/people.yaml)"
    if person.user == rollback.requested_by:
        return f"{person.name} asked for the rollback; two others have to agree"
    return None


def _lost(rollback: Rollback, backup: Backup) -> Lost:
    train = rollback.train
    url = train.secrets(f"{database_of(rollback)}_db")
    tools = backup_tools(train.settings, train.vendor)
    with scratch_copy(backup, _scratch_server(rollback), tools) as scratch:
        return compare_writes(scratch, url)


def _scratch_server(rollback: Rollback) -> Database:
    return Database.at(rollback.train.secrets(kind.ADMIN_CONNECTION))
