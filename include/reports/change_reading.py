"""Changes as facts: their transitions from the records, the rest from what never changes again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from include.calendar.wall_time import Span
from include.reports.facts import ChangeFact, IncidentFact, Stay, VoteWait
from include.reports.incident_reading import REFUSALS

_STATES = (
    "opened", "assessing", "authorizing", "scheduled", "implementing", "validating", "rolling_back",
    "review", "closed", "cancelled", "rejected",
)  # fmt: skip
STATE_EVENTS = [f"change.{state}" for state in _STATES]
_EVENTS = [*STATE_EVENTS, "permit.issued"]
# What makes a change one of the period's: it moved, or somebody voted on it or was refused.
_TOUCHES = [*_EVENTS, "vote.cast", *REFUSALS]
_ENDS = ("closed", "cancelled", "rejected")
# Between these production is worked on, whether or not anything is written down meanwhile.
_BEGINS = ["change.implementing", "permit.issued"]
_OVER = [f"change.{state}" for state in ("review", *_ENDS)]

# Later than any record: asks for everything that the ledger knows.
LATEST = "9999"

# Indexed searches find the period's changes; everything else is asked about these alone.
_WAYS = text("""
    WITH touched AS MATERIALIZED (
        SELECT change AS id FROM record
        WHERE event = ANY(:touches) AND time >= :start AND time < :end AND time < :as_of
          AND change IS NOT NULL
        UNION
        -- Work that began before the period and was not over then.
        SELECT change FROM record
        WHERE event = ANY(:turns) AND time < :start AND time < :as_of AND change IS NOT NULL
        GROUP BY change
        HAVING max(time) FILTER (WHERE event = ANY(:begins))
            >= coalesce(max(time) FILTER (WHERE event = ANY(:over)), '')
        UNION
        SELECT p.change_id FROM deployment d JOIN permit p USING (release_id, attempt)
        WHERE d.environment = 'production' AND d.switch_began_at >= CAST(:start AS timestamptz)
          AND d.switch_began_at < CAST(:end AS timestamptz)
        UNION
        -- What broke in the period tells by its causes which service it is about.
        SELECT r.change FROM record r JOIN incident i ON i.id = r.body::jsonb -> 'subject' ->> 'id'
        WHERE r.event = 'incident.linked' AND r.time < :as_of AND r.change IS NOT NULL
          AND r.body::jsonb ->> 'reason' = 'caused_by'
          AND i.opened_at >= CAST(:start AS timestamptz)
          AND i.opened_at < CAST(:end AS timestamptz)
    ), way AS MATERIALIZED (
        SELECT r.change AS id, array_agg(r.event ORDER BY r.time, r.seq) AS events,
               array_agg(r.time ORDER BY r.time, r.seq) AS times
        FROM record r JOIN touched ON touched.id = r.change
        WHERE r.event = ANY(:events) AND r.time < :as_of
        GROUP BY r.change
    ), back AS (
        -- What was never live was led back while it had a part of the traffic.
        SELECT p.change_id AS id, min(d.ended_at) AS returned_at,
               bool_and(d.live_at IS NULL) AS canary
        FROM deployment d JOIN permit p USING (release_id, attempt)
        WHERE d.state = 'returned' AND d.environment = 'production'
        GROUP BY p.change_id
    ), booked AS (
        SELECT s.*, (CAST(:known AS timestamptz) IS NOT NULL
                     AND coalesce(s.released_at >= CAST(:known AS timestamptz), true)) AS held
        FROM slot s JOIN touched ON touched.id = s.change_id
    ), place AS (
        -- Of those that were given back after as_of the oldest was held then; else the last one.
        SELECT DISTINCT ON (change_id) change_id AS id, lower(during) AS starts_at,
               upper(during) AS ends_at, window_name
        FROM booked
        ORDER BY change_id, held DESC, CASE WHEN held THEN id ELSE -id END
    ), worded AS (
        -- What was revised since reads as it did then.
        SELECT DISTINCT ON (r.change_id) r.change_id AS id, r.content
        FROM revision r JOIN touched ON touched.id = r.change_id
        WHERE r.created_at < CAST(:known AS timestamptz)
          AND EXISTS (SELECT FROM revision later WHERE later.change_id = r.change_id
                      AND later.created_at >= CAST(:known AS timestamptz))
        ORDER BY r.change_id, r.number DESC
    )
    SELECT c.id, coalesce(worded.content ->> 'type', c.type) AS type,
           coalesce(worded.content ->> 'title', c.title) AS title, c.systems,
           worded.content -> 'affected_systems' AS systems_then,
           c.requester, c.release_id, release.service,
           way.events, way.times, c.outcome, back.returned_at, back.canary,
           place.starts_at, place.ends_at, place.window_name
    FROM way
    JOIN change c ON c.id = way.id
    LEFT JOIN release ON release.id = c.release_id
    LEFT JOIN back ON back.id = way.id
    LEFT JOIN place ON place.id = way.id
    LEFT JOIN worded ON worded.id = way.id
    ORDER BY c.id
