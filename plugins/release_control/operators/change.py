"""Opens the release's change and asks for one vote per seat."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from release_control.boarding import arrive, board
from release_control.courier import deliver_after
from release_control.names import named


class OpenReleaseChangeOperator(BaseOperator):
    """Returns one set of arguments for `SeatVoteOperator` per seat that the plan requires."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**named("open_change", kwargs))

    def execute(self, context: Any) -> list[dict[str, Any]]:
        """Open the change once, book its slot, and name the seats that are asked."""
        from include.errors import RecordMissing
        from include.releases.phases.cab import open_release_change

        train = board(context)
        with deliver_after(train.ledger):
            try:
                opened = open_release_change(train)
            except RecordMissing as error:
                raise AirflowFailException(str(error)) from error
            arrive(opened)
        return [{"seat": seat.name, "title": seat.title} for seat in train.plan.seats]
