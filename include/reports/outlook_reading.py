"""What else a report tells: what is coming, what was learnt, what waits, what people wrote."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.engine import Connection

from include.calendar.wall_time import Span
from include.ledger import Ledger
from include.ledger.record import time_text

WORDED = "report.worded"

_COMING = text("""
    SELECT s.change_id, c.title, c.type, c.systems, c.state, s.window_name,
           min(lower(s.during)) AS starts_at, max(upper(s.during)) AS ends_at
    FROM slot s JOIN change c ON c.id = s.change_id
    WHERE lower(s.during) >= :start AND lower(s.during) < :end
      AND (s.released_at IS NULL OR s.released_at >= :as_of) AND c.created_at < :as_of
    GROUP BY s.change_id, c.title, c.type, c.systems, c.state, s.window_name
    ORDER BY starts_at, s.change_id
""")
_LEARNT = text("""
    SELECT change, body FROM record
    WHERE event = 'checklist.said' AND time >= :start AND time < :end AND time < :as_of
      AND body::jsonb ->> 'reason' = 'review'
    ORDER BY time, seq
""")
_WORDED = text("""
    SELECT body FROM record
    WHERE event = 'report.worded' AND body::jsonb -> 'subject' ->> 'id' = :report
    ORDER BY seq
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
            _COMING, {"start": ahead.start, "end": ahead.end, "as_of": as_of}
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
            lessons=tuple(
                (row.change or "", _lesson(row.body)) for row in connection.execute(_LEARNT, bounds)
            ),
            words=_words(connection, report),
            locks=tuple(
                (row.service, row.reason) for row in connection.execute(_LOCKED, {"as_of": as_of})
            ),
        )


def _words(connection: Connection, report: str) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for row in connection.execute(_WORDED, {"report": report}):
        body = json.loads(row.body)
        for heading, said in body.get("details", {}).get("words", {}).items():
            if str(said).strip():
                found[heading] = (str(said).strip(), str(body["actor"]["name"]))
    return found


def _lesson(body: str) -> str:
    # "Review: NAME says go: what was learnt"
    message = str(json.loads(body)["message"])
    return message.split(": ", 2)[-1]
