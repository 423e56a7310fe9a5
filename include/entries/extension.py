"""Extended windows: time that a second person grants to one change, beyond the recurring windows.

The grant is bound to the change's content hash, as a vote is: a change that was edited since has
to ask again.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.engine import Connection, Row

from include.calendar import ChangeCalendar, Extension, Span, WindowKind
from include.changes.change import Change, book_slot, load_change
from include.entries.outcome import Entered, eligible, number, refuse, words
from include.errors import LedgerError, RequestError
from include.instants import format_instant
from include.ledger import Subject, Unit, schema
from include.people import Person

ASKERS = ("release_manager", "operations_manager", "technical_lead", "operations", "developer")
ROLES = ("operations_manager", "technical_lead", "release_manager")

# Work on a change in one of these states is still to be done, or under way.
_AHEAD = ("assessing", "authorizing", "scheduled", "implementing", "validating", "rolling_back")


def ask_extension(
    unit: Unit,
    person: Person,
    calendar: ChangeCalendar,
    change_id: str,
    *,
    window: str,
    span: Span,
    reason: str,
) -> Entered:
    """Ask for `[span.start, span.end)` for one change, on its systems; nothing is open by that.

    `window` is a window of kind extended, by name or alias; RequestError where it is not, or where
    the time is longer than it may be. LedgerError where there is no such change.
    """
    change = load_change(unit.connection, words(change_id))
    event, subject = "extension.refused", change.subject
    named = calendar.window(window)
    item = _extension(named.name, change, span)
    calendar.including(extensions=[item])
    wrong = eligible(person, ASKERS, "ask for an extended window")
    if wrong:
        return refuse(unit, event, subject, "not_eligible", wrong, change=change.id)
    reason = words(reason)
    if not reason:
        message = "say why the change needs more time"
        return refuse(unit, event, subject, "incomplete", message, change=change.id)
    if span.end <= unit.now:
        message = f"it would have ended {format_instant(span.end)}: that is over"
        return refuse(unit, event, subject, "ended", message, change=change.id)
    if change.state not in _AHEAD:
        message = f"{change.id} is {change.state}: there is no work ahead"
        return refuse(unit, event, subject, "ended", message, change=change.id)
    key = number(unit, "extension_number", "EXT")
    unit.execute(
        insert(schema.calendar_extension).values(
            id=key,
            change_id=change.id,
            content_hash=change.content_hash,
            window_name=named.name,
            starts_at=span.start,
            ends_at=span.end,
            systems=sorted(change.systems),
            reason=reason,
            state="requested",
            requested_by=person.user,
            requested_at=unit.now,
        )
    )
    message = (
        f"{key}: {person.name} asks for {format_instant(span.start)} to "
        f"{format_instant(span.end)} for {change.id}: {reason}"
    )
    unit.append(
        "extension.requested",
        Subject(kind="extension", id=key, content_hash=change.content_hash),
        message=message,
        change=change.id,
        release=change.release_id,
        details={
            "window": named.name,
            "start": format_instant(span.start),
            "end": format_instant(span.end),
        },
    )
    return Entered(ok=True, reason="requested", message=message, id=key)


def decide_extension(
    unit: Unit,
    person: Person,
    calendar: ChangeCalendar,
    key: str,
    *,
    grant: bool,
    reason: str,
) -> Entered:
    """Grant an extension, or refuse it, in the name of a second person.

    Granted, the change's slot moves there, or grows by it where it meets what is booked. Asked
    again, what was decided stands.
    """
    key = words(key)
    row = unit.row(
        select(schema.calendar_extension)
        .where(schema.calendar_extension.c.id == key)
        .with_for_update()
    )
    event = "extension.decision_refused"
    subject = Subject(kind="extension", id=key[:80])
    if row is None:
        message = f"there is no extension {key[:80]}; see `./hims window list`"
        return refuse(unit, event, subject, "not_found", message)
    if row.state != "requested":
        same = row.state == ("granted" if grant else "refused")
        message = f"{key} is {row.state} already, by {row.decided_by or row.requested_by}"
        if not same:
            return refuse(unit, event, subject, "ended", message, change=row.change_id)
        unit.append(f"extension.{row.state}", subject, message=message, change=row.change_id)
        return Entered(ok=True, reason=row.state, message=message, id=key)
    change = load_change(unit.connection, row.change_id)
    wrong = _against(unit, person, row, change, calendar, grant=grant)
    if wrong is not None:
        return refuse(unit, event, subject, *wrong, change=change.id)
    if grant:
        holder = _book(unit, change, row)
        if holder is not None:
            message = f"{holder} has booked the systems of {change.id} for a part of that time"
            return refuse(unit, event, subject, "slot_taken", message, change=change.id)
    state = "granted" if grant else "refused"
    unit.execute(
        update(schema.calendar_extension)
        .where(schema.calendar_extension.c.id == key)
        .values(
            state=state,
            decided_by=person.user,
            decided_at=unit.now,
            decision_reason=words(reason),
        )
    )
    message = (
        f"{key} is {state} by {person.name}: {change.id} "
        f"{'may' if grant else 'may not'} be done from {format_instant(row.starts_at)} to "
        f"{format_instant(row.ends_at)}{f': {words(reason)}' if reason.strip() else ''}"
    )
    unit.append(
        f"extension.{state}",
        Subject(kind="extension", id=key, content_hash=change.content_hash),
        message=message,
        change=change.id,
        release=change.release_id,
        meaning=f"{state} extended window {key} for {change.id} as {', '.join(person.titles)}",
    )
    return Entered(ok=True, reason=state, message=message, id=key)


def granted_extensions(connection: Connection, calendar: ChangeCalendar) -> list[Extension]:
    """Return what was granted, as far as `calendar` has the window that it was granted under.

    An extension of a change that was edited since, or under a window that is no more, or longer
    than that may be, opens nothing.
    """
    extension, change = schema.calendar_extension, schema.change
    rows = connection.execute(
        select(extension)
        .join(
            change,
            (change.c.id == extension.c.change_id)
            & (change.c.content_hash == extension.c.content_hash),
        )
        .where(extension.c.state == "granted", extension.c.decided_by != extension.c.requested_by)
        .order_by(extension.c.id)
    )
    found = []
    for row in rows:
        item = Extension(
            window=row.window_name,
            change=row.change_id,
            start=row.starts_at,
            end=row.ends_at,
            systems=frozenset(row.systems),
            approved_by=row.decided_by,
        )
        try:
            calendar.including(extensions=[item])
        except RequestError:
            continue
        found.append(item)
    return found


def listed_extensions(connection: Connection) -> list[dict[str, Any]]:
    """Return every extension that was asked for as plain data, oldest first."""
    table = schema.calendar_extension
    return [
        {
            "id": row.id,
            "state": row.state,
            "change": row.change_id,
            "window": row.window_name,
            "start": row.starts_at,
            "end": row.ends_at,
            "systems": row.systems,
            "reason": row.reason,
            "requested_by": row.requested_by,
            "requested_at": row.requested_at,
            "decided_by": row.decided_by,
            "decided_at": row.decided_at,
        }
        for row in connection.execute(select(table).order_by(table.c.id))
    ]


def change_of(connection: Connection, key: str) -> str | None:
    """Return the change that an extension is for; None where there is no such extension."""
    table = schema.calendar_extension
    found: str | None = connection.execute(
        select(table.c.change_id).where(table.c.id == words(key))
    ).scalar()
    return found


def slot_start(unit: Unit, change_id: str) -> datetime | None:
    """Return when the slot that a change has booked begins; None where it has none ahead."""
    table = schema.slot
    during = unit.execute(
        select(table.c.during).where(
            table.c.change_id == words(change_id), table.c.released_at.is_(None)
        )
    ).scalar()
    if during is None or (during.upper is not None and during.upper <= unit.now):
        return None
    start: datetime | None = during.lower
    return start


def calendar_name(connection: Connection, change_id: str | None) -> str:
    """Return the file name of the calendar that holds for a change: that of its release's plan."""
    table = schema.release
    found = connection.execute(
        select(table.c.plan["profile"]["calendar"].astext).where(table.c.change_id == change_id)
    ).scalar()
    return str(found or "calendar.yaml")


