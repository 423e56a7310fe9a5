"""Waits for a change window with enough time left, and books it.

It sleeps until the opening and asks the calendar anew there; so it does when the calendar has
changed meanwhile (its file, a freeze, an extension). It fails at once when no opening is left that
the approval covers.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from release_control.boarding import arrive, board
from release_control.courier import deliver_after
from release_control.names import named
from release_control.waiting import show_waiting


class ChangeWindowSensor(BaseOperator):
    """Ends when the release's slot is open and booked."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**named("wait_for_window", kwargs))

    def execute(self, context: Any, event: Any = None) -> dict[str, Any]:
        """Enter the window, or sleep until there is one."""
        from include.errors import InputError, RecordMissing
        from include.releases.phases.window import Wait, calendar_file, enter_window
        from release_control.triggers.calendar import calendar_stamp
        from release_control.triggers.window_entry import WindowEntryTrigger

        train = board(context)
        file = calendar_file(train)
        stamp = calendar_stamp(file, train.ledger)
        with deliver_after(train.ledger):
            try:
                outcome = enter_window(train)
            except (InputError, RecordMissing) as error:
                raise AirflowFailException(str(error)) from error
        show_waiting(context, outcome.message)
        if isinstance(outcome, Wait):
            self.defer(
                trigger=WindowEntryTrigger(
                    outcome.until.isoformat(), str(file), stamp, outcome.message
                ),
                method_name="execute",
            )
        return arrive(outcome)
