"""Deployments to production as facts, and the freezes that releases brought."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.engine import Connection

from include.calendar.wall_time import Span
from include.reports.facts import DeploymentFact, FreezeFact, IncidentFact

# The switch's beginning is the one instant of a deployment that is never written again.
_DEPLOYMENTS = text("""
    SELECT d.id, d.service, d.version, d.release_id, d.attempt, d.switch_began_at, d.state,
           d.ended_at, release.type,
           (SELECT min(p.change_id) FROM permit p
            WHERE p.release_id = d.release_id AND p.attempt = d.attempt) AS change
    FROM deployment d LEFT JOIN release ON release.id = d.release_id
    WHERE d.environment = 'production' AND d.release_id IS NOT NULL
      AND d.switch_began_at >= :start AND d.switch_began_at < :end
    ORDER BY d.id
""")

_COMMITS = text("""
    SELECT release, body::jsonb -> 'subject' ->> 'version' AS attempt,
           body::jsonb -> 'details' -> 'committed' AS committed
    FROM record
    WHERE event = 'release.commits_checked' AND release = ANY(:releases) AND outcome = 'success'
    ORDER BY seq
""")

_PLANNED = text("""
    SELECT release, time, body::jsonb -> 'details' AS details, body::jsonb -> 'subject' AS subject,
           (SELECT min(later.time) FROM record later
            WHERE later.release = record.release AND later.seq > record.seq
              AND later.time < :as_of
              AND later.event IN ('release.planned', 'release.released', 'release.rejected',
                                  'release.rolled_back', 'release.failed')) AS over
    FROM record WHERE event = 'release.planned' AND time < :as_of AND time < :end
      AND body::jsonb -> 'details' ->> 'feature_freeze' < :end
      AND body::jsonb -> 'details' -> 'slot' ->> 'end' > :start
    ORDER BY seq
""")

_SERVICES = text("SELECT id, service FROM release WHERE id = ANY(:releases)")


def read_deployments(
    connection: Connection,
    start: datetime,
    end: datetime,
    as_of: datetime | None,
    incidents: Sequence[IncidentFact],
) -> list[DeploymentFact]:
    """Return every switch of production traffic that began in `[start, end)`, oldest first."""
    rows = connection.execute(_DEPLOYMENTS, {"start": start, "end": end}).all()
    caused: dict[str, list[IncidentFact]] = defaultdict(list)
    for incident in incidents:
        for change in incident.changes:
            caused[change].append(incident)
    commits = {
        (row.release, row.attempt): tuple(
            sorted(datetime.fromisoformat(text) for text in row.committed or ())
        )
        for row in connection.execute(
            _COMMITS, {"releases": sorted({row.release_id for row in rows})}
        )
    }
    return [
        DeploymentFact(
            id=row.id,
            service=row.service,
            version=row.version,
            release=row.release_id,
            type=row.type,
            change=row.change,
            at=row.switch_began_at,
            returned_at=(
                row.ended_at
                if row.state == "returned" and (as_of is None or row.ended_at < as_of)
                else None
            ),
            commits=commits.get((row.release_id, str(row.attempt)), ()),
            incidents=tuple(caused.get(row.change or "", ())),
        )
        for row in rows
    ]


def read_freezes(
    connection: Connection,
    bounds: dict[str, str],
    start: datetime,
    end: datetime,
    as_of: datetime | None,
) -> list[FreezeFact]:
    """Return the release freezes that reach into `[start, end)`.

    A freeze lasts from its instant, or from the planning of a release that was planned after it,
    until its slot ends or its train does, whichever comes first, and no longer than the ledger
    knows.
    """
    rows = connection.execute(_PLANNED, bounds).all()
    releases = sorted({row.release for row in rows})
    services = {
        row.id: row.service for row in connection.execute(_SERVICES, {"releases": releases})
    }
    found = []
    for row in rows:
        details = row.details
        planned = datetime.fromisoformat(row.time)
        over = datetime.fromisoformat(details["slot"]["end"])
        if row.over is not None:
            over = min(over, datetime.fromisoformat(row.over))
        for phase in ("feature", "code"):
            begins = datetime.fromisoformat(details[f"{phase}_freeze"])
            span = Span(max(begins, planned, start), min(over, end, as_of or end))
            if span.start < span.end:
                found.append(
                    FreezeFact(
                        release=row.release,
                        service=services[row.release],
                        phase=phase,
                        span=span,
                    )
                )
    return found