def _extension(window: str, change: Change, span: Span) -> Extension:
    return Extension(
        window=window,
        change=change.id,
        start=span.start,
        end=span.end,
        systems=frozenset(change.systems),
    )


def _against(
    unit: Unit,
    person: Person,
    row: Row[Any],
    change: Change,
    calendar: ChangeCalendar,
    *,
    grant: bool,
) -> tuple[str, str] | None:
    """Return the reason and the message of why `person` may not decide so; None where they may."""
    wrong = eligible(person, ROLES, "decide on an extended window")
    if wrong:
        return "not_eligible", wrong
    implementers = {str(name) for name in change.content.get("implementers") or ()}
    if person.user in {row.requested_by, change.requester, *implementers}:
        message = f"{person.name} asked for it or does the work; a second person has to decide"
        return "same_person", message
    if not grant:
        return None
    if change.content_hash != row.content_hash:
        message = f"{change.id} was edited since {row.id} was asked for; ask again"
        return "ended", message
    if row.ends_at <= unit.now or change.state not in _AHEAD:
        return "ended", f"{row.id} comes too late: its time or the work on {change.id} is over"
    try:
        calendar.including(
            extensions=[_extension(row.window_name, change, Span(row.starts_at, row.ends_at))]
        )
    except RequestError as error:
        return "not_allowed", str(error)
    return None


def _book(unit: Unit, change: Change, row: Row[Any]) -> str | None:
    """Book the time for a change that has a slot; return who else holds it, None when booked."""
    slot = schema.slot
    held = unit.row(
        select(slot.c.during, slot.c.window_name)
        .where(slot.c.change_id == change.id, slot.c.released_at.is_(None))
        .limit(1)
    )
    if held is None and change.state in ("assessing", "authorizing"):
        return None
    start, end = row.starts_at, row.ends_at
    if held is not None:
        booked: Range[Any] = held.during
        if booked.upper is not None and start <= booked.upper and booked.lower <= end:
            start, end = min(start, booked.lower), max(end, booked.upper)
        elif change.state != "scheduled":
            raise LedgerError(
                f"{change.id} is {change.state} in another slot; let that end, or grant an "
                "extension that joins it"
            )
    return book_slot(unit, change, start=start, end=end, window=row.window_name)


def window_of_kind_extended(calendar: ChangeCalendar) -> str:
    """Return the name of the calendar's window for extensions; RequestError if it has none."""
    for window in calendar.windows:
        if window.kind is WindowKind.EXTENDED:
            return window.name
    raise RequestError(
        "the calendar declares no window of kind extended, so nothing can be granted; add one "
        "with `kind: extended` and `longest`"
    )
