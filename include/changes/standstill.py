"""A person's word on a change that stands still: it begins again, or it is led back.

Whoever may give the go may say so. Their word is a record and a row; the Dag `urgent_changes` lets
it happen within minutes, under the run that the change had.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select

from include.calendar import Span
from include.calendar.wall_time import local_text
from include.changes.broken_run import run_in
from include.changes.case import Case
from include.changes.change import (
    Change,
    book_slot,
    driven_by_train,
    load_change,
    take_turn_to_book,
)
from include.changes.closing import closes_at, end_hold, held_at_closing
from include.changes.desk import Desk
from include.changes.guards import GUARDS
from include.changes.machine import BEFORE, forward, judge
from include.changes.openings import closed_in, denied_now, first_free, opens_after, opens_in
from include.changes.ruling import Ruling, refuse
from include.changes.work import AGAIN, BACK, REBOOKED, write_work
from include.errors import RequestError
from include.ledger import Unit, schema
from include.ledger.record import storable
from include.notices import change_texts
from include.notices.outbox import queue
from include.privacy import screen

# What guards say of the hours in which nothing may be begun.
_CALENDAR = ("calendar", *(f"conflict.{name}" for name in ("blackout", "cutoff", "holiday")))
_SOON = "the Dag urgent_changes begins its run again within minutes"


def begin_again(desk: Desk, change_id: str, comment: str) -> Ruling:
    """Let a change go on whose run has ended before it: from where it was, or in its slot.

    Where its slot is over, or nothing of it is left that the calendar keeps open, it is booked the
    next one in what was approved, if the votes still stand; the words that were given before the
    work are then asked for anew. Refused, with a record, is who has no word on the go, and what
    something still stands against.
    """
    comment = storable(screen(desk.settings, "comment", comment).strip()[:1000])
    with desk.unit() as unit:
        change = load_change(unit.connection, change_id, lock=True)
        if problem := _not_theirs(desk, unit, change):
            return refuse(unit, change, "change.again_refused", "not_eligible", problem)
        case = desk.case(unit, change)
        if change.state in ("implementing", "validating"):
            return _go_on(unit, case, comment)
        if change.state != "scheduled":
            problem = f"it is {change.state}; only what is scheduled or under way begins again"
            return refuse(unit, change, "change.again_refused", "not_under_way", problem)
        if case.emergency:
            return _said(unit, change, comment, f"{change.id} begins again: {_SOON}")
        slot = _slot(unit, change)
        if slot is None or unit.now >= slot.during.upper:
            return _in_another_slot(unit, case, comment, "its slot is over")
        booked = Span(slot.during.lower, slot.during.upper)
        opens = opens_in(case, booked)
        if opens is None:
            when = local_text(booked.start, case.calendar.zone)
            because = f"its slot, {when}, does not hold it any more ({closed_in(case, booked)})"
            return _in_another_slot(unit, case, comment, because)
        if unit.now < booked.start:
            when = local_text(opens, case.calendar.zone)
            problem = f"its slot has not come yet: it begins {when}, by itself"
            return refuse(unit, change, "change.again_refused", "not_yet", problem)
        return _in_its_slot(unit, case, slot, comment, opens)


def lead_back(desk: Desk, change_id: str, comment: str) -> Ruling:
    """Let what was done of a change be led back, from where it was begun until it is reviewed.

    Its run does that before its next step, and is begun again for it where it has ended.
    Refused, with a record, is who has no word on the go, and a word without its reason.
    """
    comment = storable(screen(desk.settings, "comment", comment).strip()[:1000])
    with desk.unit() as unit:
        change = load_change(unit.connection, change_id, lock=True)
        if problem := _not_theirs(desk, unit, change):
            return refuse(unit, change, "change.back_refused", "not_eligible", problem)
        if change.state not in ("implementing", "validating"):
            then = "; give it up with ./hims change cancel" if change.state in BEFORE else ""
            problem = f"it is {change.state}; only what is under way is led back{then}"
            return refuse(unit, change, "change.back_refused", "not_under_way", problem)
        if not comment:
            problem = "leading back needs its reason (--comment)"
            return refuse(unit, change, "change.back_refused", "no_reason", problem)
        because = f"{unit.actor.name}: {comment}"
        write_work(unit, change, BACK, {"because": because}, state="started")
        message = f"{change.id} is to be led back ({because})"
        unit.append("change.back_asked", change.subject, reason=change.state, message=message)
    return Ruling(ok=True, reason="back", message=f"{message}: {_SOON}, if it does not run now")


def _not_theirs(desk: Desk, unit: Unit, change: Change) -> str:
    if problem := driven_by_train(change):
        raise RequestError(f"{change.id}: {problem}")
    return desk.no_word_on("go_no_go", unit)


def _go_on(unit: Unit, case: Case, comment: str) -> Ruling:
    change = case.change
    if held_at_closing(case.connection, change) and closes_at(case) is None:
        denied = denied_now(case)
        first = (
            f"wait for the end of that, or have a freeze excepted (./hims freeze except): {denied}"
            if denied
            else "extend that first (./hims window extend)"
        )
        problem = (
            f"its window has closed on it: {first}; or have it led back (./hims change lead-back "
            f"{change.id})"
        )
        return refuse(unit, change, "change.again_refused", "window_closed", problem)
    end_hold(unit, case)
    return _said(unit, change, comment, f"{change.id} goes on: {_SOON}, if it does not run now")


def _in_its_slot(unit: Unit, case: Case, slot: Any, comment: str, opens: datetime) -> Ruling:
    change, way = case.change, forward(case.change)
    found = judge(case, way) if way is not None else ()
    # What is only not known yet, the run asks for; what is closed only now, it waits for.
    waits = opens > unit.now
    against = [
        item for item in found if item.verdict == "no_go" and not (waits and item.code in _CALENDAR)
    ]
    if against:
        said = "; ".join(f"{item.code}: {item.message} ({item.who})" for item in against)
        return refuse(unit, change, "change.again_refused", against[0].code, said[:1500])
    later = ""
    if waits:
        closed = closed_in(case, Span(slot.during.lower, slot.during.upper))
        later = f", once that is open, {local_text(opens, case.calendar.zone)} ({closed})"
    run = run_in(case, slot.during.lower)
    if run is None:
        message = f"{change.id} has not been started in its slot yet; its window's run does that"
        return _said(unit, change, comment, message + later)
    write_work(unit, change, AGAIN, {"run": run, "slot": slot.id}, state="started")
    return _said(unit, change, comment, f"{change.id} begins again in its slot{later}: {_SOON}")


def _in_another_slot(unit: Unit, case: Case, comment: str, because: str) -> Ruling:
    change, zone = case.change, case.calendar.zone
    asked = "model" if change.type == "standard" else "votes"
    against = [item for item in GUARDS[asked](case) if item.verdict != "go"]
    if against:
        problem = (
            f"{because}, and what was approved no longer stands ({against[0].message}): edit its "
            "schedule, which asks the board anew"
        )
        return refuse(unit, change, "change.again_refused", against[0].code, problem)
    take_turn_to_book(unit, change.id)
    found = first_free(case)
    holder = found and book_slot(
        unit, change, start=found.start, end=found.end, window=found.window
    )
    if found is None or holder:
        later = case.now if case.planned is None else max(case.now, case.planned[1])
        problem = (
            f"{because}, and nothing is free in the time that was approved"
            + (f": {holder} has it" if holder else "")
            + f"; {opens_after(case, later)}: edit its schedule, which asks the board anew"
        )
        return refuse(unit, change, "change.again_refused", "slot", problem)
    slot = _slot(unit, change)
    write_work(unit, change, REBOOKED, {"start": found.start.isoformat()})
    run = run_in(case, found.start)
    write_work(
        unit, change, AGAIN, {"run": run, "slot": slot.id}, state="started" if run else "done"
    )
    queue(unit, change_texts.scheduled(
        change=change.id, title=change.title, revision=change.revision, systems=change.systems,
        start=found.start, end=found.end, zone=str(zone),
    ))  # fmt: skip
    unit.append(
        "slot.moved",
        change.subject,
        reason=found.window,
        message=f"{change.id} works {_utc(found.start)} to {_utc(found.end)}: {because}"[:2000],
    )
    message = (
        f"{change.id} begins again {local_text(found.start, zone)}, in {found.window}: {because}"
    )
    return _said(unit, change, comment, message)


def _said(unit: Unit, change: Change, comment: str, message: str) -> Ruling:
    said = f"{message} ({unit.actor.name}{f': {comment}' if comment else ''})"
    unit.append("change.again_asked", change.subject, reason=change.state, message=said)
    return Ruling(ok=True, reason="again", message=message)


def _slot(unit: Unit, change: Change) -> Any:
    table = schema.slot
    return unit.row(
        select(table)
        .where(table.c.change_id == change.id, table.c.released_at.is_(None))
        .order_by(table.c.id)
        .limit(1)
    )


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
