"""Where entries are made in a test: everything through the doors that the commands use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import update

from include.calendar import CalendarState, ChangeCalendar, Opening, Span, load_calendar
from include.changes.change import Change, book_slot, load_change, open_change
from include.entries import extension, freeze
from include.entries.freeze import Scope
from include.entries.outcome import Entered
from include.entries.whole_calendar import calendar_turn, whole_calendar
from include.ledger import Actor, Ledger, Source, Unit, schema
from include.people import People, Person

SATURDAY = datetime(2026, 11, 28, 7, tzinfo=UTC)  # the standard window opens: 02:00 in New York
HOUR = timedelta(hours=1)


@dataclass
class Office:
    """A ledger, a calendar's file, people, and a clock that the test sets."""

    ledger: Ledger
    people: People
    calendar_file: Path
    now: datetime

    def person(self, user: str) -> Person:
        found = self.people.find(user)
        assert found is not None
        return found

    @contextmanager
    def unit(self, user: str) -> Iterator[Unit]:
        actor = Actor(user=user, name=user.title(), auth="airflow-password")
        with self.ledger.write(actor, Source(kind="cli"), self.now) as unit:
            yield unit

    def freeze(
        self,
        start: datetime,
        end: datetime,
        *,
        user: str = "olga",
        owner: str = "olga",
        kind: str = "freeze",
        reason: str = "The audit needs quiet",
        **scope: tuple[str, ...],
    ) -> Entered:
        with self.unit(user) as unit:
            return freeze.enter_freeze(
                unit,
                self.person(user),
                kind=kind,
                span=Span(start, end),
                scope=Scope(**scope),
                owner=self.person(owner),
                reason=reason,
            )

    def lift(self, key: str, *, user: str = "rita", reason: str = "The audit is over") -> Entered:
        with self.unit(user) as unit:
            return freeze.lift(unit, self.person(user), key, reason=reason)

    def exempt(
        self,
        key: str,
        end: datetime,
        *,
        start: datetime | None = None,
        user: str = "olga",
        owner: str = "tomas",
        reason: str = "A certificate expires",
        control: str = "Two people watch the change",
        **scope: tuple[str, ...],
    ) -> Entered:
        with self.unit(user) as unit:
            return freeze.except_from_freeze(
                unit,
                self.person(user),
                key,
                span=Span(start or self.now, end),
                scope=Scope(**scope),
                owner=self.person(owner),
                reason=reason,
                control=control,
            )

    def change(
        self,
        *,
        systems: tuple[str, ...] = ("api",),
        slot: tuple[datetime, datetime] | None = None,
        priority: str = "normal",
        requester: str = "mei",
        state: str = "scheduled",
        **content: Any,
    ) -> Change:
        given = {
            "type": "normal",
            "title": "A change",
            "affected_systems": list(systems),
            "requester": requester,
            "priority": priority,
            **content,
        }
        with self.unit(requester) as unit:
            change = open_change(unit, given, release_id=None)
            put(unit, change, state)
            if slot is not None:
                start, end = slot
                taken = book_slot(unit, change, start=start, end=end, window="standard")
                assert taken is None, taken
            return load_change(unit.connection, change.id)

    def move(self, change: Change, state: str) -> None:
        with self.unit("mei") as unit:
            put(unit, change, state)

    def extend(
        self,
        change: Change,
        start: datetime,
        end: datetime,
        *,
        user: str = "devi",
        window: str = "extended",
        reason: str = "The migration takes four hours",
    ) -> Entered:
        with self.unit(user) as unit:
            return extension.ask_extension(
                unit,
                self.person(user),
                self.file,
                change.id,
                window=window,
                span=Span(start, end),
                reason=reason,
            )

    def decide(self, key: str | None, *, user: str = "olga", grant: bool = True) -> Entered:
        assert key is not None
        with self.unit(user) as unit:
            return extension.decide_extension(
                unit, self.person(user), self.file, key, grant=grant, reason="It has to be"
            )

    # What the calendar says then.

    @property
    def file(self) -> ChangeCalendar:
        return load_calendar(self.calendar_file)

    @property
    def calendar(self) -> ChangeCalendar:
        with self.ledger.read() as connection:
            return whole_calendar(self.calendar_file, connection)

    @property
    def turn(self) -> int:
        with self.ledger.read() as connection:
            return calendar_turn(connection)

    def state(self, at: datetime, **asked: Any) -> CalendarState:
        return self.calendar.state(at, **{"systems": ["api"], **asked})

    def next(self, needs: timedelta = HOUR, **asked: Any) -> Opening | None:
        given = {"systems": ["api"], "not_before": self.now, **asked}
        return self.calendar.next(needs=needs, **given)

    def records(self, event: str) -> list[dict[str, Any]]:
        return [json.loads(row["body"]) for row in self.ledger.records(event=event)]


def put(unit: Unit, change: Change, state: str) -> None:
    """Put a change into a state without asking its machine."""
    unit.execute(update(schema.change).where(schema.change.c.id == change.id).values(state=state))
    unit.append(f"change.{state}", change.subject, message=f"{change.id} is {state}")
