"""What is owed after an emergency, or after what nobody had asked for: by when, and if it was done.

A record, an answer by the on-call three, a review. Times come from the ledger; nothing is ever
done because its time is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Literal

from sqlalchemy import func, select

from include.calendar import ChangeCalendar
from include.calendar.wall_time import resolve
from include.changes.case import Case
from include.instants import parse_instant
from include.ledger import schema

TITLES = {
    "record": "written down",
    "acknowledgement": "answered for by two of the on-call three",
    "review": "reviewed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """One thing that is owed; `done` is when it was done, None while it is not."""

    name: Literal["record", "acknowledgement", "review"]
    due: datetime
    done: datetime | None

    def state(self, now: datetime) -> str:
        """Return `met`, `late` (done, and after its time), `open` or `overdue`."""
        if self.done is not None:
            return "met" if self.done <= self.due else "late"
        return "open" if now <= self.due else "overdue"

    @property
    def title(self) -> str:
        """Return what is owed, in words."""
        return TITLES[self.name]


def duties_of(case: Case) -> tuple[Duty, ...]:
    """Return what is owed on a change; nothing on one that was asked for in time.

    An emergency owes from when its work began; before that it owes nothing but its votes.
    """
    change, policy = case.change, case.catalogue.policy.emergency
    if change.type not in ("emergency", "retroactive") or change.state == "cancelled":
        return ()
    happened = (case.content.get("retroactive") or {}).get("happened_at")
    begun = parse_instant(happened) if happened else change.started_at
    if begun is None or change.created_at is None:
        return ()
    ended = change.finished_at if change.type == "emergency" else begun
    owed = [
        Duty(name="record", due=begun + policy.record_in, done=change.created_at),
        Duty(name="acknowledgement", due=begun + policy.acknowledge_in, done=_answered(case)),
    ]
    if ended is not None:
        due = after_working_days(case.calendar, ended, policy.review_in_working_days)
        owed.append(Duty(name="review", due=due, done=change.closed_at))
    return tuple(owed)


def after_working_days(calendar: ChangeCalendar, start: datetime, days: int) -> datetime:
    """Return the end of the last of `days` working days after the local day of `start`.

    Saturdays, Sundays and the calendar's holidays are none.
    """
    day = start.astimezone(calendar.zone).date()
    left = days
    while left:
        day += timedelta(days=1)
        if day.weekday() < 5 and calendar.holidays.name_of(day) is None:
            left -= 1
    return resolve(datetime.combine(day + timedelta(days=1), time()), calendar.zone)


def _answered(case: Case) -> datetime | None:
    table = schema.ballot
    found: datetime | None = case.connection.execute(
        select(func.min(table.c.decided_at)).where(
            table.c.change_id == case.change.id, table.c.state.in_(("approved", "acknowledged"))
        )
    ).scalar()
    return found
