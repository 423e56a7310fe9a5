"""A rollback that people ask for: what it leads from and to, and how it is opened.

It goes from what production serves to a version that served before. Its steps are journalled with
the release that it takes back, under its own id (`RBK-…`), so that each is done once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.engine import Connection, Row

from include.deploy.deployment import deployment_of, live_deployment
from include.deploy.kept_artefact import kept_artefact
from include.deploy.target import Artefact
from include.errors import RecordMissing, RequestError
from include.ledger import Subject, Unit, schema
from include.people import Person
from include.releases.phases.looking import ENVIRONMENT
from include.releases.plan import read_plan
from include.releases.schema_change import SchemaChange, migrations_between
from include.releases.train import Done, Train
from include.releases.versions import Version
from include.rollbacks.schema_turns import schema_turns
from include.services.service import Service

ENDED_RUNS = ("success", "failed", None)
_OPENING = 7306


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody asks for; without a version the one that served before."""

    service: str
    version: str | None
    reason: str
    database: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """A rollback under way; `train` is that of the release which is taken back."""

    id: str
    train: Train
    to: Artefact
    from_version: str
    from_commit: str
    reason: str
    database: bool
    requested_by: str

    @property
    def subject(self) -> Subject:
        """Return the rollback as the subject of a record."""
        return Subject(kind="rollback", id=self.id)

    @property
    def service(self) -> Service:
        """Return the service with the commands and configuration that `to` was released with."""
        table = schema.release
        with self.train.ledger.read() as connection:
            row = connection.execute(
                select(table.c.plan).where(
                    table.c.service == self.to.service, table.c.version == self.to.version
                )
            ).first()
        return read_plan(row.plan).service if row is not None else self.train.plan.service

    @property
    def schema_change(self) -> SchemaChange:
        """Return the migrations that the way back leads over."""
        return _between(self.train, self.to.version, self.from_commit)

    def step(self, name: str, effect: Callable[[], Done]) -> Done:
        """Run one of its steps once, journalled under its id."""
        return self.train.step(f"{self.id}.{name}", f"rollback.{name}", effect)

    def result(self, name: str) -> Any:
        """Return what an earlier step returned; RecordMissing if it is not done."""
        return self.train.result(f"{self.id}.{name}")


def open_rollback(
    train_of: Callable[[str], Train],
    unit: Unit,
    wish: Wish,
    person: Person | None,
    *,
    run_id: str,
    run_state: Callable[[str, str], Any],
) -> str:
    """Write a rollback down and return its id; asked again by the same run, return the same.

    `train_of` opens the train that a run drives, `run_state` tells the state of a Dag's run. Raises
    RequestError, with what is offered instead, when this way back does not exist.
    """
    table = schema.rollback
    # One at a time whatever the service: their numbers are counted over all of them.
    unit.execute(select(func.pg_advisory_xact_lock(_OPENING)))
    present = unit.row(select(table.c.id).where(table.c.run_id == run_id))
    if present is not None:
        unit.append(
            "rollback.asked_again",
            Subject(kind="rollback", id=present.id),
            message=f"{present.id} is under way in this run already",
        )
        return str(present.id)
    if person is None or not person.may("roll_back"):
        name = person.name if person is not None else "whoever asks"
        raise RequestError(f"no role of {name} may roll back (config/people.yaml)")
    if not wish.reason.strip():
        raise RequestError("reason: say why; it is what people will read afterwards")
    _refuse_second(unit, wish.service, run_state)
    live = live_deployment(unit.connection, wish.service, ENVIRONMENT)
    if live is not None:
        _refuse_in_mid_deploy(unit, wish.service, str(live.version), run_state)
    origin, target = _ends(unit.connection, wish, live)
    release = unit.row(select(schema.release).where(schema.release.c.id == origin.release_id))
    if release is None:
        raise RecordMissing(f"the ledger has no release {origin.release_id}")
    train = train_of(str(release.run_id))
    artefact = kept_artefact(unit.connection, train.settings.state_dir, target)
    commit = _commit(unit.connection, origin)
    change = _between(train, artefact.version, commit)
    if not change.code_may_go_back and not wish.database:
        raise RequestError(
            f"version: between {artefact.version} and {origin.version} lies a migration that is "
            f"{change.kind}: {artefact.version} would not work on this schema. Offered are a fix "
            "forward (release a newer version), or "
            "this rollback with its database restore, which two people vote on"
        )
    number = unit.execute(select(func.count()).select_from(table)).scalar_one() + 1
    key = f"RBK-{number:06d}"
    unit.execute(
        insert(table).values(
            id=key,
            run_id=run_id,
            release_id=origin.release_id,
            attempt=origin.attempt,
            service=wish.service,
            from_version=origin.version,
            to_version=artefact.version,
            to_digest=artefact.digest,
            to_path=str(artefact.path),
            reason=wish.reason[:2000],
            database=wish.database,
            requested_by=person.user,
            state="running",
            created_at=unit.now,
            updated_at=unit.now,
        )
    )
    unit.append(
        "rollback.opened",
        Subject(kind="rollback", id=key),
        message=f"{person.name} asks to go back from {origin.version} to {artefact.version}: "
        f"{wish.reason[:500]}",
        release=origin.release_id,
        details={
            "database": wish.database,
            "migrations": [f"{item.name} ({item.kind})" for item in change.migrations],
        },
    )
    return key


