"""When production's schema became one that a version does not know, and when it was known again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.engine import Connection

from include.instants import parse_instant
from include.ledger import schema
from include.releases.phases.looking import ENVIRONMENT
from include.releases.schema_records import RESTORED, schema_records
from include.releases.versions import Version
from include.services.migration_kind import expands


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn; `release` and `attempt` are whose migration it was, None where a restore."""

    at: datetime
    release: str | None = None
    attempt: int | None = None


def schema_turns(connection: Connection, service: str, version: str) -> Iterator[Turn]:
    """Yield, oldest first, what changed whether `version` works on the schema of its service.

    Migrations that only expand change nothing about it; one that failed may have been done in part,
    and one of which nobody has written down how it ended may have been done.
    """
    releases, steps = schema.release, schema.step
    versions = {
        row.id: row.version
        for row in connection.execute(
            select(releases.c.id, releases.c.version).where(releases.c.service == service)
        )
    }
    checked = {
        (row.release_id, row.attempt): row.result
        for row in connection.execute(
            select(steps.c.release_id, steps.c.attempt, steps.c.result)
            .join(releases, releases.c.id == steps.c.release_id)
            .where(releases.c.service == service, steps.c.name == "check_commits")
        )
    }
    known = Version.parse(version)
    for body in schema_records(connection, service, ENVIRONMENT):
        at = parse_instant(body["time"])
        if body["event"] == RESTORED:
            yield Turn(at=at)
            continue
        release, attempt = str(body["subject"]["id"]), int(body["subject"]["version"])
        brought = (checked.get((release, attempt)) or {}).get("migrations") or ()
        known_still = all(expands(item) for item in brought)
        if not known_still and Version.parse(versions[release]) > known:
            yield Turn(at=at, release=release, attempt=attempt)
