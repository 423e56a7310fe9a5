"""Sleeps until an instant, or until the calendar is no longer what it was when it was asked.

The calendar is a file and what was entered into the ledger since. A freeze that is entered, or a
file that is edited, wakes who waits within seconds; a file that stays and a ledger that is silent
cost nothing but a look at the file now and then.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from release_control.triggers.instant import seconds_until
from release_control.triggers.ledger_ear import ledger_ear

if TYPE_CHECKING:
    from include.ledger import Ledger

# Seconds from one look at the file to the next.
FILE_LOOK = 2.0


class CalendarTrigger(BaseTrigger):
    """Fires at `instant` (ISO 8601 with offset), or when the calendar in `file` and the ledger is
    not the one of `stamp`, a `calendar_stamp` from before it was asked.

    `waiting` is what is being waited for, in words: it is in the trigger's log and its arguments,
    where people look while the task is deferred.
    """

    def __init__(self, instant: str, file: str, stamp: str, waiting: str = "") -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.instant = instant
        self.file = file
        self.stamp = stamp
        self.waiting = waiting

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return how the triggerer makes this trigger again after a restart."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "instant": self.instant,
                "file": self.file,
                "stamp": self.stamp,
                "waiting": self.waiting,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: `reached`, or `changed` when the calendar did."""
        if self.waiting:
            self.log.info("%s", self.waiting)
        then_file, _, then_turn = self.stamp.rpartition("/")
        async with ledger_ear() as ear:
            while True:
                left = seconds_until(self.instant)
                if left <= 0:
                    yield TriggerEvent({"reason": "reached"})  # type: ignore[no-untyped-call]
                    return
                turned = ear.turn is not None and str(ear.turn) != then_turn
                if turned or file_stamp(self.file) != then_file:
                    yield TriggerEvent({"reason": "changed"})  # type: ignore[no-untyped-call]
                    return
                await ear.wait(min(left, FILE_LOOK))


def calendar_stamp(file: Path, ledger: Ledger) -> str:
    """Return what changes when the calendar does. Take it before the calendar is asked: what
    changes after that wakes the trigger at once."""
    from include.entries.whole_calendar import calendar_turn

    with ledger.read() as connection:
        turn = calendar_turn(connection)
    return f"{file_stamp(str(file))}/{turn}"


def file_stamp(path: str) -> str:
    """Return what changes when the file does; `-` where there is no file."""
    try:
        found = Path(path).stat()
    except OSError:
        return "-"
    return f"{found.st_mtime_ns}.{found.st_size}.{found.st_ino}"
