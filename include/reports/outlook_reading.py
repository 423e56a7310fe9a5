"""What else a report tells: what is coming, what was learnt, what waits, what people wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.engine import Connection

from include.calendar.wall_time import Span
from include.ledger import Ledger
from include.ledger.record import time_text
from include.notices.wording import one_line
from include.reports.change_reading import STATE_EVENTS
from include.reports.words import read_words

# What the ledger says for somebody who said nothing (include/changes/checklist.py).
_NO_WORDS = ("done", "not done")

# Of the slots that were given back later or never, the oldest is the one that was booked then; a
# change that was not scheduled then had none.
_COMING = text("""
    WITH held AS (
        SELECT DISTINCT ON (change_id) change_id, during, window_name FROM slot
        WHERE released_at IS NULL OR released_at >= CAST(:as_of AS timestamptz)
        ORDER BY change_id, id
    )
    SELECT held.change_id, coalesce(content ->> 'title', c.title) AS title,
           coalesce(content ->> 'type', c.type) AS type,
           coalesce(content -> 'affected_systems', to_jsonb(c.systems)) AS systems,
           held.window_name, lower(held.during) AS starts_at, upper(held.during) AS ends_at
    FROM held JOIN change c ON c.id = held.change_id
    CROSS JOIN LATERAL (
        SELECT event FROM record
        WHERE change = held.change_id AND event = ANY(:states) AND time < :known
        ORDER BY time DESC, seq DESC LIMIT 1
    ) last
    LEFT JOIN LATERAL (
        SELECT content FROM revision
        WHERE change_id = held.change_id AND created_at < CAST(:as_of AS timestamptz)
        ORDER BY number DESC LIMIT 1
    ) newest ON true
    WHERE lower(held.during) >= :start AND lower(held.during) < :end
      AND last.event = 'change.scheduled'
    ORDER BY starts_at, held.change_id
""")
_LEARNT = text("""
    SELECT change, body FROM record
    WHERE event = 'checklist.said' AND time >= :start AND time < :end AND time < :as_of
      AND body::jsonb ->> 'reason' = 'review'
    ORDER BY time, seq
""")
_REVIEWED = text("""
    SELECT record.body::jsonb -> 'subject' ->> 'id' AS incident, kept.body AS said
    FROM record
    JOIN kept_text kept ON kept.digest = record.body::jsonb -> 'details' -> 'parts' ->> 'lessons'
    WHERE record.event = 'incident.reviewed' AND record.time >= :start AND record.time < :end
      AND record.time < :as_of AND kept.body IS NOT NULL
    ORDER BY record.time, record.seq
""")
_LOCKED = text("""
    SELECT service, reason, locked_at FROM release_lock
    WHERE locked_at < :as_of AND (unlocked_at IS NULL OR unlocked_at >= :as_of)
    ORDER BY service, locked_at
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Coming:
    """A change that has a slot ahead of it."""

    id: str
    title: str
    type: str
    systems: tuple[str, ...]
    window: str
    slot: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """Everything beside the figures. `words` are what people wrote, by the section's heading."""

    coming: tuple[Coming, ...]
    lessons: tuple[tuple[str, str], ...]
    words: dict[str, tuple[str, str]]
    locks: tuple[tuple[str, str], ...]


def read_outlook(ledger: Ledger, report: str, span: Span, ahead: Span, as_of: datetime) -> Outlook:
    """Return the lessons of `span`, the slots in `ahead`, open locks, and a report's words."""
    bounds = {
        "start": time_text(span.start), "end": time_text(span.end), "as_of": time_text(as_of),
    }  # fmt: skip
    with ledger.read() as connection:
        coming = connection.execute(
            _COMING,
            {
                "start": ahead.start,
                "end": ahead.end,
                "as_of": as_of,
                "known": time_text(as_of),
                "states": STATE_EVENTS,
            },
        )
        return Outlook(
            coming=tuple(
                Coming(
                    id=row.change_id,
                    title=row.title,
                    type=row.type,
                    systems=tuple(row.systems),
                    window=row.window_name,
                    slot=Span(row.starts_at, row.ends_at),
                )
                for row in coming
            ),
            lessons=(*_of_changes(connection, bounds), *_of_incidents(connection, bounds)),
            words=read_words(connection, report),
            locks=tuple(
                (row.service, row.reason) for row in connection.execute(_LOCKED, {"as_of": as_of})
            ),
        )


def _of_changes(connection: Connection, bounds: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for row in connection.execute(_LEARNT, bounds):
        said = _lesson(row.body)
        if said not in _NO_WORDS:
            yield row.change or "", said


def _of_incidents(connection: Connection, bounds: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for row in connection.execute(_REVIEWED, bounds):
        yield row.incident, one_line(row.said)


def _lesson(body: str) -> str:
    # "Review: NAME says go: what was learnt"
    message = str(json.loads(body)["message"])
    return one_line(message.split(": ", 2)[-1])
