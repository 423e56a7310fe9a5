"""The first task of a train: freezes the release plan, or refuses the request with its reasons."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError

from release_control import connections
from release_control.boarding import board, now, requester, source_of
from release_control.courier import deliver_after
from release_control.names import named


class FreezeReleasePlanOperator(BaseOperator):
    """Draws the plan from the run's conf and writes it to the ledger."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**named("freeze_release_plan", kwargs))

    def execute(self, context: Any) -> dict[str, Any]:
        """Return the release's id and dates. A bad request is recorded and ends the train."""
        from include.approvals import load_board
        from include.errors import InputError, RepositoryError, RequestError
        from include.people import load_people
        from include.releases.release import Run, begin_release, refuse_release
        from include.releases.request import read_request
        from include.settings import load_settings

        ti, conf = context["ti"], dict(context["params"])
        settings, ledger = load_settings(), connections.ledger()
        actor, source = requester(context), source_of(context)
        url = settings.run_url(ti.dag_id, ti.run_id)
        with deliver_after(ledger):
            try:
                people = load_people(settings)
                if people.find(actor.user) is None:
                    raise RequestError(
                        f"the run was started by {actor.user}, whom config/people.yaml does not "
                        "know: whoever asks for a release may not vote on it, so it has to be "
                        "somebody; sign in, and trigger it as yourself"
                    )
                request = read_request(conf, requester=actor.user, requester_name=actor.name)
                plan = begin_release(
                    ledger,
                    settings,
                    load_board(settings, people),
                    request,
                    Run(dag_id=ti.dag_id, run_id=ti.run_id, url=url),
                    actor=actor,
                    source=source,
                    now=now(),
                    run_state=lambda dag_id, run_id: run_state(ti, dag_id, run_id),
                )
            except (InputError, RepositoryError) as error:
                service = str(conf.get("service"))
                refuse_release(ledger, actor, source, now(), service, str(error))
                # Above the trace that Airflow adds, which says nothing to those who read this.
                self.log.error("The release was not planned: %s", error)  # noqa: TRY400
                raise AirflowFailException(f"the release was not planned: {error}") from None
            self._settle(context, ledger)
        return {
            "release": plan.release,
            "feature_freeze": plan.feature_freeze.isoformat(),
            "code_freeze": plan.code_freeze.isoformat(),
            "slot": plan.slot.local,
        }

    def _settle(self, context: Any, ledger: Any) -> None:
        """Undo what an earlier attempt, whose run was ended by hand, left in production."""
        from include.releases.phases.rollback import undo_dead_attempt

        undone = undo_dead_attempt(board(context, ledger))
        if undone is not None:
            self.log.warning("An earlier attempt was undone: %s", undone.message)


def run_state(ti: Any, dag_id: str, run_id: str) -> Any:
    """Return a run's state, None where Airflow knows no such run.

    Any other answer is raised: a run that cannot be asked about may be alive.
    """
    try:
        # A word to compare, not to print: str() of it is "DagRunState.FAILED".
        return ti.get_dagrun_state(dag_id, run_id)
    except AirflowRuntimeError as error:
        if (error.error.detail or {}).get("status_code") == HTTPStatus.NOT_FOUND:
            return None
        raise
