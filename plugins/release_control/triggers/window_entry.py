"""Sleeps until a window opens, and enters it for a train.

The triggerer does so itself: at an opening that many trains wait for, a process for each of them
would take longer to start than the entering takes. What is not entered there, for whatever reason,
wakes the task, which asks again and says why.

All trains of a triggerer enter one after the other, in one process, so nothing is done between that
can be done before or afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TaskSuccessEvent, TriggerEvent
from asgiref.sync import sync_to_async

from release_control import connections
from release_control.boarding import board
from release_control.courier import deliver_calmly
from release_control.triggers.calendar import CalendarTrigger

if TYPE_CHECKING:
    from include.ledger import Ledger

# Seconds after an entering until what it has to say goes out: by then all who enter have entered.
_LATER = 1.0


class _Courier:
    """The one delivery that waits here, for all who enter before it begins; a task of the process,
    since Airflow ends a trigger's own once its event is known."""

    waiting: asyncio.Future[None] | None = None


class WindowEntryTrigger(CalendarTrigger):
    """Ends its task once the window is entered that opens at `instant`.

    Fires `reached` when that cannot be, and `changed` when the calendar did (see CalendarTrigger).
    May be run more than once, and by two triggerers: a train enters once.
    """

    _ledger_url: str | None = None

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event, and deliver what the entering has to say."""
        # What is slow the first time is not to be slow at the opening.
        await sync_to_async(self._get_ready)()
        async for event in super().run():
            if event.payload != {"reason": "reached"}:
                yield event
                return
            entered = await sync_to_async(self._enter)()
            if entered is None:
                yield event
                return
            ledger, result = entered
            yield TaskSuccessEvent(xcoms={"return_value": result})
            await _deliver(ledger)

    def _get_ready(self) -> None:
        from include.entries.whole_calendar import whole_calendar
        from include.releases.phases.window import calendar_file

        try:
            # Asked of the triggerer's supervisor, which answers between other things.
            self._ledger_url = connections.database_url(connections.LEDGER)
            ledger = _ledger(self._ledger_url)
            with ledger.read() as connection:
                file = calendar_file(board({"ti": self.task_instance}, ledger))
                whole_calendar(file, connection, name=self.file)
        except Exception as error:
            # Whoever cannot get ready is slow, or is refused at the opening and told why.
            self.log.info("the window cannot be prepared for: %s", error)

    def _enter(self) -> tuple[Ledger, dict[str, Any]] | None:
        from include.releases.phases.window import Wait, enter_window

        try:
            ledger = _ledger(self._ledger_url or connections.database_url(connections.LEDGER))
            outcome = enter_window(board({"ti": self.task_instance}, ledger))
        except Exception as error:
            self.log.warning("the window is not entered here, the task tries again: %s", error)
            return None
        if isinstance(outcome, Wait) or not outcome.ok:
            return None
        self.log.info("%s", outcome.message)
        return ledger, {"message": outcome.message, "reason": outcome.reason}


@cache
def _ledger(url: str) -> Ledger:
    """Return the ledger that all trains of this process share, with what it has learnt to ask."""
    from include.ledger import Ledger

    return Ledger(url)


async def _deliver(ledger: Ledger) -> None:
    if _Courier.waiting is None:
        _Courier.waiting = asyncio.ensure_future(_deliver_later(ledger))
        await asyncio.shield(_Courier.waiting)


async def _deliver_later(ledger: Ledger) -> None:
    try:
        await asyncio.sleep(_LATER)
    finally:
        # Before it begins: what is queued from here on, another one delivers.
        _Courier.waiting = None
    # Not on the thread on which others enter: a channel may hang.
    await sync_to_async(deliver_calmly, thread_sensitive=False)(ledger)
