"""The release's schema migrations in one environment, and what they left the schema as.

That they begin is written down before they do (`schema_records.py`).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress

from include.backups.shape import read_shape
from include.errors import BackupError
from include.ledger import Outcome
from include.permits.permit import confirm
from include.releases.phases.code_freeze import artefact
from include.releases.schema_records import MIGRATED, MIGRATING, UNTOUCHED
from include.releases.train import STEP_WAIT, Done, Train
from include.services import migration
from include.services.migration_kind import Kind
from include.services.workspace import CommandResult


def migrate(train: Train, environment: str, *, fence: int | None = None) -> Done:
    """Run the migrations of this release's artefact; running them again changes nothing.

    What the schema is like afterwards is recorded, also where a migration failed: those before it
    have been applied. With a `fence` nothing begins unless its permit is held still: this may have
    waited, and people may have been led back meanwhile.
    """
    service = train.plan.service
    database = service.environments[environment].database
    if database is None:
        return Done(message="the service keeps no data of its own")
    if not service.commands.migrate:
        return Done(message="the service has no migrations")
    log = train.evidence(f"migrate-{environment}.log")
    url = train.secrets(f"{database}_db")
    built = artefact(train)
    with alone(train, environment):
        before = _shape(url)
        with train.unit() as unit:
            if fence is not None:
                held = confirm(unit, train, fence)
                if held.permit is None:
                    return Done(ok=False, reason="permit_withdrawn", message=held.message)
            unit.append(
                MIGRATING,
                train.subject,
                reason="began",
                message=f"the migrations of {database} begin",
                details={"environment": environment, "before": before},
            )
        ran = migration.migrate(service, built, url, log=log)
        if not ran.ok:
            after = _shape(url)
            if after is not None:
                untouched = after == before and _would_show(train, ran)
                reason = UNTOUCHED if untouched else "migration_failed"
                message = f"{database}: {ran.describe()}"
                _note_shape(train, environment, after, Outcome.FAILURE, reason, message)
            return Done(ok=False, reason="migration_failed", message=ran.describe())
        message = f"{database} is migrated"
        _note_shape(train, environment, read_shape(url), Outcome.SUCCESS, "migrated", message)
    return Done(message=message)


def alone(train: Train, environment: str) -> AbstractContextManager[None]:
    """Hold the lock under which the schema of an environment is changed.

    Whoever leads people back takes it to close the permits: what migrates then has ended, and
    nothing begins to any more.
    """
    key = f"{train.plan.service.name}/{environment}/schema"
    return train.ledger.exclusive(key, wait=STEP_WAIT)


def _would_show(train: Train, ran: CommandResult) -> bool:
    """Return whether the shape of the schema would show what migrations that failed have done.

    It says nothing of rows, and nothing of a command that was killed: what it has asked the server
    for may still be done.
    """
    brought = train.result("check_commits").get("migrations") or ()
    rows = any(item["kind"] == str(Kind.IRREVERSIBLE) for item in brought)
    return not rows and 0 < ran.status < 124


def _shape(url: str) -> dict[str, str] | None:
    """Return the schema's shape, None where it can't be read."""
    with suppress(BackupError):
        return read_shape(url)
    return None


def _note_shape(
    train: Train,
    environment: str,
    shape: dict[str, str],
    outcome: Outcome,
    reason: str,
    message: str,
) -> None:
    with train.unit() as unit:
        unit.append(
            MIGRATED,
            train.subject,
            outcome=outcome,
            reason=reason,
            message=message[:2000],
            details={"environment": environment, "shape": shape},
        )
