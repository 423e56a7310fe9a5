"""Incidents with what caused them, what gates measured, and what was refused.

An incident's cause is never guessed: it is the change named by an `incident.linked` record whose
reason is `caused_by`; `incident.unlinked` takes it back.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection, Row

from include.reports.facts import IncidentFact, MeasureFact
from include.reports.metrics.quality import DEFECTS

# Opened before a period too: they may have been caused by what was done then and ended in it.
_INCIDENTS = text("""
    SELECT id, severity, title, systems, opened_at, closed_at FROM incident
    WHERE opened_at >= :since AND (CAST(:as_of AS timestamptz) IS NULL OR opened_at < :as_of)
    ORDER BY id
""")

# What was graded since: the first of these says what it was until then.
_REGRADED = text("""
    SELECT DISTINCT ON (incident) incident, was FROM (
        SELECT body::jsonb -> 'subject' ->> 'id' AS incident, time, seq,
               body::jsonb -> 'difference' -> 'severity' ->> 'from' AS was
        FROM record WHERE event = 'incident.graded' AND time >= :as_of
    ) graded
    ORDER BY incident, time, seq
""")

_LINKS = text("""
    SELECT DISTINCT ON (incident, change) incident, change, event FROM (
        SELECT body::jsonb -> 'subject' ->> 'id' AS incident, change, event, time, seq
        FROM record
        WHERE event IN ('incident.linked', 'incident.unlinked') AND time < :as_of
          AND change IS NOT NULL AND body::jsonb ->> 'reason' = 'caused_by'
    ) link
    ORDER BY incident, change, time DESC, seq DESC
""")

_MEASURES = text("""
    SELECT gate.release_id, release.service, gate.name AS gate, gate.decided_at, item.value AS item
    FROM gate JOIN release ON release.id = gate.release_id,
         LATERAL jsonb_array_elements(gate.evidence) AS item
    WHERE gate.decided_at >= :start AND gate.decided_at < :end AND item.value ? 'measure'
    ORDER BY gate.decided_at, gate.release_id, gate.attempt, gate.name, item.value ->> 'measure'
""")

_DEFECTS = text("""
    SELECT gate.release_id, release.service, gate.name AS gate, gate.decided_at, item.value AS item
    FROM gate JOIN release ON release.id = gate.release_id,
         LATERAL jsonb_array_elements(gate.evidence) AS item
    WHERE gate.release_id = ANY(:releases) AND gate.decided_at < :end
      AND item.value ->> 'measure' = :measure
    ORDER BY gate.decided_at, gate.release_id, gate.attempt, gate.name
""")

_REFUSED = text("""
    SELECT event, count(*) AS number FROM record
    WHERE event = ANY(:events) AND time >= :start AND time < :end AND time < :as_of
      AND (CAST(:service AS text) IS NULL
           OR release IN (SELECT id FROM release WHERE service = :service)
           OR change = ANY(:changes) OR body::jsonb -> 'subject' ->> 'id' = :service)
    GROUP BY event ORDER BY event
""")
REFUSALS = (
    "permit.refused", "permit.withdrawn", "vote.refused", "change.refused", "release.refused",
    "checkpoint.refused", "service.unlock_refused", "api.refused",
)  # fmt: skip


def read_incidents(
    connection: Connection,
    bounds: dict[str, str],
    since: datetime,
    as_of: datetime | None,
) -> list[IncidentFact]:
    """Return the incidents opened since then and known at `as_of`, each with its causes.

    What a deployment of the period broke may have shown itself after it: there is no end.
    """
    links: dict[str, list[str]] = {}
    for row in connection.execute(_LINKS, {"as_of": bounds["as_of"]}):
        if row.event == "incident.linked":
            links.setdefault(row.incident, []).append(row.change)
    regraded = {
        row.incident: row.was for row in connection.execute(_REGRADED, {"as_of": bounds["as_of"]})
    }
    rows = connection.execute(_INCIDENTS, {"since": since, "as_of": as_of})
    return [
        IncidentFact(
            id=row.id,
            severity=regraded.get(row.id) or row.severity,
            title=row.title,
            systems=tuple(row.systems),
            opened_at=row.opened_at,
            closed_at=(
                row.closed_at
                if row.closed_at is not None and (as_of is None or row.closed_at < as_of)
                else None
            ),
            changes=tuple(sorted(links.get(row.id, ()))),
        )
        for row in rows
    ]


def read_measures(connection: Connection, start: datetime, end: datetime) -> list[MeasureFact]:
    """Return what gates measured in `[start, end)`, oldest first.

    A measurement is evidence with `measure` and `value`; a value that is no number is no
    measurement.
    """
    return _measured(connection.execute(_MEASURES, {"start": start, "end": end}))


def read_defects(
    connection: Connection, releases: Collection[str], end: datetime
) -> list[MeasureFact]:
    """Return how many defects the gates of these releases had found by `end`, oldest first."""
    asked = {"releases": sorted(releases), "end": end, "measure": DEFECTS}
    return _measured(connection.execute(_DEFECTS, asked))


def _measured(rows: Iterable[Row[Any]]) -> list[MeasureFact]:
    found = []
    for row in rows:
        try:
            value = float(row.item["value"])
        except (KeyError, TypeError, ValueError):
            continue
        if not math.isfinite(value):
            continue
        found.append(
            MeasureFact(
                name=str(row.item["measure"]),
                value=value,
                release=row.release_id,
                service=row.service,
                gate=row.gate,
                at=row.decided_at,
                uri=str(row.item.get("uri", "")),
            )
        )
    return found


def read_refusals(
    connection: Connection, bounds: dict[str, str], service: str | None, changes: Collection[str]
) -> dict[str, int]:
    """Return how often what was refused in the period, by event; of a service, what names it, one
    of its releases or one of these changes."""
    about = {"service": service, "changes": sorted(changes)}
    rows = connection.execute(_REFUSED, {"events": list(REFUSALS), **about, **bounds})
    return {row.event: row.number for row in rows}
