"""The calendar as it is in force: the reviewed file, and what was entered into the ledger since."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import select
from sqlalchemy.engine import Connection

from include.calendar import ChangeCalendar, load_calendar
from include.entries.extension import granted_extensions
from include.entries.freeze import entered_blackouts
from include.ledger import schema


def whole_calendar(
    path: Path, connection: Connection, *, name: str | None = None
) -> ChangeCalendar:
    """Return the calendar in the file at `path` with all freezes and extensions of the ledger.

    Raises ConfigError where the file cannot be used: who gets no calendar has no open window.
    """
    return with_entries(load_calendar(path, name=name), connection)


def with_entries(calendar: ChangeCalendar, connection: Connection) -> ChangeCalendar:
    """Return the calendar of a file with all freezes and extensions of the ledger."""
    return calendar.including(
        blackouts=entered_blackouts(connection),
        extensions=granted_extensions(connection, calendar),
    )


def calendar_turn(connection: Connection) -> int:
    """Return a number that grows whenever an entry is made or ended, by whatever means.

    Read it before the entries: what is entered in between then counts as news.
    """
    return int(connection.execute(select(schema.calendar_turn.c.number)).scalar_one())
