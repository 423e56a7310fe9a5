"""What else goes on: other changes, release freezes and incidents, as the ledger knows them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.engine import Connection

from include.calendar import Span
from include.calendar.proposal import Booking, OpenIncident, Surroundings
from include.entries.release_freeze import release_freezes
from include.ledger import schema

_NEVER = datetime(2200, 12, 31, tzinfo=UTC)


def surroundings(
    connection: Connection,
    start: datetime,
    end: datetime,
    *,
    dependencies: Mapping[str, frozenset[str]],
) -> Surroundings:
    """Return all that meets `[start, end)`."""
    return Surroundings(
        bookings=tuple(_bookings(connection, start, end)),
        freezes=tuple(
            freeze
            for freeze in release_freezes(connection, start)
            if freeze.span.start < end and start < freeze.span.end
        ),
        incidents=tuple(_incidents(connection, start, end)),
        dependencies=dict(dependencies),
    )


def _bookings(connection: Connection, start: datetime, end: datetime) -> list[Booking]:
    slot, revision, change = schema.slot, schema.revision, schema.change
    rows = connection.execute(
        select(
            slot.c.change_id,
            slot.c.system,
            slot.c.during,
            revision.c.content["implementers"].label("people"),
        )
        .join(change, change.c.id == slot.c.change_id)
        .join(
            revision,
            (revision.c.change_id == change.c.id) & (revision.c.number == change.c.revision),
        )
        .where(
            slot.c.released_at.is_(None),
            slot.c.during.overlaps(Range(start, end, bounds="[)")),
        )
        .order_by(slot.c.change_id, slot.c.during, slot.c.system)
    )
    found: dict[tuple[str, datetime, datetime], tuple[list[str], frozenset[str]]] = {}
    for row in rows:
        # A release names the service that implements it beside people.
        people = frozenset(name for name in map(str, row.people or ()) if ":" not in name)
        key = (row.change_id, row.during.lower, row.during.upper)
        found.setdefault(key, ([], people))[0].append(row.system)
    return [
        Booking(id=change_id, span=Span(lower, upper), systems=tuple(systems), people=people)
        for (change_id, lower, upper), (systems, people) in found.items()
    ]


def _incidents(connection: Connection, start: datetime, end: datetime) -> list[OpenIncident]:
    table = schema.incident
    rows = connection.execute(
        select(table)
        .where(table.c.opened_at < end, table.c.closed_at.is_(None) | (table.c.closed_at > start))
        .order_by(table.c.id)
    )
    return [
        OpenIncident(
            id=row.id,
            severity=row.severity,
            span=Span(row.opened_at, row.closed_at or _NEVER),
            systems=tuple(row.systems),
        )
        for row in rows
    ]
