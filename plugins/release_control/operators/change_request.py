"""A change request comes in: checked, written down, assessed, put before the board."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from release_control.changes import asked_by, desk_of
from release_control.courier import deliver_after
from release_control.names import named
from release_control.runs import start_run


class ValidateRequestOperator(BaseOperator):
    """Says everything that is wrong with the request at once; nothing is written then."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**named("validate_request", kwargs))

    def execute(self, context: Any) -> None:
        """Read the run's conf: a file under config/changes, or the form."""
        _request(context)


class SubmitChangeOperator(BaseOperator):
    """Writes the change down in the name of who triggered the run; once per run."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**named("submit_change", kwargs))

    def execute(self, context: Any) -> str:
        """Return the change's id."""
        desk = asked_by(context)
        found = desk.submitted_by(context["ti"].run_id)
        if found is not None:
            return found
        person = desk.catalogue.people.find(desk.actor.user)
        if person is None:
            raise AirflowFailException(
                f"the run was started by {desk.actor.user}, whom config/people.yaml does not know: "
                "who asks for a change does not vote on it, so it has to be somebody"
            )
        with deliver_after(desk.ledger):
            return desk.open(_request(context), person).id


class AssessChangeOperator(BaseOperator):
    """Computes the risk, looks for conflicts, and puts the change before the board if it may."""

    def __init__(self, *, change: Any, **kwargs: Any) -> None:
        super().__init__(**named("assess_change", kwargs))
        self.change = change

    template_fields = ("change",)

    def execute(self, context: Any) -> dict[str, Any]:
        """Return where the change stands now, and what it waits for."""
        desk = desk_of(context)
        with deliver_after(desk.ledger):
            change, ruling = desk.go_on(self.change)
        self.log.info("%s is %s: %s", change.id, change.state, ruling.message)
        return {
            "change": change.id,
            "type": change.type,
            "state": change.state,
            "message": ruling.message,
        }


class CallBoardOperator(BaseOperator):
    """Calls the on-call three at once for an emergency; other changes wait for the meeting."""

    template_fields = ("assessed",)

    def __init__(self, *, assessed: Any, **kwargs: Any) -> None:
        super().__init__(**named("call_board", kwargs))
        self.assessed = assessed

    def execute(self, context: Any) -> str:
        """Start a ballot on this change alone, once, and return its run."""
        from include.changes.urgent import URGENT

        urgent = self.assessed["type"] in URGENT
        if not urgent or self.assessed["state"] != "authorizing":
            raise AirflowSkipException(f"{self.assessed['change']} waits for the board's meeting")
        run_id = f"{context['ti'].run_id}-ballot"
        if not start_run("cab_ballot", run_id, {"changes": [self.assessed["change"]]}):
            self.log.info("%s has been started already", run_id)
        return run_id


def _request(context: Any) -> Any:
    from include.changes.conf import request_of
    from include.errors import InputError

    desk = desk_of(context)
    try:
        return request_of(dict(context["params"]), desk.catalogue)
    except InputError as error:
        raise AirflowFailException(f"the request is not usable:\n{error}") from error
