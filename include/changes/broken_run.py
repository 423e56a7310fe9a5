"""A run of `change_implementation` that has ended before its change: begun again, or told of.

What a change still has to do is a row, and every step is done once; so a run that was killed, or
was set to some state by hand, decides nothing. Begun again, it goes on where it was, or leads back
what the change's window or a person wants led back. Where somebody has said no, or it fails again
and again, people are told once what stands and by which door it goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.engine import Connection

from include.changes.case import Case, case_of
from include.changes.change import load_change
from include.changes.closing import closes_at, held_at_closing
from include.changes.desk import Desk
from include.changes.machine import forward, judge
from include.changes.ruling import Ruling
from include.changes.work import AGAIN, asked_back, work_state, write_work
from include.ledger import Outcome, schema
from include.notices import change_texts
from include.notices.notice import Notice
from include.notices.outbox import queue

_INSTANT = timedelta(microseconds=1)
# After as many new beginnings a run that fails again is a person's business.
MOST = 3
# A person's word, after which a run may begin as often again.
WORDS = ("change.again_asked", "change.back_asked", "change.held", "change.resumed")
# States of a run that goes on by itself; in any other nobody is at work on its change.
GOES_ON = ("queued", "running")


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A change, and the run that is to implement it or to go on with it."""

    change: str
    run_id: str


def under_way(desk: Desk) -> list[Start]:
    """Return the changes that were begun and are not done, each with the run whose permit it is:
    whatever became of that run, nobody else can go on under it."""
    change, permit = schema.change, schema.permit
    query = (
        select(change.c.id, permit.c.holder)
        .ext(distinct_on(change.c.id))
        .join(permit, permit.c.change_id == change.c.id)
        .where(change.c.state.in_(("implementing", "validating")))
        .where(change.c.release_id.is_(None))
        .order_by(change.c.id, permit.c.fence.desc())
    )
    with desk.ledger.read() as connection:
        return [Start(change=row.id, run_id=row.holder) for row in connection.execute(query)]


def asked_for(desk: Desk) -> list[Start]:
    """Return the changes in their slot whose run ended before their permit, and of which a person
    has said that it is to begin again. A window starts each of its changes once."""
    change, work, slot = schema.change, schema.work, schema.slot
    query = (
        select(change.c.id, slot.c.id.label("slot"), work.c.result)
        .join(work, (work.c.change_id == change.c.id) & (work.c.name == AGAIN))
        .join(slot, slot.c.change_id == change.c.id)
        .where(work.c.state == "started", change.c.state == "scheduled")
        .where(slot.c.released_at.is_(None), slot.c.during.contains(desk.clock()))
        .order_by(change.c.id, slot.c.id)
    )
    with desk.ledger.read() as connection:
        rows = connection.execute(query).all()
    # Of another slot, which an edit or another booking has brought since, nobody has said it.
    return [
        Start(change=row.id, run_id=str(row.result["run"]))
        for row in rows
        if row.result["slot"] == row.slot
    ]


def run_in(case: Case, at: datetime) -> str | None:
    """Return the run by which the opening at an instant has started the change, None if it has
    not: then it still will."""
    table = schema.opening_start
    row = case.connection.execute(
        select(table.c.opens_at, table.c.run_id)
        .where(table.c.change_id == case.change.id, table.c.opens_at <= at)
        .order_by(table.c.opens_at.desc())
        .limit(1)
    ).first()
    if row is None:
        return None
    # Of the same opening, whatever a freeze that was entered meanwhile has left of that.
    openings = case.calendar.slots(
        row.opens_at, at + _INSTANT, systems=case.change.systems, change=case.change.id
    )
    within = any(item.start <= row.opens_at and at < item.end for item in openings)
    return str(row.run_id) if within else None


def cut_short(desk: Desk, start: Start) -> bool:
    """Return whether a run is begun again though it goes on: it waits for words on what is done,
    and that is to be led back. Once: then it does so."""
    with desk.ledger.read() as connection:
        change = load_change(connection, start.change)
        if change.state != "validating" or asked_back(connection, change) is None:
            return False
        asked = _newest(connection, change.id, ("change.back_asked",))
        return _newest(connection, change.id, ("change.begun_again",)) < asked


