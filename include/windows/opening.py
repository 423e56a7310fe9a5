"""The opening that a run of `change_window` attends, and the changes that are due in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.engine import Connection

from include.calendar import Span
from include.calendar.wall_time import local_span_text
from include.errors import RequestError
from include.instants import format_instant, parse_instant
from include.ledger import Subject, schema

# Most pressing first.
PRIORITIES = ("critical", "high", "normal", "low")

# Somebody works on a change in one of these states.
UNDER_WAY = ("implementing", "validating", "rolling_back")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attended:
    """The opening `[start, end)` in UTC; `start` is what it is known by, whoever attends it."""

    span: Span

    @property
    def subject(self) -> Subject:
        """Return the opening as the subject of a record."""
        return Subject(kind="window", id=format_instant(self.span.start))

    def local(self, zone: Any) -> str:
        """Return the opening in words, in a zone."""
        return local_span_text(self.span, zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A scheduled change whose slot falls into the opening."""

    id: str
    title: str
    priority: str
    systems: tuple[str, ...]
    window: str
    slot: Span
    state: str
    content: Mapping[str, Any]

    @property
    def rank(self) -> tuple[int, datetime, str]:
        """Return what orders changes: the most pressing first, then the earliest slot."""
        return PRIORITIES.index(self.priority), self.slot.start, self.id


def attended(interval: Span | None, conf: Mapping[str, Any]) -> Attended | None:
    """Return the opening of a run: what its conf says (`start`, `end`), else its data interval.

    None where neither says anything. Raises RequestError for a conf that makes no sense.
    """
    given = {key: conf.get(key) for key in ("start", "end")}
    if any(given.values()):
        wrong = [key for key, value in given.items() if not isinstance(value, str)]
        if wrong:
            raise RequestError(
                f"{wrong[0]}: give both start and end, as instants like 2026-11-28T07:00:00Z"
            )
        span = Span(parse_instant(str(given["start"])), parse_instant(str(given["end"])))
        if span.start >= span.end:
            raise RequestError("end: is not after start")
        return Attended(span=span)
    return None if interval is None else Attended(span=interval)


def due_changes(connection: Connection, span: Span, *, states: tuple[str, ...]) -> list[Due]:
    """Return the changes in one of `states` whose slot overlaps `span`, by priority.

    Changes of releases are not among them: their trains drive them.
    """
    change, slot, revision = schema.change, schema.slot, schema.revision
    rows = connection.execute(
        select(
            change.c.id,
            change.c.title,
            change.c.systems,
            change.c.state,
            revision.c.content,
            func.min(slot.c.window_name).label("window"),
            func.min(func.lower(slot.c.during)).label("opens"),
            func.max(func.upper(slot.c.during)).label("closes"),
        )
        .join(slot, slot.c.change_id == change.c.id)
        .join(
            revision,
            (revision.c.change_id == change.c.id) & (revision.c.number == change.c.revision),
        )
        .where(
            change.c.state.in_(states),
            change.c.release_id.is_(None),
            slot.c.released_at.is_(None),
            slot.c.during.overlaps(Range(span.start, span.end, bounds="[)")),
        )
        .group_by(change.c.id, revision.c.content)
    )
    found = [
        Due(
            id=row.id,
            title=row.title,
            priority=_priority(row.content),
            systems=tuple(row.systems),
            window=row.window,
            slot=Span(row.opens, row.closes),
            state=row.state,
            content=row.content,
        )
        for row in rows
    ]
    return sorted(found, key=lambda item: item.rank)


def _priority(content: Mapping[str, Any]) -> str:
    given = str(content.get("priority") or "normal").lower()
    return given if given in PRIORITIES else "normal"
