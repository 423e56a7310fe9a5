"""Which rows a permit rests on, and whether their records vouch for them.

A row that was written, changed or removed behind its record's back is no reason to deploy, and a
row that somebody has removed may have been a reason not to.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Table, select, text
from sqlalchemy.engine import Connection
from sqlalchemy.sql import ColumnElement

from include.ledger import schema
from include.ledger.rows import keys_where, strangers

_OWN = tuple(
    table.name
    for table in (
        schema.release,
        schema.step,
        schema.gate,
        schema.change,
        schema.revision,
        schema.ballot,
        schema.vote,
        schema.slot,
        schema.backup,
        schema.permit,
    )
)
_RECORDED = text(
    "SELECT key FROM record, jsonb_object_keys((body::jsonb) -> 'rows') AS key"
    " WHERE record.release = :release AND split_part(key, ' ', 1) = ANY(:own)"
    " UNION SELECT key FROM record, jsonb_object_keys((body::jsonb) -> 'rows') AS key"
    " WHERE record.release IN (SELECT id FROM release WHERE service = :service)"
    " AND key LIKE 'release_lock %'"
)


def unvouched(connection: Connection, release: str, service: str) -> list[str]:
    """Return the keys of rows of this release, or of its service, that no record vouches for."""
    return strangers(
        connection,
        {*_present(connection, release, service), *_recorded(connection, release, service)},
    )


def _present(connection: Connection, release: str, service: str) -> Iterator[str]:
    changes = select(schema.change.c.id).where(schema.change.c.release_id == release)
    rows: tuple[tuple[Table, ColumnElement[bool]], ...] = (
        (schema.release, schema.release.c.id == release),
        (schema.step, schema.step.c.release_id == release),
        (schema.gate, schema.gate.c.release_id == release),
        (schema.change, schema.change.c.release_id == release),
        (schema.revision, schema.revision.c.change_id.in_(changes)),
        (schema.ballot, schema.ballot.c.change_id.in_(changes)),
        (schema.vote, schema.vote.c.change_id.in_(changes)),
        (schema.slot, schema.slot.c.change_id.in_(changes)),
        (schema.backup, schema.backup.c.release_id == release),
        (schema.permit, schema.permit.c.release_id == release),
        (schema.release_lock, schema.release_lock.c.service == service),
        (
            schema.deployment,
            (schema.deployment.c.service == service) & (schema.deployment.c.state == "live"),
        ),
    )
    for table, condition in rows:
        yield from keys_where(connection, table, condition)


def _recorded(connection: Connection, release: str, service: str) -> Iterator[str]:
    """Yield what records speak of: this release's rows, and its service's locks."""
    found = connection.execute(
        _RECORDED, {"release": release, "service": service, "own": list(_OWN)}
    )
    yield from found.scalars()
