"""Feature flags that changes have flipped: rows of the ledger, one per service and environment."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert as plain_insert
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from include.configuration.resolved import Flip, Resolved, resolve
from include.errors import LedgerError
from include.ledger import Subject, Unit, schema
from include.settings import Settings


def flips_of(connection: Connection, service: str, environment: str) -> tuple[Flip, ...]:
    """Return the flags that changes have set."""
    table = schema.flag
    rows = connection.execute(
        select(table)
        .where(table.c.service == service, table.c.environment == environment)
        .order_by(table.c.name)
    )
    return tuple(Flip(name=row.name, value=row.value, change=row.change_id) for row in rows)


def flip(
    unit: Unit,
    *,
    service: str,
    environment: str,
    name: str,
    value: Any,
    change: str,
    fence: int,
) -> None:
    """Set a flag for a change under its permit's fence; LedgerError where a newer one was there."""
    table = schema.flag
    values = {"value": value, "change_id": change, "fence": fence, "set_at": unit.now}
    statement = insert(table).values(service=service, environment=environment, name=name, **values)
    done = unit.execute(
        statement.on_conflict_do_update(
            index_elements=["service", "environment", "name"],
            set_=values,
            where=table.c.fence <= fence,
        )
    )
    if not done.rowcount:
        raise LedgerError(f"{name} was set under a newer permit; {change} sets nothing any more")
    unit.append(
        "flag.set",
        Subject(kind="flag", id=f"{service}/{environment}/{name}"),
        reason=change,
        message=f"{name} of {service} in {environment} is {value}",
        change=change,
        details={"value": value, "fence": fence},
    )


def record_configuration(
    unit: Unit,
    settings: Settings,
    service: str,
    environment: str,
    *,
    change: str | None = None,
    release: str | None = None,
) -> Resolved:
    """Write down what a service is configured with now, so that it can be put back exactly."""
    found = resolve(
        settings, service, environment, flips=flips_of(unit.connection, service, environment)
    )
    unit.execute(
        plain_insert(schema.configuration).values(
            service=service,
            environment=environment,
            digest=found.digest,
            content=dict(found.values),
            change_id=change,
            release_id=release,
            recorded_at=unit.now,
        )
    )
    unit.append(
        "configuration.recorded",
        Subject(kind="service", id=service, content_hash=found.digest),
        reason=environment,
        message=f"{service} in {environment} is configured as {found.digest[:19]}…",
        change=change,
        release=release,
    )
    return found
