"""A question to people outside of any release: what a desk of the domain asks, and what they say.

A desk is a module with `ask` and `answer` (`include.access.question`); it is named, like
`access.audit_response`, not imported.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from release_control import connections
from release_control.boarding import now, once_it_answers, person, requester, source_of
from release_control.names import named
from release_control.operators.checkpoint import answered, human_task

DESKS = "include"


class QuestionOperator(HITLOperator):
    """Asks what the desk asks at `step`; every answer is a record."""

    # What people wrote is shown as it is: no templates.
    template_fields: Sequence[str] = ()

    def __init__(self, *, desk: str, step: str, options: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(subject=step, options=list(options), **human_task(kwargs))
        self.desk = desk
        self.step = step

    def execute(self, context: Any) -> None:
        """Write what the person has to know, and park without a worker."""
        once_it_answers(lambda: self._ask(context))
        super().execute(context)

    def _ask(self, context: Any) -> None:
        from include.errors import InputError, RecordMissing
        from include.settings import load_settings

        run_id = context["ti"].run_id
        try:
            question = _desk(self.desk).ask(
                connections.ledger(), load_settings(), run_id, self.step, now()
            )
        except (InputError, RecordMissing) as error:
            raise AirflowFailException(str(error)) from error
        self.subject, self.body = question.subject, question.body
        self.response_timeout = question.patience
        self.assigned_users = [{"id": f"group:{name}", "name": name} for name in question.groups]

    def execute_complete(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Record the answer; a no, or silence, ends the run here."""
        return once_it_answers(lambda: self._answered(context, event))

    def _answered(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        from include.errors import InputError, RecordMissing
        from include.settings import load_settings

        by = None if "error" in event else person(event)
        if by is None:
            raise AirflowFailException(self._unanswered(context, event))
        payload = super().execute_complete(context, answered(event))
        try:
            said = _desk(self.desk).answer(
                connections.ledger(),
                load_settings(),
                context["ti"].run_id,
                self.step,
                choice=str(payload["chosen_options"][0]),
                comment=payload["params_input"]["comment"],
                by=by,
                source=source_of(context),
                now=now(),
            )
        except (InputError, RecordMissing) as error:
            raise AirflowFailException(str(error)) from error
        if not said.ok:
            raise AirflowFailException(said.message)
        return {"message": said.message, "reason": said.reason}

    def _unanswered(self, context: Any, event: dict[str, Any]) -> str:
        from include.ledger import Actor, Outcome, Subject

        ti = context["ti"]
        silent = event.get("error_type") == "timeout"
        message = (
            f"nobody answered {self.step} in time; no timeout answers for anybody"
            if silent or "error" not in event
            else f"{self.step} could not be asked: {event.get('error')}"
        )
        with connections.ledger().write(
            Actor.service(ti.dag_id), source_of(context), now()
        ) as unit:
            unit.append(
                "question.unanswered",
                Subject(kind="run", id=f"{ti.dag_id}/{ti.run_id}"),
                outcome=Outcome.FAILURE,
                reason="timed_out" if silent else "answered_by_nobody",
                message=message[:2000],
            )
        return message


class OpenAuditOperator(BaseOperator):
    """Opens the audit that the run was started for."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**named("open_audit", kwargs))

    def execute(self, context: Any) -> str:
        """Return the audit's id; a form that makes no sense ends the run."""
        from include.access.audit_response import open_audit
        from include.errors import InputError
        from include.settings import load_settings

        try:
            audit = open_audit(
                connections.ledger(),
                load_settings(),
                dict(context["params"]),
                actor=requester(context),
                source=source_of(context),
                now=now(),
            )
        except InputError as error:
            raise AirflowFailException(f"the audit was not opened: {error}") from error
        return audit.id


class WriteAccessReviewOperator(BaseOperator):
    """Writes the access review of the past week as evidence."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**named("write_access_review", kwargs))

    def execute(self, context: Any) -> str:
        """Return the review's id."""
        from include.access.weekly_review import write_review
        from include.ledger import Actor
        from include.settings import load_settings

        written = write_review(
            connections.ledger(),
            load_settings(),
            actor=Actor.service("access_review"),
            source=source_of(context),
            now=now(),
        )
        return str(written["review"])


def _desk(name: str) -> Any:
    return importlib.import_module(f"{DESKS}.{name}")
