"""Reconciling: what production really runs against what the ledger says (plan §5, §9).

Drift locks the next release of the service and opens a change after the fact: somebody has to say
what it was, and a second person to unlock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Connection, Row

from include.backups.shape import differing, read_shape
from include.changes.change import open_change
from include.changes.desk import Desk
from include.deploy.deployment import live_deployment
from include.deploy.reality import Expected, differences, plain, read, read_steadily
from include.deploy.target import Colour
from include.deploy.targets.factory import open_target
from include.errors import BackupError, TargetError
from include.instants import format_instant
from include.ledger import Outcome, Subject, Unit, schema
from include.ledger.record import content_hash
from include.notices import queue
from include.notices.alarm_texts import drift_found
from include.releases.lock import lock
from include.releases.phases.looking import ENVIRONMENT
from include.releases.phases.rollback import WAYS_BACK
from include.releases.plan import read_plan
from include.releases.schema_records import MIGRATING, schema_records
from include.rollbacks.rollback import ENDED_RUNS
from include.services.service import Service
from include.upkeep.upkeep import Upkeep

REASON = "drift"
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """How a service was found: `agrees`, `drift`, `under_way`, `unsteady`, `unknown`, `empty`."""

    service: str
    reason: str
    message: str


def reconcile(
    job: Upkeep, service: Service, *, pause: Callable[[float], None] = time.sleep
) -> Reconciled:
    """Compare production of one service with the ledger and record what was found."""
    with job.ledger.read() as connection:
        busy = _under_way(connection, service.name, job)
        expected = _expected(connection, service)
        left = _left(connection, service)
    if expected is None:
        return _told(job, service, "empty", "the ledger knows nothing that serves")
    if busy is not None:
        return _told(job, service, "under_way", busy)
    try:
        target = open_target(service, ENVIRONMENT, job.settings, vendor=job.vendor)
        # A table that is there for a moment is no more drift than a slot that is starting.
        seen = read_steadily(
            lambda: (read(target), _shape(job, service) if left is not None else None), pause=pause
        )
    except TargetError as error:
        return _told(job, service, "unknown", f"nobody can say what runs: {error}")
    except BackupError as error:
        return _told(job, service, "unknown", f"nobody can say what its schema is: {error}")
    if seen is None:
        return _told(job, service, "unsteady", "readings do not agree; nothing is concluded")
    found, shape = seen
    said = differences(expected, found)
    if left is not None and shape is not None:
        said += _schema_drift(service, left, shape)
    if not said:
        return _told(
            job, service, "agrees", f"{expected.version} serves from {expected.colour}, as written"
        )
    with job.ledger.read() as connection:
        # A switch between the two lies behind the ledger as it was read, and is none.
        now = (
            _under_way(connection, service.name, job),
            _expected(connection, service),
            _left(connection, service),
        )
        if now != (None, expected, left):
            return _told(job, service, "unsteady", "production was changed while it was read")
    return _drift(job, service, said, plain(found))


def _left(connection: Connection, service: Service) -> dict[str, Any] | None:
    """Return the newest record that says what the schema should be; None where there is none.

    Where nobody has written down how the last migration ended, it should be as before.
    """
    said = schema_records(connection, service.name, ENVIRONMENT)
    return next((body for body in reversed(said) if _shape_in(body) is not None), None)


def _shape_in(body: Mapping[str, Any]) -> Mapping[str, str] | None:
    details = body["details"]
    found: Mapping[str, str] | None = details.get("shape", details.get("before"))
    return found


def _shape(job: Upkeep, service: Service) -> dict[str, str] | None:
    database = service.environments[ENVIRONMENT].database
    return read_shape(job.secrets(f"{database}_db")) if database else None


def _schema_drift(service: Service, left: Mapping[str, Any], shape: Mapping[str, str]) -> list[str]:
    """Return, as one sentence, where the database is not what a release has left it as."""
    changed = differing(_shape_in(left) or {}, shape)
    if not changed:
        return []
    more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
    than = (
        "the last migration left"
        if left["event"] != MIGRATING
        else f"before the migration of {left['release']}, which nobody has seen end"
    )
    return [
        f"{service.environments[ENVIRONMENT].database} has another schema than {than}: "
        f"{', '.join(changed[:_SHOWN])}{more}"
    ]


def _drift(job: Upkeep, service: Service, said: list[str], found: dict[str, Any]) -> Reconciled:
    message = f"{service.name} is not what the ledger says: " + "; ".join(said)
    title = f"Drift of {service.title} in {ENVIRONMENT}, found after the fact"
    content = {
        "type": "retroactive",
        "title": title,
        "requester": job.actor.user,
        "affected_systems": list(service.systems),
        "priority": "high",
        "description": message[:2000],
        "retroactive": {"happened_at": format_instant(job.clock()), "found_by": job.actor.user},
        "found": found,
    }
    with job.unit() as unit:
        # The writer behind our backs may still be at it: one change for one state of affairs.
        opened = _open_for(unit, title, content)
        if opened is None:
            opened = open_change(unit, content, release_id=None).id
        queue(
            unit,
            drift_found(
                service=service.name, environment=ENVIRONMENT, said="; ".join(said), change=opened
            ),
        )
        lock(unit, service.name, release=None, reason=f"{REASON}: {message}", by=job.actor.user)
        unit.append(
            "reconcile.drift",
            Subject(kind="service", id=service.name),
            outcome=Outcome.FAILURE,
            reason=REASON,
            message=f"{message}; {opened} is open for it"[:2000],
            change=opened,
            details={"found": found},
        )
    # Its people are asked at once: within a day somebody has to answer for it.
    desk = Desk(
        ledger=job.ledger,
        settings=job.settings,
        actor=job.actor,
        source=job.source,
        clock=job.clock,
    )
    desk.go_on(opened)
    return Reconciled(service=service.name, reason="drift", message=message)


def _open_for(unit: Unit, title: str, content: dict[str, Any]) -> str | None:
    changes, revisions = schema.change, schema.revision
    rows = unit.execute(
        select(changes.c.id, revisions.c.content)
        .join(revisions, revisions.c.change_id == changes.c.id)
        .where(changes.c.title == title, changes.c.state.not_in(("closed", "cancelled")))
    ).all()
    same = content_hash(content["found"])
    for row in rows:
        if content_hash(row.content.get("found")) == same:
            return str(row.id)
    return None


def _told(job: Upkeep, service: Service, reason: str, message: str) -> Reconciled:
    outcome = Outcome.SUCCESS if reason in ("agrees", "under_way", "empty") else Outcome.UNKNOWN
    with job.unit() as unit:
        unit.append(
            f"reconcile.{reason}",
            Subject(kind="service", id=service.name),
            outcome=outcome,
            reason=reason,
            message=f"{service.name}: {message}"[:2000],
        )
    return Reconciled(service=service.name, reason=reason, message=message)


def _under_way(connection: Connection, service: str, job: Upkeep) -> str | None:
    """Return what is being done to production right now, None for nothing.

    A deploy whose slot is over is not being done any more, whatever its run says: what it left
    half-way is drift. Its permit ends earlier, at the point of no return; the way back comes after.
    Nor is a rollback whose run has ended, though nobody has written down that it came to nothing.
    A train that leads people back has moved them before it writes that down.
    """
    table, releases, permits = schema.deployment, schema.release, schema.permit
    slot = schema.slot
    row = connection.execute(
        select(table.c.version)
        .join(releases, releases.c.id == table.c.release_id)
        .join(permits, permits.c.fence == table.c.fence)
        .join(slot, (slot.c.change_id == permits.c.change_id) & slot.c.during.contains(job.clock()))
        .where(
            slot.c.released_at.is_(None),
            table.c.service == service,
            table.c.environment == ENVIRONMENT,
            table.c.state.in_(("staging", "staged", "switching")),
            releases.c.state == "running",
        )
    ).first()
    if row is not None:
        return f"{row.version} is being deployed"
    steps = schema.step
    led = connection.execute(
        select(releases.c.id, releases.c.run_id)
        .join(
            steps,
            (steps.c.release_id == releases.c.id) & (steps.c.attempt == releases.c.attempt),
        )
        .where(
            releases.c.service == service,
            releases.c.state == "running",
            steps.c.name.in_(WAYS_BACK),
            steps.c.state == "started",
        )
    ).all()
    for train in led:
        if job.run_state("release_train", train.run_id) not in ENDED_RUNS:
            return f"{train.id} is being led back"
    back = connection.execute(
        select(schema.rollback.c.id, schema.rollback.c.run_id).where(
            schema.rollback.c.service == service, schema.rollback.c.state == "running"
        )
    ).first()
    if back is None or job.run_state("rollback", back.run_id) in ENDED_RUNS:
        return None
    return f"{back.id} is under way"


def _expected(connection: Connection, service: Service) -> Expected | None:
    live = live_deployment(connection, service.name, ENVIRONMENT)
    if live is None:
        return None
    table = schema.deployment
    standby = connection.execute(
        select(table.c.digest).where(
            table.c.service == service.name,
            table.c.environment == ENVIRONMENT,
            table.c.state == "standby",
        )
    ).scalar()
    return Expected(
        colour=Colour(live.colour),
        version=live.version,
        digest=live.digest,
        settings=_settings(connection, live),
        standby=standby,
    )


def _settings(connection: Connection, live: Row[Any]) -> dict[str, str] | None:
    """Return the settings that the version was released with; None before any release train."""
    if live.release_id is None:
        return None
    plan = connection.execute(
        select(schema.release.c.plan).where(schema.release.c.id == live.release_id)
    ).scalar()
    return dict(read_plan(plan).service.environments[ENVIRONMENT].config) if plan else None
