"""Reads the facts of a period from the ledger, all in one view of one moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from include.calendar.wall_time import Span
from include.ledger import Ledger
from include.ledger.record import time_text
from include.reports.change_reading import LATEST, read_changes, read_votes, with_incidents
from include.reports.deployment_reading import read_deployments, read_freezes
from include.reports.facts import LEAKED_WITHIN, ChangeFact, Facts
from include.reports.incident_reading import (
    read_defects,
    read_incidents,
    read_measures,
    read_refusals,
)

Openings = Callable[[datetime, datetime], Sequence[Span]]


def read_facts(
    ledger: Ledger,
    start: datetime,
    end: datetime,
    *,
    as_of: datetime | None = None,
    asked_at: datetime | None = None,
    observed: timedelta,
    service: str | None = None,
    systems: Sequence[str] = (),
    openings: Openings | None = None,
) -> Facts:
    """Return what the ledger knew at `as_of` (None: knows now, `asked_at`) about `[start, end)`.

    `observed` is how long after its end a change is charged with what it caused
    (`reports.observed_for`). `service` keeps what concerns one service alone, whose `systems` tell
    which changes without a release do. `openings(start, end)` gives the calendar's slots.
    """
    bounds = {
        "start": time_text(start),
        "end": time_text(end),
        "as_of": LATEST if as_of is None else time_text(as_of),
    }
    seen = end if as_of is None else min(end, as_of)
    with ledger.read() as connection:
        moved = read_changes(connection, bounds)
        # Whatever a change has caused since its work began counts, however long its review took.
        begun = [change.started_at for change in moved if change.started_at is not None]
        since = min([start - LEAKED_WITHIN, *begun])
        incidents = read_incidents(connection, bounds, since, as_of)
        changes = with_incidents(moved, incidents)
        if service is not None:
            changes = [change for change in changes if _concerns(change, service, systems)]
        deployments = [
            item
            for item in read_deployments(connection, start, seen, as_of, incidents)
            if service in (None, item.service)
        ]
        measures = [
            item
            for item in read_measures(connection, start, seen)
            if service in (None, item.service)
        ]
        # A release's gates found them before it was deployed, often before the period began.
        released = {item.release for item in deployments if item.release is not None}
        defects = read_defects(connection, released, seen)
        freezes = [
            item
            for item in read_freezes(connection, bounds, start, end, as_of)
            if service in (None, item.service)
        ]
        votes = read_votes(connection, start, seen, changes)
        kept = {change.id for change in changes}
        refused = read_refusals(connection, bounds, service, kept)
    return Facts(
        start=start,
        end=end,
        as_of=as_of,
        service=service,
        observed=observed,
        asked_at=asked_at,
        changes=changes,
        deployments=deployments,
        incidents=[
            item
            for item in incidents
            if start <= item.opened_at < end
            and (
                service is None
                or kept.intersection(item.changes)
                or set(systems).intersection(item.systems)
            )
        ],
        measures=measures,
        defects=defects,
        freezes=freezes,
        votes=votes,
        openings=() if openings is None else openings(start, end),
        refused=refused,
    )


def _concerns(change: ChangeFact, service: str, systems: Sequence[str]) -> bool:
    if change.service is not None:
        return change.service == service
    return bool(set(systems).intersection(change.systems))
