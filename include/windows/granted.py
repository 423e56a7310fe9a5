"""Windows that were granted to one change: who attends them, since no schedule knows of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.engine import Connection

from include.calendar import ChangeCalendar, Span
from include.entries.extension import granted_extensions
from include.ledger import schema
from include.windows.opening import UNDER_WAY, Attended


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantedOpening:
    """An opening that was granted, and the run of `change_window` that attends it: one, however
    often it is asked for."""

    opening: Attended
    run_id: str


def granted_openings(
    connection: Connection, calendar: ChangeCalendar, now: datetime, *, ahead: timedelta
) -> list[GrantedOpening]:
    """Return what was granted to changes that wait or are under way, and is open at `now` or within
    `ahead` of it.

    A change under way is told at the end of it what it declared, as at any closing. `calendar` is
    the one of the file: what a freeze does meanwhile is the run's to ask. Changes of releases are
    not among them: their trains wait for themselves.
    """
    change = schema.change
    rows = connection.execute(
        select(change.c.id).where(
            change.c.state.in_(("scheduled", *UNDER_WAY)), change.c.release_id.is_(None)
        )
    )
    unfinished = {row.id for row in rows}
    spans = {
        Span(item.start, item.end)
        for item in granted_extensions(connection, calendar)
        if item.change in unfinished and item.start <= now + ahead and now < item.end
    }
    return [
        GrantedOpening(
            opening=Attended(span=span),
            run_id=f"granted__{span.start:%Y%m%dT%H%M%SZ}__{span.end:%Y%m%dT%H%M%SZ}",
        )
        for span in sorted(spans)
    ]
