"""Deployments in the ledger: which version is in which slot of which environment."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.engine import Connection, Row

from include.deploy.target import Artefact, Colour
from include.ledger import Unit, schema

_table = schema.deployment


def live_deployment(connection: Connection, service: str, environment: str) -> Row[Any] | None:
    """Return the deployment that serves people, None before the first one."""
    return connection.execute(
        select(_table).where(
            _table.c.service == service,
            _table.c.environment == environment,
            _table.c.state == "live",
        )
    ).first()


def deployment_of(
    connection: Connection, release: str, attempt: int, environment: str
) -> Row[Any] | None:
    """Return the newest deployment of one attempt of a release in an environment."""
    return connection.execute(
        select(_table)
        .where(
            _table.c.release_id == release,
            _table.c.attempt == attempt,
            _table.c.environment == environment,
        )
        .order_by(_table.c.id.desc())
    ).first()


def open_deployment(
    unit: Unit,
    artefact: Artefact,
    environment: str,
    colour: Colour,
    *,
    fence: int,
    release: str | None,
    attempt: int | None,
    state: str = "staging",
) -> int:
    """Write a deployment that begins now and return its id; ids of an environment only grow."""
    retire_slot(unit, artefact.service, environment, colour)
    key = unit.execute(
        insert(_table)
        .values(
            service=artefact.service,
            environment=environment,
            version=artefact.version,
            digest=artefact.digest,
            colour=str(colour),
            state=state,
            release_id=release,
            attempt=attempt,
            fence=fence,
            staged_at=unit.now,
            live_at=unit.now if state == "live" else None,
        )
        .returning(_table.c.id)
    ).scalar_one()
    return int(key)


def retire_slot(unit: Unit, service: str, environment: str, colour: Colour) -> None:
    """Say of whatever else was staged or on standby in this slot that it is there no more."""
    unit.execute(
        update(_table)
        .where(
            _table.c.service == service,
            _table.c.environment == environment,
            _table.c.colour == str(colour),
            _table.c.state.in_(("staging", "staged", "standby")),
        )
        .values(state="retired", ended_at=unit.now)
    )


def set_state(unit: Unit, deployment: int, state: str, **columns: Any) -> None:
    """Bring one deployment into a state."""
    unit.execute(update(_table).where(_table.c.id == deployment).values(state=state, **columns))


def make_live(unit: Unit, deployment: int) -> None:
    """Say that `deployment` serves people now, and what did until now stands by."""
    row = unit.execute(select(_table).where(_table.c.id == deployment)).one()
    unit.execute(
        update(_table)
        .where(
            _table.c.service == row.service,
            _table.c.environment == row.environment,
            _table.c.state == "live",
            _table.c.id != deployment,
        )
        .values(state="standby", ended_at=unit.now)
    )
    set_state(unit, deployment, "live", live_at=unit.now)
