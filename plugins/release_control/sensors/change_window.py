"""Waits for a change window with enough time left, and books it.

It sleeps until shortly before the opening, gets ready, and asks the calendar anew at the opening
itself; so it does when the calendar has changed meanwhile (its file, a freeze, an extension). It
fails at once when no opening is left that the approval covers.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from release_control.boarding import arrive, board, now
from release_control.courier import deliver_after
from release_control.names import named
from release_control.triggers.calendar import CalendarTrigger, calendar_stamp
from release_control.waiting import show_waiting

# What it takes to come back from the triggerer, to start a process and to read the plan; a worker
# is held so long by a task that only waits.
HEAD_START = timedelta(seconds=2)


class ChangeWindowSensor(BaseOperator):
    """Ends when the release's slot is open and booked."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**named("wait_for_window", kwargs))

    def execute(self, context: Any, event: Any = None, opens: str | None = None) -> dict[str, Any]:
        """Enter the window, or sleep until there is one. `opens` is the instant (ISO 8601) that a
        sleep that has just ended was for."""
        from include.errors import InputError, RecordMissing
        from include.releases.phases.window import Wait, calendar_file, enter_window

        train = board(context)
        file = calendar_file(train)
        stamp = calendar_stamp(file, train.ledger)
        if opens is not None and event == {"reason": "reached"}:
            _wait_in_place(datetime.fromisoformat(opens))
        with deliver_after(train.ledger):
            try:
                outcome = enter_window(train)
            except (InputError, RecordMissing) as error:
                raise AirflowFailException(str(error)) from error
        show_waiting(context, outcome.message)
        if isinstance(outcome, Wait):
            early = (outcome.until - HEAD_START).isoformat()
            self.defer(
                trigger=CalendarTrigger(early, str(file), stamp, outcome.message),
                method_name="execute",
                kwargs={"opens": outcome.until.isoformat()},
            )
        return arrive(outcome)


def _wait_in_place(until: datetime) -> None:
    # The clock may be set meanwhile, back or forth.
    while timedelta() < (left := until - now()) <= HEAD_START:
        time.sleep(left.total_seconds())
