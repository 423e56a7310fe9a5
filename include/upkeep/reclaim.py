"""Reclaiming the slot that stood by, once its declared retention is over (plan §4.3, step 6)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import select

from include.deploy import deployment
from include.deploy.deployment import live_deployment
from include.deploy.target import Colour
from include.deploy.targets.factory import open_target
from include.instants import format_duration
from include.ledger import Subject, schema
from include.permits.permit import newest_fence, permit_in_force
from include.releases.phases.looking import ENVIRONMENT
from include.releases.plan import read_plan
from include.services.service import Service
from include.upkeep.reconcile import Reconciled
from include.upkeep.upkeep import Upkeep


def reclaim(job: Upkeep, service: Service) -> Reconciled:
    """Empty the slot that stands by if its time is over and nothing is under way.

    What serves has to have been released: as long as that is open, the slot may be needed.
    """
    table = schema.deployment
    with job.ledger.read() as connection:
        live = live_deployment(connection, service.name, ENVIRONMENT)
        standing = connection.execute(
            select(table).where(
                table.c.service == service.name,
                table.c.environment == ENVIRONMENT,
                table.c.state == "standby",
            )
        ).first()
        release = connection.execute(
            select(schema.release.c.state, schema.release.c.plan).where(
                schema.release.c.id == (live.release_id if live is not None else None)
            )
        ).first()
    if standing is None or live is None:
        return _kept(service, "nothing stands by")
    if release is not None and release.state != "released":
        return _kept(service, f"{live.version} is not released; {standing.version} is kept")
    retention = _retention(job, release)
    over = (standing.ended_at or standing.staged_at) + retention
    if job.clock() < over:
        return _kept(service, f"{standing.version} is kept until {over:%Y-%m-%d %H:%M}Z")
    slot = Colour(standing.colour)
    target = open_target(service, ENVIRONMENT, job.settings, vendor=job.vendor)
    if target.weights()[slot]:
        return _kept(service, f"{slot} has traffic, which it should not have")
    with job.unit() as unit:
        held = permit_in_force(unit, service.name)
        if held is not None:
            # A newer fence would stop the deploy that is about to take this slot itself.
            message = f"permit {held} is in force; the slot is that deploy's"
            unit.append(
                "slot.kept",
                Subject(kind="service", id=service.name),
                reason="under_way",
                message=f"{slot} with {standing.version} is not reclaimed: {message}",
            )
            return _kept(service, message)
        fence = newest_fence(unit)
        unit.append(
            "slot.reclaiming",
            Subject(kind="service", id=service.name),
            message=f"{slot} with {standing.version} is reclaimed under fence {fence}",
            details={"fence": fence},
        )
    target.retire(slot, fence)
    message = f"{slot} with {standing.version} is reclaimed after {format_duration(retention)}"
    with job.unit() as unit:
        deployment.set_state(unit, standing.id, "retired")
        unit.append(
            "slot.reclaimed",
            Subject(kind="service", id=service.name, version=standing.version),
            message=message,
        )
    return Reconciled(service=service.name, reason="reclaimed", message=message)


def _retention(job: Upkeep, release: Any) -> timedelta:
    if release is not None:
        return read_plan(release.plan).profile.blue_retention
    return job.settings.environment(ENVIRONMENT).blue_retention


def _kept(service: Service, message: str) -> Reconciled:
    return Reconciled(service=service.name, reason="kept", message=message)
