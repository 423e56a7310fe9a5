"""A change office: a ledger, a configuration of the test's own, a clock that it sets."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from include.changes.catalogue import load_catalogue
from include.changes.change import Change
from include.changes.desk import Desk
from include.changes.editing import edit
from include.changes.request import read_request
from include.changes.ruling import Ruling
from include.changes.view import view
from include.ledger import Actor, Ledger, Source, schema
from include.settings import Settings

# A Monday; the window of Saturday, 28 November opens at 07:00 UTC.
MONDAY = datetime(2026, 11, 23, 12, tzinfo=UTC)
IN_WINDOW = datetime(2026, 11, 28, 7, 10, tzinfo=UTC)
SEATS = {
    "technical_lead": "tomas",
    "product_manager": "priya",
    "security_officer": "sam",
    "operations_manager": "olga",
    "business_representative": "bea",
    "qa_lead": "quinn",
}
NORMAL: dict[str, Any] = {
    "title": "Implement Patient Portal Redesign",
    "type": "normal",
    "priority": "high",
    "requester": "UI/UX Team",
    "description": "Redesign patient portal for improved usability",
    "impact_assessment": {
        "risk_level": "medium",
        "affected_systems": ["frontend"],
        "downtime_required": False,
        "rollback_plan": "Revert to previous version",
    },
    "schedule": {
        "planned_start": "2026-11-25",
        "planned_end": "2026-12-15",
        "change_window": "Saturday 2-4 AM",
    },
    "approvals_required": ["technical_lead", "product_manager", "security_officer"],
}


@dataclass
class Clock:
    now: datetime = MONDAY

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Office:
    """What tests do with changes, through the doors that commands and tasks use."""

    ledger: Ledger
    settings: Settings
    clock: Clock = field(default_factory=Clock)

    def desk(self, user: str = "rita", auth: str = "shell") -> Desk:
        actor = Actor(user=user, name=user.title(), auth=auth)
        source = Source(kind="cli")
        return Desk(
            ledger=self.ledger, settings=self.settings, actor=actor, source=source,
            clock=self.clock,
        )  # fmt: skip

    def submit(self, user: str = "rita", **changed: Any) -> tuple[Change, Ruling]:
        desk = self.desk(user)
        person = desk.catalogue.people.find(user)
        assert person is not None
        return desk.submit(self.request(**changed), person)

    def request(self, **changed: Any) -> Any:
        text = json.dumps(merged(NORMAL, changed)).encode()
        return read_request(text, "change.yaml", load_catalogue(self.settings).known)

    def edit(self, change: Change, user: str = "rita", **changed: Any) -> tuple[Change, Ruling]:
        desk = self.desk(user)
        person = desk.catalogue.people.find(user)
        assert person is not None
        return edit(desk, change.id, self.request(**changed), person)

    def vote(
        self, change: Change, seat: str, by: str | None = None, choice: str = "approve",
        comment: str = "seen", **options: Any,
    ) -> Ruling:  # fmt: skip
        user = by or SEATS[seat]
        desk = self.desk("rita")
        return desk.vote(
            change.id, seat=seat, choice=choice, comment=comment,
            content_hash=options.pop("content_hash", change.content_hash),
            voter=Actor(user=user, name=user.title(), auth="airflow-hitl"),
            cast_at=self.clock(), **options,
        )  # fmt: skip

    def approve(self, change: Change) -> Change:
        """Let every seat that is asked approve, until that is decided."""
        asked = self.view(change)["ballot"]["asked"]
        for seat in asked:
            if self.load(change).state == "authorizing":
                assert self.vote(change, seat).ok
        return self.load(change)

    def load(self, change: Change) -> Change:
        return self.desk().load(change.id)

    def view(self, change: Change) -> dict[str, Any]:
        return view(self.desk(), self.load(change))

    def rows(self, table: Any) -> list[Any]:
        with self.ledger.read() as connection:
            return list(connection.execute(select(table).order_by(*table.primary_key)))

    def records(self, event: str | None = None) -> list[dict[str, Any]]:
        return [json.loads(row["body"]) for row in self.ledger.records(event=event)]

    def incident(self, name: str = "INC-1", severity: str = "P1", *systems: str) -> None:
        desk = self.desk("olga")
        with desk.unit() as unit:
            unit.execute(
                insert(schema.incident).values(
                    id=name, severity=severity, title="down", systems=list(systems or ("api",)),
                    opened_at=unit.now,
                )
            )  # fmt: skip
            from include.ledger import Subject

            unit.append("incident.opened", Subject(kind="incident", id=name), message="down")

    def deliver(self, change: Change) -> None:
        """Let every notice about a change have arrived."""
        notice, delivery = schema.notice, schema.notice_delivery
        from include.ledger import Subject

        with self.desk("mallory").unit() as unit:
            found = unit.execute(select(notice.c.id).where(notice.c.thread == change.id))
            for number in list(found.scalars()):
                statement = upsert(delivery).values(
                    channel="log", notice_id=number, thread=change.id, state="delivered",
                    attempts=1, delivered_at=unit.now, late=False,
                )  # fmt: skip
                unit.execute(statement.on_conflict_do_nothing())
            unit.append("test.arranged", Subject(kind="change", id="x"), message="arranged")

    def set(self, table: Any, where: Any, **values: Any) -> None:
        """Write to a state table as whoever has the database's password could."""
        desk = self.desk("mallory")
        with desk.unit() as unit:
            unit.execute(update(table).where(where).values(**values))
            from include.ledger import Subject

            unit.append("test.arranged", Subject(kind="change", id="x"), message="arranged")


def merged(base: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with what differs; None takes a key out."""
    result = dict(base)
    for key, value in changed.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result
