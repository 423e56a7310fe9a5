"""What becomes of a change when its window closes on it: finish, hold or lead back, as declared."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from include.changes.case import Case, case_of
from include.changes.change import Change, book_slot, load_change
from include.changes.condition import plain, refusals
from include.changes.desk import Desk
from include.changes.guards import GUARDS
from include.changes.machine import machine_of
from include.changes.openings import denied_now, state_now
from include.changes.permit import MEANWHILE, issue_permit
from include.changes.ruling import Ruling
from include.changes.work import work_state, write_work
from include.errors import ConfigError
from include.instants import format_instant
from include.ledger import Outcome, Unit, schema
from include.windows.closing import OnClose, closing_order, declared

# What is asked anew when time was granted; not whether all the work fits: some of it is done.
_ANEW = ("votes", "model", *MEANWHILE)
# The row of a change that holds because its window closed on it.
_HELD = "held at the closing"


def order_at_closing(desk: Desk, change: Change, holder: str) -> OnClose | Ruling | None:
    """Return what the change has declared for the closing of its window, if that has closed on it;
    None while it is in its slot, or put on hold by a person. A freeze, blackout or incident that
    was entered since it began closes its window like any other end; for an emergency, which has no
    window, a hard blackout does.

    Time that it was granted since is used under a permit of its own; the ruling says why not.
    """
    with desk.ledger.read() as connection:
        now = load_change(connection, change.id)
        case = case_of(now, connection, desk.clock(), desk.settings)
        if now.held_because:
            return None
        denied = denied_now(case)
        in_slot = not refusals(GUARDS["slot"](case))
        if in_slot and not _outlasted(case, holder) and not denied:
            return None
        held = held_at_closing(connection, now)
        if case.emergency and not held and not denied:
            return None  # its permit has ended with its slot: nobody has closed anything on it
        closes = closes_at(case)
        if closes is None:
            return closing_order(connection, now.id) or declared(now.content)
        if not in_slot and not held:
            return None
    return _let_on(desk, now, holder, min(closes, case.now + case.needs), book=not in_slot)


def held_at_closing(connection: Connection, change: Change) -> bool:
    """Return whether the change has been left as it is because its window closed on it."""
    return work_state(connection, change, _HELD) == "started"


def _outlasted(case: Case, holder: str) -> bool:
    """Whether the run's permit has ended before the slot: then that was made longer since."""
    table = schema.permit
    ends = case.connection.execute(
        select(func.max(table.c.expires_at)).where(
            table.c.change_id == case.change.id,
            table.c.content_hash == case.change.content_hash,
            table.c.holder == holder,
            table.c.closed_at.is_(None),
        )
    ).scalar()
    return ends is not None and ends <= case.now


def closes_at(case: Case) -> datetime | None:
    """Return until when it is open for the change now, None while it is closed; what cannot be
    read is closed. An emergency has as long as its work takes."""
    try:
        state = state_now(case)
    except ConfigError:
        return None
    if not state.open or denied_now(case):
        return None
    return state.closes or case.now + case.needs


def _let_on(
    desk: Desk, change: Change, holder: str, until: datetime, *, book: bool
) -> Ruling | None:
    if book:
        # A unit of its own: the guards trust no row that no record vouches for yet.
        with desk.unit() as unit:
            window = "emergency" if change.type == "emergency" else "extended"
            other = book_slot(unit, change, start=unit.now, end=until, window=window)
            if other is not None:
                systems = ", ".join(change.systems)
                message = f"{other} works on {systems}; try again when it has ended"
                return _not_let_on(unit, change, "slot", message)
            when = f"{format_instant(unit.now)} to {format_instant(until)}"
            unit.append("slot.moved", change.subject, reason=window,
                        message=f"{change.id} works {when}")  # fmt: skip
    with desk.unit() as unit:
        case = desk.case(unit, load_change(unit.connection, change.id, lock=True))
        (way,) = [way for way in machine_of(change) if way.target == "implementing"]
        asked = [name for name in way.guards if name in _ANEW]
        conditions = [condition for name in asked for condition in GUARDS[name](case)]
        if found := refusals(conditions):
            said = "; ".join(f"{item.code}: {item.message}" for item in found)
            return _not_let_on(unit, change, found[0].code, said[:2000])
        issue_permit(unit, change, holder, until, plain(conditions))
        write_work(unit, change, _HELD, None)
    return None


def _not_let_on(unit: Unit, change: Change, reason: str, message: str) -> Ruling:
    unit.append("change.held_at_closing", change.subject, outcome=Outcome.DENIED,
                reason=reason, message=message)  # fmt: skip
    return Ruling(ok=False, reason=reason, message=message)


def end_hold(unit: Unit, case: Case) -> None:
    """Take back that a change holds, where nothing closes the rest of its slot any more."""
    if held_at_closing(case.connection, case.change) and not refusals(GUARDS["slot"](case)):
        write_work(unit, case.change, _HELD, None)


def hold_at_closing(desk: Desk, change: Change, step: str, done: int) -> Ruling:
    """Leave the change as it is, before a step, for a person to decide."""
    with desk.unit() as unit:
        denied = denied_now(desk.case(unit, change))
        over = "once that is over (or, if it is a freeze, it is excepted: ./hims freeze except)"
        go_on = f"{over}, ./hims change again {change.id}" if denied else (
            "extend its window (./hims window extend)"
        )  # fmt: skip
        message = (
            f"its window closed on {change.id}{f' ({denied})' if denied else ''}: it holds before "
            f"“{step}”, as declared, with {done} steps done. To let it go on, {go_on}; to lead it "
            f"back, ./hims change lead-back {change.id}. Its run begins again within minutes after "
            "that"
        )
        write_work(unit, change, _HELD, {"before": step}, state="started")
        unit.append("change.held_at_closing", change.subject, outcome=Outcome.DENIED,
                    reason="window_closed", message=message)  # fmt: skip
    return Ruling(ok=False, reason="window_closed", message=message)
