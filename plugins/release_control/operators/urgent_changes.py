"""Looks after what cannot wait for the board's meeting, whoever handed it in."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator

from release_control.changes import desk_of
from release_control.courier import deliver_after
from release_control.names import named
from release_control.runs import start_run


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
