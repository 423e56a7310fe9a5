"""Looks after what cannot wait for the board's meeting, nor for a window, and what has stopped."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowRuntimeError

from release_control.changes import desk_of
from release_control.courier import deliver_after
from release_control.names import named
from release_control.runs import run_state, start_run

if TYPE_CHECKING:
    from include.changes.broken_run import Start

DAG = "change_implementation"
log = logging.getLogger(__name__)


def start_emergencies(desk: Any, change: str | None = None) -> list[str]:
    """Start the implementation of approved emergencies (or of `change`, if it is one); return those
    that were started now. One that cannot be started is tried again by the Dag `urgent_changes`."""
    from include.changes.urgent import approved

    started = []
    for start in approved(desk, change):
        try:
            if start_run(DAG, start.run_id, {"change": start.change}):
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
        from include.changes.urgent import approved

        desk = desk_of(context)
        with deliver_after(desk.ledger):
            return [*start_emergencies(desk), *_begin_again(desk, approved(desk))]


class BeginAgainOperator(BaseOperator):
    """Begins runs again that have ended before the change that they were to implement.

    Of what somebody or a guard has stopped, and of what fails again and again, people are told.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**named("begin_again", kwargs))

    def execute(self, context: Any) -> list[str]:
        """Return the changes whose run was begun again now."""
        from include.changes.broken_run import asked_for, under_way

        desk = desk_of(context)
        with deliver_after(desk.ledger):
            return _begin_again(desk, [*under_way(desk), *asked_for(desk)])


def _begin_again(desk: Any, starts: Iterable[Start]) -> list[str]:
    from include.changes.broken_run import GOES_ON, again, cut_short
    from include.errors import InputError

    begun = []
    for start in starts:
        try:
            ended = run_state(DAG, start.run_id) not in GOES_ON
            if (ended or cut_short(desk, start)) and again(desk, start).ok:
                start_run(DAG, start.run_id, {"change": start.change}, anew=True)
                begun.append(start.change)
        except (AirflowRuntimeError, InputError) as error:
            # One that cannot be judged keeps no other from being led on, or back.
            log.error("%s cannot be begun again yet: %s", start.change, error)  # noqa: TRY400
    return begun
