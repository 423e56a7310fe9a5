"""The change window: when the train may go on, and what it waits for until then."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from include.calendar import ChangeCalendar, Opening
from include.calendar.waiting import opens_text
from include.changes.change import book_slot
from include.entries.whole_calendar import whole_calendar
from include.errors import ConfigError
from include.instants import format_duration, format_instant
from include.ledger import Outcome
from include.notices import texts
from include.releases.phases.cab import release_change
from include.releases.planning import local_time
from include.releases.train import Done, Train, Withdrawn
from include.releases.window_clock import needs_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Wait until `until`, or until the calendar changes; `message` says for what."""

    until: datetime
    message: str


def calendar_file(train: Train) -> Path:
    """Return the file of the calendar that the train's profile asks."""
    return train.settings.config_file(train.plan.profile.calendar)


def enter_window(train: Train) -> Done | Wait:
    """Book the opening that is open now and enter it, or say what to wait for.

    Ends with a no when the calendar has no opening left before the approval expires.
    """
    plan = train.plan
    now = train.clock()
    if train.has("enter_window"):
        return train.done("enter_window")
    try:
        label = train.settings.label(plan.profile.calendar)
        with train.ledger.read() as connection:
            calendar = whole_calendar(calendar_file(train), connection, name=label)
    except ConfigError as error:
        return _closed(train, error, now)
    change = release_change(train).id
    work = needs_of(train).work
    opening = calendar.next(
        needs=work,
        not_before=max(now, plan.slot.start),
        systems=plan.service.systems,
        change=change,
    )
    if opening is None or opening.start > plan.slot.latest:
        return train.step("enter_window", "window.entered", lambda: _never(train, opening))
    if opening.start > now:
        return _wait(train, calendar, opening, change, work)
    return _enter(train, opening, now, work)


def _enter(train: Train, opening: Opening, now: datetime, work: timedelta) -> Done | Wait:
    plan = train.plan
    change = release_change(train)
    end = now + work
    taken: list[str] = []

    def enter() -> Done:
        def book(unit: Any) -> None:
            holder = book_slot(unit, change, start=now, end=opening.end, window=opening.window)
            if holder is not None:
                taken.append(holder)
                raise _Taken

        return Done(
            message=f"{opening.window} is open until {local_time(opening.end, plan.zone)}; "
            f"{format_duration(work)} are needed",
            result={
                "window": opening.window,
                "closes": format_instant(opening.end),
                "entered": format_instant(now),
            },
            write=book,
            notices=[
                texts.window_opened(
                    release=train.release,
                    attempt=plan.attempt,
                    opens=now,
                    closes=opening.end,
                    needs=work,
                    zone=plan.zone,
                )
            ],
        )

    try:
        return train.step("enter_window", "window.entered", enter)
    except _Taken:
        return Wait(
            until=min(end, opening.end),
            message=f"{taken[0]} works on {', '.join(change.systems)} now; asking again then",
        )


def _wait(
    train: Train, calendar: ChangeCalendar, opening: Opening, change: str, work: timedelta
) -> Wait:
    plan = train.plan
    message = opens_text(
        calendar,
        opening,
        now=train.clock(),
        needs=work,
        systems=plan.service.systems,
        change=change,
    )
    with train.unit() as unit:
        train.tell(
            unit,
            texts.window_waiting(
                release=train.release,
                attempt=plan.attempt,
                opens=opening.start,
                closes=opening.end,
                needs=work,
                zone=plan.zone,
            ),
        )
        unit.append("window.waiting", train.subject, reason="closed", message=message)
    return Wait(until=opening.start, message=message)


def _closed(train: Train, error: ConfigError, now: datetime) -> Done | Wait:
    """Treat a calendar that cannot be read as closed: wait until somebody has put it right."""
    message = f"the calendar cannot be read, so it is closed: {error}"
    if now >= train.plan.slot.latest:
        never = Done(ok=False, reason="no_window", message=message)
        return train.step("enter_window", "window.entered", lambda: never)
    with train.unit() as unit:
        unit.append(
            "window.waiting",
            train.subject,
            outcome=Outcome.UNKNOWN,
            reason="calendar_unreadable",
            message=message[:2000],
        )
    return Wait(until=train.plan.slot.latest, message=message)


def _never(train: Train, opening: Opening | None) -> Done:
    latest = local_time(train.plan.slot.latest, train.plan.zone)
    found = f"the next one is {opening.local}" if opening else "there is none at all"
    return Done(
        ok=False,
        reason="no_window",
        message=f"no window opens before the approval ends ({latest}): {found}",
    )


class _Taken(Withdrawn):
    """The slot turned out to be booked when the unit wanted it."""
