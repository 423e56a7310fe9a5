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
        """Open the change once, book its slot, and say who may answer for each seat."""
        from include.approvals import load_board
        from include.errors import RecordMissing
        from include.people import load_people
        from include.releases.phases.cab import open_release_change, seat_requests

        train = board(context)
        people = load_people(train.settings)
        with deliver_after(train.ledger):
            try:
                opened = open_release_change(train)
            except RecordMissing as error:
                raise AirflowFailException(str(error)) from error
            arrive(opened)
            requests = seat_requests(train, load_board(train.settings, people), people)
        return [
            {
                "seat": request["seat"],
                "title": request["title"],
                "people": request["people"],
                "subject": request["subject"],
                "body": request["body"],
                "content_hash": str(opened.result["content_hash"]),
                "assigned_users": [{"id": name, "name": name} for name in request["assigned"]],
            }
            for request in requests
        ]
