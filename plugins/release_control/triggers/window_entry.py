"""Sleeps until a window opens, and enters it for a train.

The triggerer does so itself: at an opening that many trains wait for, a process for each of them
would take longer to start than the entering takes. What is not entered there, for whatever reason,
wakes the task, which asks again and says why.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TaskSuccessEvent, TriggerEvent
from asgiref.sync import sync_to_async

from release_control import connections
from release_control.boarding import board
from release_control.courier import deliver_calmly
from release_control.triggers.calendar import CalendarTrigger

if TYPE_CHECKING:
    from include.ledger import Ledger


class WindowEntryTrigger(CalendarTrigger):
    """Ends its task once the window is entered that opens at `instant`.

    Fires `reached` when that cannot be, and `changed` when the calendar did (see CalendarTrigger).
    May be run more than once, and by two triggerers: a train enters once.
    """

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
            # Not on the thread on which others enter: a channel may hang.
            await sync_to_async(_deliver, thread_sensitive=False)(ledger)

    def _get_ready(self) -> None:
        from include.entries.whole_calendar import whole_calendar
        from include.releases.phases.window import calendar_file

        try:
            with closing(connections.ledger()) as ledger, ledger.read() as connection:
                file = calendar_file(board({"ti": self.task_instance}, ledger))
                whole_calendar(file, connection, name=self.file)
        except Exception as error:
            # Whoever cannot get ready is slow, or is refused at the opening and told why.
            self.log.info("the window cannot be prepared for: %s", error)

    def _enter(self) -> tuple[Ledger, dict[str, Any]] | None:
        from include.releases.phases.window import Wait, enter_window

        with ExitStack() as unless_entered:
            try:
                ledger = connections.ledger()
                unless_entered.callback(ledger.close)
                outcome = enter_window(board({"ti": self.task_instance}, ledger))
            except Exception as error:
                self.log.warning("the window is not entered here, the task tries again: %s", error)
                return None
            if isinstance(outcome, Wait) or not outcome.ok:
                return None
            unless_entered.pop_all()
        self.log.info("%s", outcome.message)
        return ledger, {"message": outcome.message, "reason": outcome.reason}


def _deliver(ledger: Ledger) -> None:
    deliver_calmly(ledger)
    ledger.close()