""")

_VOTES = text("""
    SELECT change_id, seat, cast_at FROM vote
    WHERE change_id = ANY(:ids) AND cast_at >= :start AND cast_at < :end ORDER BY change_id, id
""")


def read_changes(connection: Connection, bounds: dict[str, str]) -> list[ChangeFact]:
    """Return every change that `[start, end)` is about, with its whole way as known at as_of; what
    they caused is left to `with_incidents`.

    These moved in it, were voted on or refused, were worked on all through it, or are what was
    deployed in it or caused an incident in it.

    `bounds` are the texts of `start`, `end` and `as_of` as records write instants.
    """
    known = None if bounds["as_of"] == LATEST else bounds["as_of"]
    asked = {
        "events": _EVENTS,
        "touches": _TOUCHES,
        "begins": _BEGINS,
        "over": _OVER,
        "turns": [*_BEGINS, *_OVER],
        "known": known,
        **bounds,
    }
    return [_fact(row, bounds["as_of"]) for row in connection.execute(_WAYS, asked)]


def with_incidents(
    changes: Sequence[ChangeFact], incidents: Sequence[IncidentFact]
) -> list[ChangeFact]:
    """Return the changes, each with those of the incidents that it caused."""
    caused: dict[str, list[IncidentFact]] = defaultdict(list)
    for incident in incidents:
        for change in incident.changes:
            caused[change].append(incident)
    return [
        replace(change, incidents=tuple(caused[change.id])) if change.id in caused else change
        for change in changes
    ]


def read_votes(
    connection: Connection, start: datetime, end: datetime, changes: Sequence[ChangeFact]
) -> list[VoteWait]:
    """Return how long each seat took for each vote that was cast in `[start, end)`.

    Counted from the last time that the change came before the board; a vote without one (it was
    cast for something that never did) is left out.
    """
    stays = {
        change.id: [stay.start for stay in change.stays if stay.state == "authorizing"]
        for change in changes
    }
    rows = connection.execute(_VOTES, {"ids": sorted(stays), "start": start, "end": end})
    waits = []
    for row in rows:
        asked = [instant for instant in stays[row.change_id] if instant <= row.cast_at]
        if asked:
            waits.append(
                VoteWait(
                    change=row.change_id,
                    seat=row.seat,
                    at=row.cast_at,
                    waited=row.cast_at - asked[-1],
                )
            )
    return waits


def _fact(row: Any, as_of: str) -> ChangeFact:
    # A record's time is its text in UTC with milliseconds, which sorts as instants do.
    way = [
        (event.partition(".")[2], datetime.fromisoformat(time))
        for event, time in zip(row.events, row.times, strict=True)
    ]
    states = [(state, at) for state, at in way if state != "issued"]
    stays = tuple(
        Stay(state=state, start=at, end=states[index + 1][1] if index + 1 < len(states) else None)
        for index, (state, at) in enumerate(states)
    )
    returned = row.returned_at
    if returned is not None and as_of != LATEST and returned >= datetime.fromisoformat(as_of):
        returned = None
    backwards = [at for state, at in states if state == "rolling_back"]
    started = min((at for state, at in way if state in ("implementing", "issued")), default=None)
    ended = next(((state, at) for state, at in reversed(states) if state in _ENDS), None)
    if states and states[-1][0] not in _ENDS:
        # Rejected once and taken up again: it is under way.
        ended = None
    slot = None
    if row.starts_at is not None:
        slot = Span(row.starts_at, row.ends_at)
    return ChangeFact(
        id=row.id,
        type=row.type,
        title=row.title,
        service=row.service,
        systems=tuple(row.systems if row.systems_then is None else row.systems_then),
        requester=row.requester,
        release=row.release_id,
        opened_at=next((at for state, at in states if state == "opened"), None),
        started_at=started,
        finished_at=_finished(states, started, backwards, returned),
        ended_at=ended[1] if ended else None,
        ended=ended[0] if ended else None,
        # A review's word is part of the closing; before that it is not known.
        outcome=row.outcome if ended and ended[0] == "closed" else None,
        rolled_back=bool(backwards) or returned is not None,
        slot=slot,
        window=row.window_name,
        canary=returned is not None and row.canary,
        stays=stays,
    )


def _finished(
    states: Sequence[tuple[str, datetime]],
    started: datetime | None,
    backwards: Sequence[datetime],
    returned: datetime | None,
) -> datetime | None:
    """Return when the implementation was over: in validation for good, or back again.

    What is led back by hand long after it was done was done all the same when it was.
    """
    if started is None:
        return None
    after = backwards[-1] if backwards else started
    over = ("review", *_ENDS) if backwards else ("validating", "review", *_ENDS)
    done = next((at for state, at in states if state in over and at >= after), None)
    return min((at for at in (done, returned) if at is not None), default=None)
