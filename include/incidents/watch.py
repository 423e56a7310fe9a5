"""Tells people when a clock of an incident is at 75 % or has run out; each is said once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import select

from include.incidents.incident import Incident, list_incidents
from include.instants import format_instant
from include.ledger import Actor, Ledger, Outcome, Source, schema
from include.notices.alarm_texts import incident_clock
from include.notices.notice import Notice
from include.notices.outbox import queue

_ACTOR = Actor.service("incident_clocks")


def watch_clocks(ledger: Ledger, zone: str, now: datetime) -> int:
    """Queue what is due at `now` for all open incidents; return how many are new.

    A clock that has run out is told as that alone, and is a record.
    """
    with ledger.read() as connection:
        due = [
            (incident, notice)
            for incident in list_incidents(connection, only_open=True)
            for notice in _due(incident, zone, now)
        ]
        table = schema.notice
        keys = [notice.dedupe_key for _, notice in due]
        query = select(table.c.dedupe_key).where(table.c.dedupe_key.in_(keys))
        known = set(connection.execute(query).scalars())
    new = [pair for pair in due if pair[1].dedupe_key not in known]
    if not new:
        return 0
    with ledger.write(_ACTOR, Source(kind="dag"), now) as unit:
        told = 0
        for incident, notice in new:
            told += queue(unit, notice)
            over = notice.event == "incident.breached"
            unit.append(
                notice.event if over else "incident.warned",
                incident.subject,
                outcome=Outcome.FAILURE if over else Outcome.SUCCESS,
                reason="clock_ran_out" if over else "clock_at_75",
                message=notice.title,
            )
    return told


def _due(incident: Incident, zone: str, now: datetime) -> Iterator[Notice]:
    for clock in incident.clocks:
        state = clock.state(now)
        if clock.stopped is None and state in ("warned", "breached"):
            yield incident_clock(
                incident=incident.id,
                clock=clock.name,
                percent=100 if state == "breached" else 75,
                due=clock.due,
                zone=zone,
                key=format_instant(clock.due),
            )
