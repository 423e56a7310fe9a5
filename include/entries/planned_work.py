"""Releases and changes of the ledger as work at a time: to be explained, and shown in feeds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from include.calendar import Span
from include.calendar.command_line import Work
from include.calendar.feed import FeedEntry
from include.errors import LedgerError
from include.fields import Duration, Instant
from include.ledger import schema
from include.ledger.record import storable

_MINUTE = timedelta(minutes=1)


class _Part(BaseModel):
    # A plan is read as it was frozen, whatever else later versions of it hold.
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Slot(_Part):
    start: Instant
    end: Instant


class _Service(_Part):
    systems: tuple[str, ...]


class _Plan(_Part):
    release: str
    title: str
    feature_freeze: Instant
    code_freeze: Instant
    slot: _Slot
    needs: Duration
    service: _Service


def work_of(connection: Connection, name: str) -> Work | None:
    """Return the change or release called `name`, None where the ledger knows neither.

    It starts where its slot is booked, else where it is planned. A release is known under the id
    of its change, which is what extensions and exceptions name.
    """
    release, change = schema.release, schema.change
    wanted = storable(name)
    row = connection.execute(
        select(release.c.plan, release.c.change_id).where(
            (release.c.id == wanted) | (release.c.change_id == wanted)
        )
    ).first()
    if row is not None:
        plan = _Plan.model_validate(row.plan)
        booked = _booked(connection, row.change_id)
        return Work(
            id=row.change_id or plan.release,
            title=plan.title,
            start=booked.start if booked else plan.slot.start,
            needs=plan.needs,
            systems=plan.service.systems,
            release=plan.release,
        )
    found = connection.execute(
        select(change.c.id, change.c.title, change.c.systems, schema.revision.c.content)
        .join(
            schema.revision,
            (schema.revision.c.change_id == change.c.id)
            & (schema.revision.c.number == change.c.revision),
        )
        .where(change.c.id == wanted)
    ).first()
    if found is None:
        return None
    booked = _booked(connection, found.id)
    scope = found.content.get("scope")
    scope = scope if isinstance(scope, dict) else {}
    types = frozenset(map(str, scope.get("commit_types") or ()))
    incident = found.content.get("incident")
    return Work(
        id=found.id,
        title=found.title,
        start=booked.start if booked else None,
        needs=booked.end - booked.start if booked else _MINUTE,
        systems=tuple(found.systems),
        people=frozenset(map(str, found.content.get("implementers") or ())),
        commit_types=None if scope.get("commits") and not types else types,
        incident=str(incident) if incident else None,
    )


def feed_entries(connection: Connection, start: datetime, end: datetime) -> Iterator[FeedEntry]:
    """Yield the releases, their freezes and the changes with a slot that meet `[start, end)`."""
    for entry in (*_releases(connection), *_changes(connection)):
        if entry.span.start < end and start < entry.span.end:
            yield entry


def _releases(connection: Connection) -> Iterator[FeedEntry]:
    table = schema.release
    rows = connection.execute(
        select(table.c.id, table.c.state, table.c.plan, table.c.change_id).order_by(table.c.id)
    )
    for row in rows:
        try:
            plan = _Plan.model_validate(row.plan)
        except ValueError as error:
            raise LedgerError(f"{row.id}: its plan in the ledger cannot be read") from error
        gone = row.state not in {"running", "released"}
        for name, title, span in (
            ("feature-freeze", "feature freeze", Span(plan.feature_freeze, plan.code_freeze)),
            ("code-freeze", "code freeze", Span(plan.code_freeze, plan.slot.start)),
        ):
            if span.start < span.end:
                yield FeedEntry(
                    uid=f"release-{row.id}-{name}",
                    category="FREEZE",
                    title=f"{row.id}: {title}",
                    span=span,
                    cancelled=gone,
                )
        booked = _booked(connection, row.change_id)
        yield FeedEntry(
            uid=f"release-{row.id}",
            category="RELEASE",
            title=plan.title,
            span=booked or Span(plan.slot.start, plan.slot.end),
            description=f"{row.id} is {row.state.replace('_', ' ')}"
            + (f"; its change is {row.change_id}" if row.change_id else ""),
            cancelled=gone,
        )


def _changes(connection: Connection) -> Iterator[FeedEntry]:
    table = schema.change
    rows = connection.execute(
        select(table.c.id, table.c.title, table.c.state, table.c.systems)
        .where(table.c.release_id.is_(None))
        .order_by(table.c.id)
    )
    for row in rows:
        booked = _booked(connection, row.id)
        if booked is not None:
            yield FeedEntry(
                uid=f"change-{row.id}",
                category="CHANGE",
                title=f"{row.id} {row.title}",
                span=booked,
                description=f"{row.state}; {', '.join(row.systems)}",
            )


def _booked(connection: Connection, change_id: str | None) -> Span | None:
    """Return the time that a change has booked, from the first start to the last end."""
    slot = schema.slot
    row = connection.execute(
        select(
            func.min(func.lower(slot.c.during)).label("start"),
            func.max(func.upper(slot.c.during)).label("end"),
        ).where(slot.c.change_id == change_id, slot.c.released_at.is_(None))
    ).one()
    return None if row.start is None else Span(row.start, row.end)
