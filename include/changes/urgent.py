"""What cannot wait for the weekly meeting: whom to call now, and what is owed afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select

from include.changes.broken_run import Start, known_notices
from include.changes.case import Case, case_of
from include.changes.change import load_changes
from include.changes.condition import refusals
from include.changes.desk import Desk
from include.changes.duties import duties_of
from include.changes.machine import ENDED, forward, judge
from include.changes.open_ballots import ask_anew, end_overdue, unblocked
from include.ledger import schema
from include.notices import change_texts
from include.notices.notice import Notice
from include.notices.outbox import queue

URGENT = ("emergency", "retroactive")
# How long before the end of its time people are told what is still owed.
SOON = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A ballot whose board has to be called at once, by a run of this id."""

    change: str
    run_id: str


def ready(desk: Desk, *, urgent: bool) -> list[str]:
    """Return the changes that wait to be assessed and that nothing keeps from the board any more.

    They are looked at without a record: what is still in the way was recorded when it was found.
    """
    table = schema.change
    waiting = select(table.c.id).where(
        table.c.state == "assessing",
        table.c.release_id.is_(None),
        table.c.type.in_(URGENT) if urgent else table.c.type.not_in((*URGENT, "standard")),
    )
    with desk.ledger.read() as connection:
        found = []
        for change in load_changes(connection, waiting):
            way = forward(change)
            case = case_of(change, connection, desk.clock(), desk.settings)
            if way is not None and not refusals(judge(case, way)):
                found.append(change.id)
    return found


def approved(desk: Desk, change_id: str | None = None) -> list[Start]:
    """Return the emergencies that are approved and not begun: no window opens for them.

    Each is named with one run for what its board approved, however often it is asked for;
    `change_id` asks about that change alone.
    """
    change, ballot = schema.change, schema.ballot
    query = (
        select(change.c.id, func.max(ballot.c.id).label("ballot"))
        .join(ballot, ballot.c.change_id == change.c.id)
        .where(change.c.type == "emergency", change.c.state == "scheduled")
        .where(change.c.release_id.is_(None))
        .group_by(change.c.id)
        .order_by(change.c.id)
    )
    if change_id is not None:
        query = query.where(change.c.id == change_id)
    with desk.ledger.read() as connection:
        rows = connection.execute(query).all()
    return [Start(change=row.id, run_id=f"emergency__{row.id}__{row.ballot}") for row in rows]


def look_after(desk: Desk) -> list[Call]:
    """End what nobody answered in time, let on what is approved and no longer kept back, ask anew,
    say what is owed; return whom to call.

    Nothing is approved by silence: who has not answered is asked again until the change is
    answered for or given up.
    """
    end_overdue(desk)
    ask_anew(desk)
    for change_id in ready(desk, urgent=True):
        desk.go_on(change_id)
    _remind(desk)
    calls = _calls(desk)
    # Last: nothing that is approved already keeps a board from being called.
    for change_id in unblocked(desk):
        desk.settle(change_id)
    return calls


def _calls(desk: Desk) -> list[Call]:
    ballot, change = schema.ballot, schema.change
    query = (
        select(ballot.c.id, ballot.c.change_id)
        .join(change, change.c.id == ballot.c.change_id)
        .where(ballot.c.state == "open", ballot.c.meeting.is_(None))
        .where(ballot.c.closes_at > desk.clock(), change.c.release_id.is_(None))
        .where(change.c.type.in_(URGENT), change.c.state == "authorizing")
        .order_by(ballot.c.id)
    )
    with desk.ledger.read() as connection:
        rows = connection.execute(query).all()
    return [Call(change=row.change_id, run_id=f"{row.change_id}-ballot-{row.id}") for row in rows]


def _remind(desk: Desk) -> None:
    table = schema.change
    open_ = select(table.c.id).where(table.c.type.in_(URGENT), table.c.state.not_in(ENDED))
    now = desk.clock()
    with desk.ledger.read() as connection:
        notices = [
            notice
            for change in load_changes(connection, open_)
            for notice in _owed(case_of(change, connection, now, desk.settings))
        ]
    known = known_notices(desk, notices)
    for notice in notices:
        if notice.dedupe_key in known:
            continue
        with desk.unit() as unit:
            queue(unit, notice)
            unit.append(
                "change.reminded",
                desk.load(notice.thread).subject,
                reason="owed",
                message=notice.title,
            )


def _owed(case: Case) -> list[Notice]:
    change, now, zone = case.change, case.now, str(case.calendar.zone)
    return [
        change_texts.owed(
            change=change.id,
            title=change.title,
            duty=duty.title,
            due=duty.due,
            overdue=now > duty.due,
            zone=zone,
        )
        for duty in duties_of(case)
        if duty.done is None and now >= duty.due - SOON
    ]
