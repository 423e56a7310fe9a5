"""What becomes of work that a closing window finds under way, and what is reported then.

Every change declares it (`on_close`): *finish* lets it end after the window, *hold* stops it before
its next step, *roll_back* leads it back. Nothing declared means hold. Whoever implements the change
asks `closing_order` before each step; the permit, which is closed with the window, holds those who
do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from include.calendar import ChangeCalendar
from include.ledger import Outcome, Subject, Unit, schema
from include.notices import calendar_texts
from include.notices.outbox import queue
from include.windows.announcing import window_name
from include.windows.opening import UNDER_WAY, Attended, Due, due_changes


class OnClose(StrEnum):
    """What a change does when its window closes on it."""

    FINISH = "finish"
    HOLD = "hold"
    ROLL_BACK = "roll_back"


_WORDS = {
    OnClose.FINISH: "finishes after the window, as declared",
    OnClose.HOLD: "holds before its next step, as declared",
    OnClose.ROLL_BACK: "is led back, as declared",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """What a window left: ids of changes and releases, each with a sentence."""

    done: Mapping[str, str]
    unfinished: Mapping[str, str]
    not_started: Mapping[str, str]
    message: str


def declared(content: Mapping[str, Any]) -> OnClose:
    """Return what a change declares for the closing of its window; hold where it says nothing."""
    given = content.get("on_close")
    return next((item for item in OnClose if item == given), OnClose.HOLD)


def closing_order(connection: Connection, change: str) -> OnClose | None:
    """Return what a change under way has been told since its window closed; None while it has not.

    For whoever implements it, before each step.
    """
    table = schema.opening_start
    found = connection.execute(
        select(table.c.closing)
        .where(table.c.change_id == change, table.c.closed_at.is_not(None))
        .order_by(table.c.opens_at.desc())
        .limit(1)
    ).scalar()
    return None if found is None else OnClose(found)


def close_opening(unit: Unit, calendar: ChangeCalendar | None, opening: Attended) -> Closed:
    """Tell each change under way what it declared, report what is left, once per opening.

    A change that was granted more time than the window has is left alone until that is over; where
    the calendar cannot be read (None), nothing is open for anybody.
    """
    table, change = schema.opening_start, schema.change
    rows = unit.execute(
        select(table, change.c.state, change.c.title)
        .join(change, change.c.id == table.c.change_id)
        .where(table.c.opens_at == opening.span.start)
        .order_by(table.c.change_id)
    ).all()
    contents = {
        item.id: item
        for item in due_changes(unit.connection, opening.span, states=("scheduled", *UNDER_WAY))
    }
    done: dict[str, str] = {}
    unfinished: dict[str, str] = {}
    for row in rows:
        if row.state not in UNDER_WAY:
            if row.state != "scheduled":
                done[row.change_id] = f"{row.title}: {row.state}"
            continue
        unfinished[row.change_id] = _order(unit, calendar, row, contents.get(row.change_id))
    not_started = {
        item.id: f"{item.title}: was due, and did not start; another slot in what was approved: "
        f"./hims change again {item.id}"
        for item in contents.values()
        if item.state == "scheduled" and item.slot.end <= max(unit.now, opening.span.end)
    }
    for key, words in _trains(unit.connection, opening).items():
        unfinished[key] = words
    zone = ZoneInfo("UTC") if calendar is None else calendar.zone
    message = (
        f"the window {opening.local(zone)} is closed: {len(done)} done, "
        f"{len(unfinished)} unfinished, {len(not_started)} not started"
    )
    unit.append(
        "window.closed",
        opening.subject,
        reason="unfinished" if unfinished or not_started else "done",
        outcome=Outcome.FAILURE if unfinished or not_started else Outcome.SUCCESS,
        message=message,
        details={"done": done, "unfinished": unfinished, "not_started": not_started},
    )
    queue(
        unit,
        calendar_texts.window_closes(
            window=window_name(calendar, opening),
            opens=opening.span.start,
            closed=opening.span.end,
            done=len(done),
            unfinished=[f"{key}: {said}" for key, said in {**unfinished, **not_started}.items()],
            zone=str(zone),
        ),
    )
    return Closed(done=done, unfinished=unfinished, not_started=not_started, message=message)


def _order(unit: Unit, calendar: ChangeCalendar | None, row: Any, due: Due | None) -> str:
    if due is not None and calendar is not None:
        state = calendar.state(unit.now, systems=due.systems, change=row.change_id)
        if state.open and state.closes is not None:
            return f"{row.title}: {row.state}; has time until {state.closes:%Y-%m-%d %H:%M}Z"
    policy = OnClose.HOLD if due is None else declared(due.content)
    table = schema.opening_start
    told = unit.execute(
        update(table)
        .where(
            table.c.change_id == row.change_id,
            table.c.opens_at == row.opens_at,
            table.c.closed_at.is_(None),
        )
        .values(closing=str(policy), closed_at=unit.now)
    )
    words = _WORDS[OnClose(row.closing) if row.closing else policy]
    if told.rowcount:
        unit.append(
            "change.window_closed",
            Subject(kind="change", id=row.change_id),
            reason=str(policy),
            message=f"the window closed on {row.change_id}, which is {row.state}: it {words}",
        )
    return f"{row.title}: {row.state}; {words}"


def _trains(connection: Connection, opening: Attended) -> dict[str, str]:
    """Return the releases that were in production when the window closed. Their permit, which is
    asked again before the switch, leads them back; after the switch they finish their watch."""
    release, step = schema.release, schema.step
    rows = connection.execute(
        select(release.c.id, step.c.name)
        .join(step, (step.c.release_id == release.c.id) & (step.c.attempt == release.c.attempt))
        .where(
            release.c.state == "running",
            step.c.state == "done",
            step.c.name.in_(("enter_window", "switch_traffic", "watch_release")),
            step.c.finished_at >= opening.span.start,
            step.c.finished_at < opening.span.end,
        )
    )
    reached: dict[str, set[str]] = {}
    for row in rows:
        reached.setdefault(row.id, set()).add(row.name)
    return {
        key: "on the new version, finishes its watch"
        if "switch_traffic" in names
        else "not switched yet; without time left its permit is refused and it is led back"
        for key, names in sorted(reached.items())
        if "watch_release" not in names
    }
