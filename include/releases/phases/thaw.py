"""Freezes on the way: whether a train's systems may be touched somewhere before its window."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from include.calendar.waiting import denied_until, ends_text
from include.entries.whole_calendar import whole_calendar
from include.errors import ConfigError
from include.ledger import Outcome
from include.releases.phases.window import calendar_file
from include.releases.planning import local_time
from include.releases.train import Done, Train


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """Frozen until `until`; None where waiting cannot help. `message` says by what."""

    until: datetime | None
    message: str


def thawed(train: Train, environment: str) -> Done | Frozen:
    """Return whether nothing is frozen in `environment` for the train's systems now.

    A freeze that outlasts the approval of the slot cannot be waited out, and a calendar that cannot
    be read is closed until somebody has put it right; both are records, as is the wait itself.
    """
    now, plan = train.clock(), train.plan
    try:
        with train.ledger.read() as connection:
            calendar = whole_calendar(
                calendar_file(train), connection, name=train.settings.label(plan.profile.calendar)
            )
    except ConfigError as error:
        message = f"the calendar cannot be read, so {environment} is closed: {error}"
        return _frozen(train, plan.slot.latest, message, "calendar_unreadable", now)
    held = denied_until(calendar, now, systems=plan.service.systems, environment=environment)
    if held is None:
        return Done(message=f"nothing is frozen in {environment}", reason="thawed")
    until, why = held
    message = f"{environment} is frozen; {ends_text(until, now=now, zone=calendar.zone)}: {why}"
    return _frozen(train, until, message, "frozen", now)


def _frozen(train: Train, until: datetime, message: str, reason: str, now: datetime) -> Frozen:
    latest = train.plan.slot.latest
    hopeless = until > latest or now >= latest
    if hopeless:
        message += f"; the approval of this train ends {local_time(latest, train.plan.zone)}"
    with train.unit() as unit:
        unit.append(
            "freeze.waiting",
            train.subject,
            outcome=Outcome.FAILURE if hopeless else Outcome.UNKNOWN,
            reason="no_thaw" if hopeless else reason,
            message=message[:2000],
        )
    return Frozen(until=None if hopeless else until, message=message)