def load_rollback(
    train_of: Callable[[str], Train], connection: Connection, run_id: str
) -> Rollback:
    """Return the rollback that a run drives; RecordMissing if there is none."""
    table = schema.rollback
    row = connection.execute(select(table).where(table.c.run_id == run_id)).first()
    if row is None:
        raise RecordMissing(f"the ledger knows no rollback that run {run_id} drives")
    release = connection.execute(
        select(schema.release.c.run_id).where(schema.release.c.id == row.release_id)
    ).one()
    return Rollback(
        id=row.id,
        train=train_of(str(release.run_id)),
        to=Artefact(
            service=row.service,
            version=row.to_version,
            digest=row.to_digest,
            path=Path(row.to_path or "/nowhere"),
        ),
        from_version=row.from_version,
        from_commit=_commit(connection, row),
        reason=row.reason,
        database=row.database,
        requested_by=row.requested_by,
    )


def end_rollback(unit: Unit, rollback: str, state: str) -> None:
    """Say how a rollback ended: `done` or `failed`."""
    table = schema.rollback
    unit.execute(
        update(table)
        .where(table.c.id == rollback, table.c.state == "running")
        .values(state=state, updated_at=unit.now)
    )


def _refuse_in_mid_deploy(
    unit: Unit, service: str, serves: str, run_state: Callable[[str, str], Any]
) -> None:
    """Refuse while a newer version is on its way: what would be gone back from is the one before.

    Who sees a canary fail and asks for a rollback wants the canary ended, which its train does.
    """
    table, releases = schema.deployment, schema.release
    row = unit.row(
        select(table.c.version, table.c.release_id, releases.c.run_id)
        .join(releases, releases.c.id == table.c.release_id)
        .where(
            table.c.service == service,
            table.c.environment == ENVIRONMENT,
            table.c.state.in_(("staging", "staged", "switching")),
            table.c.attempt == releases.c.attempt,
            releases.c.state == "running",
        )
        .order_by(table.c.id.desc())
    )
    if row is None or run_state("release_train", row.run_id) in ENDED_RUNS:
        return
    raise RequestError(
        f"service: {row.release_id} is being deployed right now, so this would go back from "
        f"{serves}, which served before {row.version}. To end the deploy, mark the task of its run "
        f"{row.run_id} that is running as failed: the train then leads people back to {serves}"
    )


def _refuse_second(unit: Unit, service: str, run_state: Callable[[str, str], Any]) -> None:
    table = schema.rollback
    rows = unit.execute(
        select(table).where(table.c.service == service, table.c.state == "running")
    ).all()
    for row in rows:
        if run_state("rollback", row.run_id) not in ENDED_RUNS:
            raise RequestError(f"service: {row.id} is taking {service} back already")
        end_rollback(unit, row.id, "failed")


def _ends(connection: Connection, wish: Wish, live: Row[Any] | None) -> tuple[Row[Any], Row[Any]]:
    """Return the deployments that a rollback leads from and to.

    Commonly from what serves to what served before. A release that failed before its switch, and
    has migrated the database all the same, is gone back from as well: to what serves, on its own
    schema. That takes a restore, so it has to be asked for.
    """
    if live is not None and wish.database and wish.version in (None, live.version):
        turns = list(schema_turns(connection, wish.service, live.version))
        if turns and turns[-1].release is not None:
            left = deployment_of(connection, turns[-1].release, turns[-1].attempt or 0, ENVIRONMENT)
            if left is not None:
                return left, live
    if live is None or live.release_id is None:
        raise RequestError(
            f"service: {wish.service} has had no release through here, so there is no earlier "
            "version to go back to"
        )
    return live, _earlier(connection, wish, live)


def _earlier(connection: Connection, wish: Wish, live: Row[Any]) -> Row[Any]:
    """Return the deployment to go back to: one that has served people."""
    table = schema.deployment
    rows = connection.execute(
        select(table)
        .where(
            table.c.service == wish.service,
            table.c.environment == ENVIRONMENT,
            table.c.live_at.is_not(None),
            table.c.id != live.id,
            table.c.digest != live.digest,
        )
        .order_by(table.c.id.desc())
    ).all()
    bad = set(
        connection.execute(
            select(schema.deployment.c.digest).where(schema.deployment.c.state == "returned")
        ).scalars()
    )
    fit = [row for row in rows if row.digest not in bad]
    if wish.version is None:
        older = [row for row in fit if Version.parse(row.version) < Version.parse(live.version)]
        if not older:
            raise RequestError(f"version: nothing older than {live.version} has served here")
        return older[0]
    chosen = [row for row in fit if row.version == wish.version]
    if not chosen:
        known = ", ".join(dict.fromkeys(row.version for row in fit)) or "none"
        raise RequestError(
            f"version: {wish.version} never served people here and was seen through; known: {known}"
        )
    return chosen[0]


def _commit(connection: Connection, row: Row[Any]) -> str:
    bumped = connection.execute(
        select(schema.step.c.result).where(
            schema.step.c.release_id == row.release_id,
            schema.step.c.attempt == row.attempt,
            schema.step.c.name == "bump_version",
        )
    ).scalar()
    if not bumped:
        raise RecordMissing(f"the ledger has no commit of {row.release_id}")
    return str(bumped["commit"])


def _between(train: Train, version: str, commit: str) -> SchemaChange:
    base = Version.parse(version).tag
    return migrations_between(train.repository, train.plan.service, base, commit)
