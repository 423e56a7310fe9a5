"""Waits until nothing is frozen any more: no freeze, no blackout, no closing holiday.

Windows do not matter to it: it guards what may be done at any hour except in a freeze, such as a
deploy to staging.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from release_control.boarding import board
from release_control.names import named
from release_control.waiting import show_waiting


class FreezeSensor(BaseOperator):
    """Ends when the train's systems are not frozen in `environment`.

    It sleeps until the freeze ends, asks again when it wakes or the calendar has changed, and fails
    at once where the freeze outlasts the approval that the plan leaves room for.
    """

    def __init__(self, *, environment: str, **kwargs: Any) -> None:
        super().__init__(**named(f"wait_for_{environment}_thaw", kwargs))
        self.environment = environment

    def execute(self, context: Any, event: Any = None) -> str:
        """Return once nothing is frozen, or sleep until then."""
        from include.releases.phases.thaw import Frozen, thawed
        from include.releases.phases.window import calendar_file
        from release_control.triggers.calendar import CalendarTrigger, calendar_stamp

        train = board(context)
        file = calendar_file(train)
        stamp = calendar_stamp(file, train.ledger)
        outcome = thawed(train, self.environment)
        show_waiting(context, outcome.message)
        if isinstance(outcome, Frozen):
            if outcome.until is None:
                raise AirflowFailException(outcome.message)
            until = outcome.until.isoformat()
            self.defer(
                trigger=CalendarTrigger(until, str(file), stamp, outcome.message),
                method_name="execute",
            )
        return outcome.message
