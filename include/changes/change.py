"""A change in the ledger: its row, its revisions, its slot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, func, insert, select, update
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from include.changes.content import signed_hash
from include.errors import RecordMissing
from include.ledger import Subject, Unit, schema
from include.ledger.number import next_number

# The space of the advisory lock under which changes look for a free slot and book it.
_BOOKING = 7306


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change as the ledger has it now; `content` is its newest revision.

    With `release_id` a release train drives it. `started_at` and `finished_at` bound its
    implementation; `outcome` says how that went.
    """

    id: str
    type: str
    state: str
    title: str
    revision: int
    content_hash: str
    systems: tuple[str, ...]
    requester: str
    release_id: str | None
    content: Mapping[str, Any]
    priority: str | None = "normal"
    team: str | None = None
    incident_id: str | None = None
    model: str | None = None
    risk_level: str | None = None
    planned_start: datetime | None = None
    planned_end: datetime | None = None
    outcome: str | None = None
    held_because: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    closed_at: datetime | None = None
    created_at: datetime | None = None

    @property
    def subject(self) -> Subject:
        """Return the change as the subject of a record."""
        return Subject(
            kind="change", id=self.id, version=str(self.revision), content_hash=self.content_hash
        )


_COLUMNS = tuple(item.name for item in fields(Change) if item.name not in ("content", "systems"))


def driven_by_train(change: Change) -> str:
    """Return the words that say whose business a release's change is, "" for any other."""
    release = change.release_id
    return "" if release is None else f"it is what {release} is about, and its train drives it"


def open_change(unit: Unit, content: Mapping[str, Any], *, release_id: str | None) -> Change:
    """Write a new change in state `draft` with its first revision, and record it."""
    change_id = f"CHG-{next_number(unit, 'change'):06d}"
    unit.execute(
        insert(schema.change).values(
            id=change_id,
            state="draft",
            revision=1,
            release_id=release_id,
            created_at=unit.now,
            updated_at=unit.now,
            **_columns(content),
        )
    )
    _write_revision(unit, change_id, 1, content)
    change = load_change(unit.connection, change_id)
    unit.append(
        "change.opened",
        change.subject,
        message=f"{change.id} opened: {change.title}",
        release=release_id,
        change=change.id,
        difference={"significant": {"from": None, "to": change.content_hash}},
    )
    return change


def revise_change(unit: Unit, change: Change, content: Mapping[str, Any]) -> Change:
    """Write the next revision of a change; the record of it is the caller's."""
    number = change.revision + 1
    _write_revision(unit, change.id, number, content)
    unit.execute(
        update(schema.change)
        .where(schema.change.c.id == change.id)
        .values(revision=number, updated_at=unit.now, **_columns(content))
    )
    return load_change(unit.connection, change.id)


def load_change(connection: Connection, change_id: str, *, lock: bool = False) -> Change:
    """Return a change with its newest revision; RecordMissing if there is none by that id.

    With `lock` nobody else changes it, edits it or votes on it until the transaction ends.
    """
    query = select(schema.change).where(schema.change.c.id == change_id)
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        raise RecordMissing(f"the ledger has no change {change_id[:80]}")
    # Asked for by itself: a join would not see a revision that was written while we waited.
    content = connection.execute(
        select(schema.revision.c.content).where(
            schema.revision.c.change_id == row.id, schema.revision.c.number == row.revision
        )
    ).scalar_one()
    return _from_row(row, content)


def load_changes(connection: Connection, ids: Select[Any]) -> list[Change]:
    """Return the changes whose ids a query selects, the newest first."""
    change, revision = schema.change, schema.revision
    query = (
        select(change, revision.c.content)
        .join(
            revision,
            (revision.c.change_id == change.c.id) & (revision.c.number == change.c.revision),
        )
        .where(change.c.id.in_(ids))
        .order_by(change.c.id.desc())
    )
    return [_from_row(row, row.content) for row in connection.execute(query)]


def _from_row(row: Row[Any], content: Mapping[str, Any]) -> Change:
    return Change(
        systems=tuple(row.systems),
        content=content,
        **{name: getattr(row, name) for name in _COLUMNS},
    )


def _columns(content: Mapping[str, Any]) -> dict[str, Any]:
    slot = content.get("slot") or {}
    return {
        "type": str(content["type"]),
        "title": str(content["title"]),
        "content_hash": signed_hash(content),
        "systems": list(content.get("affected_systems") or ()),
        "requester": str(content["requester"]),
        "priority": str(content.get("priority") or "normal"),
        "team": content.get("team"),
        "incident_id": content.get("incident"),
        "model": (content.get("model") or {}).get("name"),
        "risk_level": (content.get("risk") or {}).get("level"),
        "planned_start": slot.get("earliest"),
        "planned_end": slot.get("latest"),
    }


def _write_revision(unit: Unit, change_id: str, number: int, content: Mapping[str, Any]) -> None:
    unit.execute(
        insert(schema.revision).values(
            change_id=change_id,
            number=number,
            content=dict(content),
            content_hash=signed_hash(content),
            author=unit.actor.user,
            created_at=unit.now,
        )
    )


def book_slot(
    unit: Unit, change: Change, *, start: datetime, end: datetime, window: str
) -> str | None:
    """Book `[start, end)` for every system of the change, in place of what it had booked.

    Returns None when booked, else the change that holds an overlapping slot. The database's
    exclusion constraint decides; a look beforehand only makes the answer readable.
    """
    take_turn_to_book(unit, change.id)
    during = Range(start, end, bounds="[)")
    other = _holder(unit.connection, change.id, change.systems, during)
    if other is not None:
        return other
    unit.execute(
        update(schema.slot)
        .where(schema.slot.c.change_id == change.id, schema.slot.c.released_at.is_(None))
        .values(released_at=unit.now)
    )
    try:
        with unit.connection.begin_nested():
            for system in sorted(set(change.systems)):
                unit.execute(
                    insert(schema.slot).values(
                        change_id=change.id, system=system, during=during, window_name=window
                    )
                )
    except IntegrityError:
        return _holder(unit.connection, change.id, change.systems, during) or "another change"
    return None


def take_turn_to_book(unit: Unit, change_id: str) -> None:
    """Wait until nobody else books, so that what they booked is seen; the turn ends with the unit.

    Without turns two bookings of one system can deadlock: each writes its row and then waits for
    the other's. The change's own row comes first for everybody, since a booked slot refers to it.
    """
    unit.execute(
        select(schema.change.c.id)
        .where(schema.change.c.id == change_id)
        .with_for_update(read=True, key_share=True)
    )
    unit.execute(select(func.pg_advisory_xact_lock(_BOOKING, 0)))


def release_slot(unit: Unit, change_id: str) -> None:
    """Give back whatever the change has booked."""
    unit.execute(
        update(schema.slot)
        .where(schema.slot.c.change_id == change_id, schema.slot.c.released_at.is_(None))
        .values(released_at=unit.now)
    )


def _holder(
    connection: Connection, change_id: str, systems: Iterable[str], during: Range[datetime]
) -> str | None:
    found: str | None = connection.execute(
        select(func.min(schema.slot.c.change_id)).where(
            schema.slot.c.system.in_(list(systems)),
            schema.slot.c.released_at.is_(None),
            schema.slot.c.change_id != change_id,
            schema.slot.c.during.overlaps(during),
        )
    ).scalar()
    return found
