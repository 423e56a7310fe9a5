"""Which commits the trains of a service made themselves.

The ledger's records say so. A commit's author is what anybody writes there: it proves nothing.
"""

from __future__ import annotations

import json

from sqlalchemy import select

from include.ledger import schema
from include.releases.train import Train


def own_commits(train: Train) -> frozenset[str]:
    """Return the shas of the commits that trains of this service recorded as their own."""
    record, release = schema.record, schema.release
    ours = select(release.c.id).where(release.c.service == train.plan.service.name)
    with train.ledger.read() as connection:
        bodies = connection.execute(
            select(record.c.body).where(
                record.c.event == "release.version_bumped",
                record.c.outcome == "success",
                record.c.release.in_(ours),
            )
        ).scalars()
        said = [json.loads(body).get("details", {}) for body in bodies]
    # Where the version was right already, the candidate is somebody's commit.
    return frozenset(str(details["commit"]) for details in said if details.get("made") is True)
