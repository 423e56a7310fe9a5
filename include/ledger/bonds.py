"""Which changes are for which release, for what holds and retention reach."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.engine import Connection

from include.ledger import schema


class Bonds:
    """What is said of a release concerns its changes, and the other way round, though few records
    name both. The database's function `held` says the same of holds."""

    def __init__(self, connection: Connection) -> None:
        release, change = schema.release.c, schema.change.c
        pairs = [
            *connection.execute(select(change.release_id, change.id)),
            *connection.execute(select(release.id, release.change_id)),
        ]
        self._changes: dict[str, set[str]] = {}
        self._releases: dict[str, set[str]] = {}
        for one, other in pairs:
            if one is not None and other is not None:
                self._changes.setdefault(one, set()).add(other)
                self._releases.setdefault(other, set()).add(one)

    def releases(self, release: str | None, change: str | None) -> set[str]:
        """Return the releases that a record of `release` and `change` concerns."""
        return {release or "", *self._releases.get(change or "", ())} - {""}

    def changes(self, release: str | None, change: str | None) -> set[str]:
        """Return the changes that a record of `release` and `change` concerns."""
        return {change or "", *self._changes.get(release or "", ())} - {""}
