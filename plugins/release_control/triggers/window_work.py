"""Sleeps while a window is open and nothing can start, until something about its changes is news.

It looks into the ledger every two seconds, which only an open window asks for: two hours a week.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from release_control.triggers.calendar import file_stamp
from release_control.triggers.instant import seconds_until

log = logging.getLogger(__name__)

# Seconds.
LOOK = 2.0


class WindowWorkTrigger(BaseTrigger):
    """Fires at `instant`, when the calendar differs from `stamp`, or the work from `work`.

    `opening` is the start and the end of the window.
    """

    def __init__(
        self, instant: str, file: str, stamp: str, opening: tuple[str, str], work: str
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.instant = instant
        self.file = file
        self.stamp = stamp
        self.opening = opening
        self.work = work

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return how the triggerer makes this trigger again after a restart."""
        return (
            "release_control.triggers.window_work.WindowWorkTrigger",
            {
                "instant": self.instant,
                "file": self.file,
                "stamp": self.stamp,
                "opening": list(self.opening),
                "work": self.work,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: `reached`, or `changed`."""
        ledger = await sync_to_async(_ledger)()
        while (left := seconds_until(self.instant)) > 0:
            try:
                seen = await sync_to_async(self._seen)(ledger)
            except Exception as error:
                # A ledger that is away is asked again; the instant comes all the same.
                log.warning("the work of the window cannot be seen: %s", error)
                seen = (self.stamp, self.work)
            if seen != (self.stamp, self.work):
                yield TriggerEvent({"reason": "changed"})  # type: ignore[no-untyped-call]
                return
            await asyncio.sleep(min(left, LOOK))
        yield TriggerEvent({"reason": "reached"})  # type: ignore[no-untyped-call]

    def _seen(self, ledger: Any) -> tuple[str, str]:
        from include.calendar import Span
        from include.entries.whole_calendar import calendar_turn
        from include.instants import parse_instant
        from include.windows.opening import Attended
        from include.windows.starting import work_stamp

        start, end = (parse_instant(text) for text in self.opening)
        with ledger.read() as connection:
            turn = calendar_turn(connection)
            work = work_stamp(connection, Attended(span=Span(start, end)))
        return f"{file_stamp(self.file)}/{turn}", work


def _ledger() -> Any:
    from release_control import connections

    return connections.ledger()
