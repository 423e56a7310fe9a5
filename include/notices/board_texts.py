"""What is said about the change advisory board's sittings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from include.notices.notice import Notice
from include.notices.wording import bullets, count, moment
from include.notices.writing import write


def cab_agenda(
    *,
    meeting: str,
    changes: Sequence[str],
    decided_by: datetime,
    zone: str,
    link: str | None = None,
) -> Notice:
    """Send the agenda of `meeting` (the run's id); `changes` are its lines."""
    return write(
        "cab.agenda",
        f"CAB {meeting}",
        title=f"CAB: {count(len(changes), 'change')} on the agenda",
        text=bullets(changes),
        fields={"Decided by": moment(decided_by, zone)},
        link=link,
        phase="agenda",
        next=f"decided by {moment(decided_by, zone)}",
    )


def cab_minutes(*, meeting: str, decisions: Sequence[str], link: str | None = None) -> Notice:
    """Send the minutes of `meeting` (the run's id); `decisions` are its lines."""
    return write(
        "cab.minutes",
        f"CAB {meeting}",
        title=f"CAB: minutes of {count(len(decisions), 'change')}",
        text=bullets(decisions),
        link=link,
        phase="minutes",
        final=True,
    )
