"""What is said when a window opens, or would have."""

from __future__ import annotations

from include.calendar import ChangeCalendar
from include.ledger import Unit
from include.notices import calendar_texts
from include.notices.outbox import queue
from include.windows.opening import Attended, due_changes


def announce(unit: Unit, calendar: ChangeCalendar, opening: Attended) -> str:
    """Record that a window opens and tell operations what is due in it; once per opening.

    What a freeze that was entered meanwhile keeps closed is recorded as closed, and by what; nobody
    is told that it opens.
    """
    due = due_changes(unit.connection, opening.span, states=("scheduled",))
    slots = calendar.every_slot(opening.span.start, opening.span.end)
    closed = bool(slots) and not any(slot.open for slot in slots)
    against = [reason.message for slot in slots for reason in slot.reasons]
    message = (
        f"the window {opening.local(calendar.zone)} "
        f"{'stays closed' if closed else 'opens'}; due: {len(due)}"
        f"{'; ' + '; '.join(dict.fromkeys(against)) if against else ''}"
    )
    unit.append(
        "window.announced",
        opening.subject,
        reason="closed" if closed else "opens",
        message=message[:2000],
        details={"due": [item.id for item in due]},
    )
    if not closed:
        queue(
            unit,
            calendar_texts.window_opens(
                window=window_name(calendar, opening),
                opens=opening.span.start,
                closes=opening.span.end,
                starting=[item.id for item in due],
                zone=str(calendar.zone),
            ),
        )
    return message


def window_name(calendar: ChangeCalendar | None, opening: Attended) -> str:
    """Return what the windows that open then are called."""
    names = () if calendar is None else calendar.state(opening.span.start).windows
    return ", ".join(names) or "Change"
