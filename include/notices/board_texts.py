"""What is said about the change advisory board's sittings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from include.notices.notice import Notice
from include.notices.wording import count, moment, one_line, shorten
from include.notices.writing import write

_LINES = 20


def cab_agenda(
    *,
    sitting: str,
    changes: Sequence[str],
    decided_by: datetime,
    zone: str,
    link: str | None = None,
) -> Notice:
    """Send the agenda of `sitting` (an id like `CAB-2026-11-26`); `changes` are its lines."""
    return write(
        "cab.agenda",
        sitting,
        title=f"{one_line(sitting)}: {count(len(changes), 'change')} on the agenda",
        text=_listed(changes) or "Nothing is to be decided.",
        fields={"Decided by": moment(decided_by, zone)},
        link=link,
        phase="agenda",
        next=f"decided by {moment(decided_by, zone)}",
    )


def cab_minutes(*, sitting: str, decisions: Sequence[str], link: str | None = None) -> Notice:
    """Send the minutes of `sitting`; `decisions` are its lines."""
    return write(
        "cab.minutes",
        sitting,
        title=f"{one_line(sitting)}: minutes",
        text=_listed(decisions) or "Nothing was decided.",
        link=link,
        phase="minutes",
        final=True,
    )


def _listed(lines: Sequence[str]) -> str:
    shown = [f"• {shorten(one_line(line), 200)}" for line in lines[:_LINES]]
    if len(lines) > _LINES:
        shown.append(f"… and {len(lines) - _LINES} more")
    return "\n".join(shown)
