"""Looks after what cannot wait for the board's meeting, whoever handed it in, nor for a window."""

from __future__ import annotations

import logging
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowRuntimeError

from release_control.changes import desk_of
from release_control.courier import deliver_after
from release_control.names import named
from release_control.runs import start_run

log = logging.getLogger(__name__)


def start_emergencies(desk: Any, change: str | None = None) -> list[str]:
    """Start the implementation of approved emergencies (or of `change`, if it is one); return those
    that were started now. One that cannot be started is tried again by the Dag `urgent_changes`."""
    from include.changes.urgent import approved

    started = []
    for start in approved(desk, change):
        try:
            if start_run("change_implementation", start.run_id, {"change": start.change}):
                started.append(start.change)
        except AirflowRuntimeError as error:
            log.error("%s cannot be started yet: %s", start.change, error)  # noqa: TRY400
    return started


class CallBoardsOperator(BaseOperator):
    """Starts a ballot for each emergency that nobody was called for; reminds of what is owed."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**named("call_boards", kwargs))

    def execute(self, context: Any) -> list[str]:
        """Return the changes whose board was called now."""
        from include.changes.urgent import look_after

        desk = desk_of(context)
        with deliver_after(desk.ledger):
            calls = look_after(desk)
        return [
            call.change
            for call in calls
            if start_run("cab_ballot", call.run_id, {"changes": [call.change]})
        ]


class StartEmergenciesOperator(BaseOperator):
    """Starts what was approved and not begun; the vote that decides starts it, if it can."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**named("start_emergencies", kwargs))

    def execute(self, context: Any) -> list[str]:
        """Return the changes whose implementation was started now."""
        return start_emergencies(desk_of(context))
