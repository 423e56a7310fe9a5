"""One incident as the ledger tells it: the row says what is open, the records say the rest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import cast, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Connection, Row

from include.errors import RecordMissing
from include.incidents.clock import Clock
from include.instants import format_duration, format_instant, parse_instant
from include.ledger import Subject, schema
from include.ledger.record import storable


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """`response` and `resolution` are its clocks, None where it has none.

    `changes` are those that caused it, `follow_ups` those that its review asked for. `review` holds
    the five parts as digests of kept texts, once it was reviewed; `told` those that were told so
    far, each with who told it.
    """

    id: str
    severity: str
    title: str
    systems: tuple[str, ...]
    opened_at: datetime
    closed_at: datetime | None
    opened_by: str = ""
    responder: str | None = None
    response: Clock | None = None
    resolution: Clock | None = None
    changes: tuple[str, ...] = ()
    follow_ups: tuple[str, ...] = ()
    review: dict[str, str] = field(default_factory=dict)
    told: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def subject(self) -> Subject:
        """Return the incident as the subject of a record."""
        return Subject(kind="incident", id=self.id)

    @property
    def state(self) -> str:
        """Return `open`, `responded`, `resolved` or `reviewed`."""
        if self.closed_at is None:
            return "open" if self.responder is None else "responded"
        return "reviewed" if self.review else "resolved"

    @property
    def clocks(self) -> tuple[Clock, ...]:
        """Return the clocks that it has."""
        return tuple(clock for clock in (self.response, self.resolution) if clock is not None)

    def document(self, now: datetime) -> dict[str, Any]:
        """Return the incident as JSON shows it."""
        return {
            "id": self.id,
            "severity": self.severity,
            "title": self.title,
            "systems": list(self.systems),
            "state": self.state,
            "opened_at": self.opened_at,
            "closed_at": self.closed_at,
            "opened_by": self.opened_by,
            "responder": self.responder,
            "clocks": [
                {
                    "clock": clock.name,
                    "due": format_instant(clock.due),
                    "stopped": None if clock.stopped is None else format_instant(clock.stopped),
                    "state": clock.state(now),
                    "left": format_duration(clock.left(now)) if clock.left(now).days >= 0 else None,
                }
                for clock in self.clocks
            ],
            "caused_by": list(self.changes),
            "follow_ups": list(self.follow_ups),
            "review": dict(self.review),
        }


def load_incident(connection: Connection, key: str, *, lock: bool = False) -> Incident:
    """Return an incident; RecordMissing if there is none. With `lock` nobody else changes it until
    the transaction ends."""
    query = select(schema.incident).where(schema.incident.c.id == storable(key))
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        raise RecordMissing(
            f"the ledger knows no incident {ascii(key)[1:-1][:60]}; see `./hims incident list`"
        )
    return _told(row, _records(connection, [row.id]).get(row.id, []))


def list_incidents(connection: Connection, *, only_open: bool = False) -> list[Incident]:
    """Return incidents, the newest first."""
    table = schema.incident
    query = select(table).order_by(table.c.opened_at.desc(), table.c.id.desc())
    if only_open:
        query = query.where(table.c.closed_at.is_(None))
    rows = connection.execute(query).all()
    told = _records(connection, [row.id for row in rows])
    return [_told(row, told.get(row.id, [])) for row in rows]


def opened_by_run(connection: Connection, run_id: str) -> str | None:
    """Return the incident that a run has opened, or stands for; None if there is none."""
    table = schema.record
    body = cast(table.c.body, JSONB)
    found: str | None = connection.execute(
        select(body[("subject", "id")].astext)
        .where(
            table.c.event.in_(("incident.opened", "incident.followed")),
            body[("source", "run_id")].astext == run_id,
        )
        .order_by(table.c.seq)
        .limit(1)
    ).scalar()
    return found


def _told(row: Row[Any], records: Iterable[dict[str, Any]]) -> Incident:
    opened_by, responder, responded_at = "", None, None
    due: dict[str, Any] = {}
    links: dict[str, dict[str, None]] = {"caused_by": {}, "follow_up": {}}
    review: dict[str, str] = {}
    told: dict[str, tuple[str, str]] = {}
    for body in records:
        details = body.get("details") or {}
        match body["event"]:
            case "incident.opened" | "incident.graded":
                opened_by = opened_by or body["actor"]["user"]
                due = details
            case "incident.responded" if responder is None:
                responder, responded_at = body["actor"]["user"], parse_instant(body["time"])
            case "incident.linked" if body["reason"] in links:
                links[body["reason"]][str(body["change"])] = None
            case "incident.unlinked" if body["reason"] in links:
                links[body["reason"]].pop(str(body["change"]), None)
            case "incident.told":
                told[details["part"]] = (details["text"], body["actor"]["user"])
            case "incident.reviewed":
                review = dict(details.get("parts") or {})

    def clock(name: str, key: str, stopped: datetime | None) -> Clock | None:
        at = due.get(key)
        if at is None:
            return None
        return Clock(name=name, start=row.opened_at, due=parse_instant(at), stopped=stopped)

    return Incident(
        id=row.id,
        severity=row.severity,
        title=row.title,
        systems=tuple(row.systems),
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        opened_by=opened_by,
        responder=responder,
        response=clock("response", "respond_by", responded_at or row.closed_at),
        resolution=clock("resolution", "resolve_by", row.closed_at),
        changes=tuple(links["caused_by"]),
        follow_ups=tuple(links["follow_up"]),
        review=review,
        told=told,
    )


def _records(connection: Connection, keys: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Return what the ledger tells of each incident, in order: one question for all of them."""
    table = schema.record
    about = cast(table.c.body, JSONB)[("subject", "id")].astext
    found: dict[str, list[dict[str, Any]]] = {}
    for text in connection.execute(
        select(table.c.body)
        .where(table.c.event.startswith("incident.", autoescape=True), about.in_(keys))
        .order_by(table.c.seq)
    ).scalars():
        body = json.loads(text)
        found.setdefault(body["subject"]["id"], []).append(body)
    return found
