"""What is said when a change window opens and closes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from include.instants import format_instant
from include.notices.notice import Notice, Severity
from include.notices.wording import bullets, count, listed, moment, one_line
from include.notices.writing import write


def window_opens(
    *,
    window: str,
    opens: datetime,
    closes: datetime,
    starting: Sequence[str],
    zone: str,
    link: str | None = None,
) -> Notice:
    """Tell that `window` is open; `starting` are the changes that start in it, by their ids."""
    return write(
        "calendar.opened",
        _thread(window, opens),
        title=f"{one_line(window)} window is open",
        text=f"{count(len(starting), 'change')} to start: {listed(starting)}."
        if starting
        else "Nothing is due in it.",
        fields={"Closes": moment(closes, zone)},
        link=link,
        phase="open",
        next=f"closes {moment(closes, zone)}",
    )


def window_closes(
    *,
    window: str,
    opens: datetime,
    closed: datetime,
    done: int,
    unfinished: Sequence[str],
    zone: str,
    link: str | None = None,
) -> Notice:
    """Tell that `window` (which opened at `opens`) has closed, and what is `unfinished`."""
    left = f"Unfinished:\n{bullets(unfinished)}" if unfinished else "Nothing is unfinished."
    return write(
        "calendar.closed",
        _thread(window, opens),
        severity=Severity.WARNING if unfinished else Severity.INFO,
        title=f"{one_line(window)} window is closed",
        text=f"{count(done, 'change')} done. {left}",
        fields={"Closed": moment(closed, zone)},
        link=link,
        phase="closed",
        final=True,
    )


def _thread(window: str, opens: datetime) -> str:
    return f"{one_line(window)} {format_instant(opens)}"
