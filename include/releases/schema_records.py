"""What the ledger says about the schema of a service: migrations that began and ended, restores.

A beginning is written down before anything is done. Whoever finds one without an end has to take it
for done: nobody knows.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Connection

from include.ledger import schema

# Migrations begin; `details` has environment and, where it could be read, the shape `before`.
MIGRATING = "schema.migrating"
# What the schema is like from here on; `details` has environment and shape.
MIGRATED = "schema.migrated"
RESTORED = "schema.restored"
# The reason of a migration that failed and has left the schema as it was.
UNTOUCHED = "untouched"


def schema_records(connection: Connection, service: str, environment: str) -> list[dict[str, Any]]:
    """Return, oldest first, the records that count for the schema of a service as it is.

    What failed and has changed nothing is left out, with the record of its beginning.
    """
    records, releases = schema.record, schema.release
    bodies = connection.execute(
        select(records.c.body)
        .join(releases, releases.c.id == records.c.release)
        .where(releases.c.service == service, records.c.event.in_((MIGRATING, MIGRATED, RESTORED)))
        .order_by(records.c.seq)
    ).scalars()
    found: list[dict[str, Any]] = []
    for text in bodies:
        body = json.loads(text)
        if (body.get("details") or {}).get("environment") != environment:
            continue
        if (body["event"], body["reason"]) != (MIGRATED, UNTOUCHED):
            found.append(body)
        elif found and (found[-1]["event"], found[-1]["subject"]) == (MIGRATING, body["subject"]):
            # Its own beginning alone: nobody knows how one before it ended.
            found.pop()
    return found
