"""What is coming to each team's systems: releases on their way and changes with a slot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from include.ledger import Ledger, Source, Subject
from include.ledger.schema import change, release, slot
from include.notices.outbox import queue
from include.notices.queue_state import ACTOR
from include.notices.report_texts import Coming, upcoming
from include.notices.routing import Routing, Team
from include.notices.wording import count, moment
from include.releases.plan import read_plan
from include.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What is coming to one team between two instants, soonest first."""

    team: Team
    coming: tuple[Coming, ...]
    start: datetime
    end: datetime

    def document(self) -> dict[str, Any]:
        """Return the digest as JSON shows it."""
        return {
            "team": self.team.name,
            "title": self.team.title,
            "systems": list(self.team.systems),
            "from": self.start,
            "to": self.end,
            "coming": [
                {
                    "id": one.id,
                    "title": one.title,
                    "systems": list(one.systems),
                    "start": one.start,
                    "end": one.end,
                    "state": one.state,
                }
                for one in self.coming
            ],
        }


def digests(ledger: Ledger, routing: Routing, now: datetime, ahead: timedelta) -> list[Digest]:
    """Return a digest for every team of config/notices.yaml, empty ones too."""
    found = upcoming_changes(ledger, now, now + ahead)
    return [
        Digest(
            team=team,
            coming=tuple(one for one in found if set(one.systems) & set(team.systems)),
            start=now,
            end=now + ahead,
        )
        for team in routing.teams
    ]


def upcoming_changes(ledger: Ledger, start: datetime, end: datetime) -> list[Coming]:
    """Return what happens in `[start, end)`, soonest first.

    A release counts from the slot that it is planned for, a change from the slot that it has
    booked; a release's own change is told as the release.
    """
    found: list[Coming] = []
    booked = (
        select(
            change.c.id,
            change.c.title,
            change.c.state,
            change.c.systems,
            func.min(func.lower(slot.c.during)).label("start"),
            func.max(func.upper(slot.c.during)).label("end"),
        )
        .join(slot, slot.c.change_id == change.c.id)
        .where(slot.c.released_at.is_(None), change.c.release_id.is_(None))
        .group_by(change.c.id)
    )
    with ledger.read() as connection:
        plans = connection.execute(select(release.c.plan).where(release.c.state == "running"))
        for raw in plans.scalars():
            plan = read_plan(raw)
            if plan.slot.start < end and plan.slot.end > start:
                found.append(
                    Coming(
                        id=plan.release,
                        title=plan.title,
                        systems=tuple(plan.service.systems),
                        start=plan.slot.start,
                        end=plan.slot.end,
                        state="on its way",
                    )
                )
        for row in connection.execute(booked):
            if row.start < end and row.end > start:
                found.append(
                    Coming(
                        id=row.id,
                        title=row.title,
                        systems=tuple(row.systems),
                        start=row.start,
                        end=row.end,
                        state=row.state,
                    )
                )
    return sorted(found, key=lambda one: (one.start, one.id))


def send_digests(
    ledger: Ledger,
    settings: Settings,
    found: Sequence[Digest],
    *,
    zone: str,
    now: datetime,
    source: Source,
) -> int:
    """Queue a notice for each team that has something coming; return how many are new."""
    with ledger.write(ACTOR, source, now) as unit:
        queued = 0
        for digest in found:
            if not digest.coming:
                continue
            first, last = (
                moment(at, zone).partition(" (")[0].rsplit(" ", 2)[0]
                for at in (digest.start, digest.end)
            )
            queued += queue(
                unit,
                upcoming(
                    team=digest.team.name,
                    title=digest.team.title,
                    systems=digest.team.systems,
                    coming=digest.coming,
                    period=f"{first} to {last}",
                    zone=zone,
                    people=digest.team.people,
                    resources=digest.team.resources,
                    link=f"{settings.ui_url}/dags",
                ),
            )
        unit.append(
            "notice.digest",
            Subject(kind="outbox", id="notices"),
            message=f"{count(queued, 'digest')} of what is coming to teams' systems",
        )
    return queued