def again(desk: Desk, start: Start) -> Ruling:
    """Say whether a run that has ended is to begin again; every step of it is done only once.

    Yes while nothing but silence, or what broke, has stopped it. Where somebody or a guard has said
    no, or it fails again and again, people are told once what stands and what to do. What holds
    because its window has closed on it waits, without a word, for what people were asked then.
    """
    with desk.ledger.read() as connection:
        change = load_change(connection, start.change)
        case = case_of(change, connection, desk.clock(), desk.settings)
        back = asked_back(connection, change) is not None
        since = _newest(connection, change.id, WORDS)
        if _holds(case, since):
            message = f"{change.id} holds: its window has closed on it"
            return Ruling(ok=False, reason="window_closed", message=message)
        tries = _tries(connection, start, since)
        reasons = [] if back else _against(case)
        if who := _ended_by_hand(connection, start, since):
            reasons.append(f"{who} has ended its run by hand")
        asked = work_state(connection, change, AGAIN) == "started"
    if tries >= MOST:
        reasons.append(f"its run has failed, and failed again after {MOST} new beginnings")
    if not reasons:
        with desk.unit() as unit:
            if asked:
                write_work(unit, change, AGAIN, None)
            unit.append(
                "change.begun_again",
                change.subject,
                reason=change.state,
                message=f"{change.id}: {start.run_id} has ended and begins again",
                details={"run": start.run_id, "try": tries + 1},
            )
        return Ruling(ok=True, reason="again", message=f"{change.id} begins again")
    said = "; ".join(reasons)
    notice = change_texts.stands_still(
        change=change.id,
        title=change.title,
        reasons=reasons,
        broken=tries >= MOST,
        begun=change.state != "scheduled",
        by_itself=who is None,
        key=f"{start.run_id}:{since}:{tries}:{hashlib.sha256(said.encode()).hexdigest()[:12]}",
        link=desk.settings.run_url("change_implementation", start.run_id),
    )
    if not known_notices(desk, [notice]):
        with desk.unit() as unit:
            queue(unit, notice)
            unit.append(
                "change.stands_still",
                change.subject,
                outcome=Outcome.FAILURE,
                reason=change.state,
                message=f"{change.id}: {start.run_id} has ended and waits for people: {said}"[
                    :2000
                ],
                details={"run": start.run_id},
            )
    return Ruling(ok=False, reason="stands_still", message=said)


def known_notices(desk: Desk, notices: Sequence[Notice]) -> set[str]:
    """Return the keys of those notices that were queued before."""
    keys = [notice.dedupe_key for notice in notices]
    query = select(schema.notice.c.dedupe_key).where(schema.notice.c.dedupe_key.in_(keys))
    with desk.ledger.read() as connection:
        return set(connection.execute(query).scalars())


def _holds(case: Case, since: int) -> bool:
    """Return whether the change holds at the closing of its window, and no person has said since
    what is to become of it; granted time is such a word once it has begun."""
    connection, change = case.connection, case.change
    if not held_at_closing(connection, change):
        return False
    held = _newest(connection, change.id, ("change.held_at_closing",))
    granted = _newest(connection, change.id, ("extension.granted",))
    return max(since, granted if closes_at(case) else 0) < held


def _against(case: Case) -> list[str]:
    """Return what a new beginning would meet with: every no, of people and of guards."""
    change = case.change
    if change.state == "implementing":
        return []  # it goes on under its permit, or is led back because that has ended
    way = forward(change)
    found = judge(case, way) if way is not None else ()
    # An emergency's slot is no obstacle: it is moved to the present when it begins.
    moves = case.emergency and change.state == "scheduled"
    return [
        item.message
        for item in found
        if item.verdict == "no_go" and not (moves and item.code == "slot")
    ]


def _newest(connection: Connection, change: str, events: Sequence[str]) -> int:
    """Return the number of the newest of these records of a change, 0 where there is none."""
    table = schema.record
    found = connection.execute(
        select(func.max(table.c.seq)).where(table.c.change == change, table.c.event.in_(events))
    ).scalar()
    return int(found or 0)


def _tries(connection: Connection, start: Start, since: int) -> int:
    table = schema.record
    bodies = connection.execute(
        select(table.c.body).where(
            table.c.change == start.change,
            table.c.event == "change.begun_again",
            table.c.seq > since,
        )
    ).scalars()
    return sum(json.loads(body)["details"]["run"] == start.run_id for body in bodies)


def _ended_by_hand(connection: Connection, start: Start, since: int) -> str | None:
    """Return who has set the run, or a task of it, to an end through Airflow since it last began;
    a person's word on the change that is newer takes that back."""
    table = schema.record
    begun = max(since, _newest(connection, start.change, ("change.begun_again",)))
    bodies = connection.execute(
        select(table.c.body)
        .where(table.c.event == "api_write.done", table.c.seq > begun)
        .where(table.c.body.contains(json.dumps(start.run_id), autoescape=True))
        .order_by(table.c.seq.desc())
    ).scalars()
    for body in bodies:
        content = json.loads(body)
        for task in content.get("details", {}).get("tasks", ()):
            ended = task.get("state") in ("failed", "success", "skipped")
            if ended and task.get("run_id") == start.run_id:
                return str(content["actor"].get("name") or content["actor"]["user"])
    return None
