"""What a pack is about: a release, a change, or a stretch of time, and the records of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Connection

from include.errors import LedgerError, RequestError
from include.instants import format_instant
from include.ledger import schema
from include.ledger.record import storable, time_text


@dataclass(frozen=True, slots=True, kw_only=True)
class PackRecord:
    """A record with its place in the tree; the content is its body, read. Of one that was `pruned`
    the body is what is left of it, and only the leaf hash is proven."""

    seq: int
    position: int
    leaf_hash: bytes
    pruned: bool
    body: str
    content: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """`kind` is `release`, `change` or `period`; `since` and `until` bound its records."""

    kind: str
    id: str
    releases: tuple[str, ...]
    changes: tuple[str, ...]
    since: datetime
    until: datetime
    records: tuple[PackRecord, ...]


def select_subject(connection: Connection, subject: str) -> Selection:
    """Return everything about a release or a change; RequestError where there is nothing,
    LedgerError where a record cannot be read."""
    wanted = storable(subject)
    release, change = schema.release, schema.change
    known = connection.execute(select(release.c.id).where(release.c.id == wanted)).scalar()
    if known is not None:
        kind, releases = "release", [wanted]
        changes = list(
            connection.execute(
                select(change.c.id).where(change.c.release_id == wanted).order_by(change.c.id)
            ).scalars()
        )
    else:
        row = connection.execute(
            select(change.c.id, change.c.release_id).where(change.c.id == wanted)
        ).first()
        if row is None:
            raise RequestError(
                f"the ledger knows no release or change {wanted[:80]}; "
                "`./hims audit list` shows what it knows"
            )
        kind, changes = "change", [str(row.id)]
        releases = [str(row.release_id)] if row.release_id else []
    record = schema.record
    records = _records(connection, record.c.release.in_(releases) | record.c.change.in_(changes))
    if not records:
        raise RequestError(f"{wanted[:80]}: no record has its place in the tree yet; try again")
    times = sorted(datetime.fromisoformat(item.content["time"]) for item in records)
    return Selection(
        kind=kind,
        id=wanted,
        releases=tuple(releases),
        changes=tuple(changes),
        since=times[0],
        until=times[-1],
        records=records,
    )


def select_period(connection: Connection, since: datetime, until: datetime) -> Selection:
    """Return everything that bears a time in `[since, until)`; RequestError for an empty one,
    LedgerError where a record cannot be read."""
    if since >= until:
        raise RequestError("--from has to be before --to")
    record = schema.record
    records = _records(
        connection, (record.c.time >= time_text(since)) & (record.c.time < time_text(until))
    )
    if not records:
        raise RequestError(
            f"no record bears a time from {format_instant(since)} to {format_instant(until)}"
        )
    return Selection(
        kind="period",
        id=f"{format_instant(since)}/{format_instant(until)}",
        releases=_distinct(records, "release"),
        changes=_distinct(records, "change"),
        since=since,
        until=until,
        records=records,
    )


def _distinct(records: Sequence[PackRecord], name: str) -> tuple[str, ...]:
    return tuple(sorted({str(item.content[name]) for item in records if item.content.get(name)}))


def _records(connection: Connection, condition: Any) -> tuple[PackRecord, ...]:
    record, leaf = schema.record, schema.leaf
    rows = connection.execute(
        select(record.c.seq, leaf.c.position, leaf.c.leaf_hash, record.c.pruned, record.c.body)
        .join(leaf, leaf.c.seq == record.c.seq)
        .where(condition)
        .order_by(leaf.c.position)
    )
    return tuple(
        PackRecord(
            seq=int(row.seq),
            position=int(row.position),
            leaf_hash=bytes(row.leaf_hash),
            pruned=bool(row.pruned),
            body=str(row.body),
            content=_content(int(row.seq), str(row.body)),
        )
        for row in rows
    )


def _content(seq: int, body: str) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(body)
        datetime.fromisoformat(content["time"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise LedgerError(
            f"record {seq} cannot be read as a record; see `./hims audit verify`"
        ) from None
    return content
