"""Whose release, and whose vote, an act by hand in Airflow has touched.

Airflow knows Dags, runs, tasks and map indexes; an auditor asks for releases, changes and seats.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Connection

from include.ledger import schema
from include.ledger.record import storable

# The mapped task of a train that asks one seat per map index, in the order of the plan's seats.
_VOTES = "cab.approve_cab"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervention:
    """What was touched: `tasks` with the seat where one is a seat's vote, and every release and
    change that they belong to."""

    tasks: tuple[Mapping[str, Any], ...]
    releases: tuple[str, ...]
    changes: tuple[str, ...]

    @property
    def release(self) -> str | None:
        """Return the one release that was touched, None for none or several."""
        return self.releases[0] if len(self.releases) == 1 else None

    @property
    def change(self) -> str | None:
        """Return the one change that was touched, None for none or several."""
        return self.changes[0] if len(self.changes) == 1 else None


def explain(connection: Connection, touched: Iterable[Mapping[str, Any]]) -> Intervention:
    """Return what `touched` (dag_id, run_id, task_id, map_index …) means for releases."""
    items = [dict(item) for item in touched]
    runs = {str(item["run_id"]) for item in items if item.get("run_id")}
    found = {name: row for name in sorted(runs) if (row := _release(connection, name)) is not None}
    tasks = []
    for item in items:
        row = found.get(str(item.get("run_id")))
        seat = _seat(row, item) if row is not None else None
        tasks.append(item if seat is None else {**item, "seat": seat})
    return Intervention(
        tasks=tuple(tasks),
        releases=tuple(row.id for row in found.values()),
        changes=tuple(row.change_id for row in found.values() if row.change_id),
    )


def _release(connection: Connection, run_id: str) -> Any:
    table = schema.release
    return connection.execute(
        select(table.c.id, table.c.change_id, table.c.plan).where(
            table.c.run_id == storable(run_id)
        )
    ).first()


def _seat(row: Any, item: Mapping[str, Any]) -> str | None:
    index = item.get("map_index")
    if item.get("task_id") != _VOTES or not isinstance(index, int) or index < 0:
        return None
    try:
        return str(row.plan["seats"][index]["name"])
    except (LookupError, TypeError):
        # No such seat; or a plan that was tampered with, which others find.
        return None
