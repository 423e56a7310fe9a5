"""The freezes of releases under way: derived from their frozen plans, never typed.

They stop commits, not changes in production: from the feature freeze on what the policy calls
frozen, from the code freeze on everything (plan §4.2).
"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.engine import Connection

from include.calendar import Span
from include.calendar.proposal import ReleaseFreeze
from include.calendar.train_dates import TrainSpan
from include.fields import Instant
from include.ledger import schema


class _Part(BaseModel):
    # A plan is read as it was frozen, whatever else later versions of it hold.
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Slot(_Part):
    end: Instant
    latest: Instant


class _Service(_Part):
    systems: tuple[str, ...]


class _Commits(_Part):
    frozen_types: tuple[str, ...]


class _Rules(_Part):
    commits: _Commits


class _Plan(_Part):
    release: str
    feature_freeze: Instant
    code_freeze: Instant
    slot: _Slot
    service: _Service
    rules: _Rules


def release_freezes(connection: Connection, now: datetime) -> list[ReleaseFreeze]:
    """Return both freezes of every release under way, in order of their starts.

    A code freeze ends with the planned slot, and for a release that missed it with its approval.
    """
    found = []
    for plan in _plans(connection):
        ends = plan.slot.end if now < plan.slot.end else max(plan.slot.end, plan.slot.latest)
        types = frozenset(plan.rules.commits.frozen_types)
        phases = (
            (Span(plan.feature_freeze, plan.code_freeze), types),
            (Span(plan.code_freeze, ends), None),
        )
        found += [
            ReleaseFreeze(
                release=plan.release, span=span, systems=plan.service.systems, refused=refused
            )
            for span, refused in phases
            if span.start < span.end
        ]
    return sorted(found, key=lambda item: (item.span, item.release))


def trains_under_way(connection: Connection) -> list[TrainSpan]:
    """Return every train under way, from its feature freeze to the end of its slot."""
    return [
        TrainSpan(
            release=plan.release,
            span=Span(plan.feature_freeze, plan.slot.end),
            systems=plan.service.systems,
        )
        for plan in _plans(connection)
    ]


def _plans(connection: Connection) -> list[_Plan]:
    table = schema.release
    rows = connection.execute(
        select(table.c.plan).where(table.c.state == "running").order_by(table.c.id)
    )
    return [_Plan.model_validate(row.plan) for row in rows]
