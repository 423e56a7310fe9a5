"""Restoring the database in a rollback: what it would cost, who agreed to that, and doing it.

Nobody restores a database alone. What two people sign is the hash of which backup would be put back
and how many written rows that loses at most; it is counted again right before, and more than what
was signed is refused.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from include.backups import kind
from include.backups.backup import Backup, take_backup
from include.backups.restore import Lost, count_lost_writes, restore_over
from include.backups.shape import read_shape
from include.backups.tools import backup_tools
from include.errors import BackupError
from include.instants import format_instant
from include.ledger import Actor, Outcome, schema
from include.ledger.record import content_hash
from include.people import Person
from include.releases.phases.looking import ENVIRONMENT
from include.releases.train import Done
from include.releases.versions import Version
from include.rollbacks.rollback import Rollback

VOTES = 2
# A record like that of a migration: what the schema is like from here on.
RESTORED = "schema.restored"

# What may be written while people read and vote, on top of what was counted.
_MARGIN = 0.1
_MARGIN_ROWS = 100


def count_writes(rollback: Rollback) -> Done:
    """Count, by a restore into scratch, what putting the backup back would lose."""

    def count() -> Done:
        rollback.result("restore_previous_version")
        if not rollback.database:
            return Done(message="no database is to be restored", result={"wanted": False})
        backup = _backup(rollback)
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
    backup = _backup(rollback)
    if backup.digest != counted["backup"]:
        message = "another backup than the one that was voted on would be restored"
        return Done(ok=False, reason="other_backup", message=message)
    lost = _lost(rollback, backup)
    if lost.rows > int(counted["most"]):
        message = (
            f"{lost.rows:,} rows would be lost by now; {int(counted['most']):,} at most were "
            "agreed to. Nothing was restored; ask for a new rollback"
        )
        return Done(ok=False, reason="lost_more", message=message)
    train = rollback.train
    url = train.secrets(f"{_database(rollback)}_db")
    tools = backup_tools(train.settings, train.vendor)
    before = train.settings.state_dir / "backups" / f"{rollback.id}-before-restore.dump"
    kept = take_backup(url, before, tools, now=train.clock())
    rows = restore_over(backup, url, tools)
    with train.unit() as unit:
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


def _database(rollback: Rollback) -> str:
    database = rollback.train.plan.service.environments[ENVIRONMENT].database
    if database is None:
        raise BackupError(f"{rollback.to.service} keeps no data of its own; nothing to restore")
    return database


def _lost(rollback: Rollback, backup: Backup) -> Lost:
    train = rollback.train
    url = train.secrets(f"{_database(rollback)}_db")
    tools = backup_tools(train.settings, train.vendor)
    return count_lost_writes(backup, url, train.secrets(kind.ADMIN_CONNECTION), tools)


def _backup(rollback: Rollback) -> Backup:
    """Return the proven backup from right before the first release after the wanted version."""
    backups, releases = schema.backup, schema.release
    with rollback.train.ledger.read() as connection:
        rows = connection.execute(
            select(backups, releases.c.version)
            .join(releases, releases.c.id == backups.c.release_id)
            .where(
                backups.c.service == rollback.to.service,
                backups.c.database == _database(rollback),
                backups.c.proven_at.is_not(None),
            )
            .order_by(backups.c.taken_at.desc())
        ).all()
        after = [
            row for row in rows if Version.parse(row.version) > Version.parse(rollback.to.version)
        ]
        if not after:
            raise BackupError(f"there is no proven backup from after {rollback.to.version} served")
        first = min(Version.parse(row.version) for row in after)
        chosen = next(row for row in after if Version.parse(row.version) == first)
        taken = connection.execute(
            select(schema.step.c.result).where(
                schema.step.c.release_id == chosen.release_id,
                schema.step.c.attempt == chosen.attempt,
                schema.step.c.name == "take_backup",
            )
        ).scalar()
    if not taken:
        raise BackupError(f"the ledger does not say what {chosen.id} held")
    stored = taken["stored"]
    if kind.is_snapshot(stored):
        arn = str(stored["snapshot"]["arn"])
        raise BackupError(kind.by_hand(str(stored["connection"]), arn))
    return kind.read_dump(stored)
