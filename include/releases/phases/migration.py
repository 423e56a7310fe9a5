"""The release's schema migrations in one environment, and what they left the schema as."""

from __future__ import annotations

from contextlib import suppress

from include.backups.shape import read_shape
from include.errors import BackupError
from include.ledger import Outcome
from include.releases.phases.code_freeze import artefact
from include.releases.train import Done, Train
from include.services import migration

# A record of what the schema is like from here on; `details` has environment and shape.
MIGRATED = "schema.migrated"


def migrate(train: Train, environment: str) -> Done:
    """Run the migrations of this release's artefact; running them again changes nothing.

    What the schema is like afterwards is recorded, also where a migration failed: those before it
    have been applied.
    """
    service = train.plan.service
    database = service.environments[environment].database
    if database is None:
        return Done(message="the service keeps no data of its own")
    log = train.evidence(f"migrate-{environment}.log")
    url = train.secrets(f"{database}_db")
    ran = migration.migrate(service, artefact(train), url, log=log)
    if ran is None:
        return Done(message="the service has no migrations")
    if not ran.ok:
        with suppress(BackupError):
            _note_shape(train, environment, url, Outcome.FAILURE, f"{database}: {ran.describe()}")
        return Done(ok=False, reason="migration_failed", message=ran.describe())
    _note_shape(train, environment, url, Outcome.SUCCESS, f"{database} is migrated")
    return Done(message=f"{database} is migrated")


def _note_shape(train: Train, environment: str, url: str, outcome: Outcome, message: str) -> None:
    shape = read_shape(url)
    with train.unit() as unit:
        unit.append(
            MIGRATED,
            train.subject,
            outcome=outcome,
            reason="migrated" if outcome is Outcome.SUCCESS else "migration_failed",
            message=message[:2000],
            details={"environment": environment, "shape": shape},
        )
