"""A change is implemented: go/no-go, permit, its declared steps, and what comes after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from release_control.boarding import once_it_answers, person
from release_control.changes import desk_of, handed
from release_control.courier import deliver_after
from release_control.names import named
from release_control.operators.checkpoint import answered, human_task
from release_control.runs import AirflowDags


class ImplementationStepOperator(BaseOperator):
    """Runs one step on the change that the run's conf names."""

    def __init__(self, *, step: str, **kwargs: Any) -> None:
        super().__init__(**named(step, kwargs))
        self.step = step

    def execute(self, context: Any) -> dict[str, Any]:
        """Do it; a well-formed no ends the run here."""
        from include.changes import implementing

        desk, change, run_id = desk_of(context), change_of(context), context["ti"].run_id
        with deliver_after(desk.ledger):
            match self.step:
                case "issue_permit":
                    return handed(implementing.start(desk, change, run_id))
                case "implement":
                    others = AirflowDags()
                    return handed(implementing.implement(desk, change, run_id, others=others))
                case _:
                    return handed(desk.close(change))


class ChecklistOperator(HITLOperator):
    """Asks for a named person's word on every item that no machine can know.

    One answer speaks for all that is asked, and the page lists it: `Go` says that it is done.
    """

    # What people wrote is shown as it is: no templates.
    template_fields: Sequence[str] = ()

    def __init__(self, *, part: str, options: tuple[str, str], **kwargs: Any) -> None:
        super().__init__(subject=part, options=list(options), **human_task(kwargs))
        self.part = part

    def execute(self, context: Any) -> None:
        """Tell who can answer, and park without a worker; nothing to ask is no question."""
        if not once_it_answers(lambda: self._ask(context)):
            raise AirflowSkipException("every item is judged already")
        super().execute(context)

    def _ask(self, context: Any) -> bool:
        from include.changes import checklist, checkpoint
        from include.releases.notes import escape_markdown

        desk, ti = desk_of(context), context["ti"]
        link = desk.settings.task_url(ti.dag_id, ti.run_id, ti.task_id)
        with deliver_after(desk.ledger):
            asked = checkpoint.ask(desk, change_of(context), self.part, key=ti.run_id, link=link)
        if asked is None:
            return False
        self.assigned_users = [{"id": f"group:{name}", "name": name} for name in asked.groups]
        self.response_timeout = asked.until - desk.clock()
        self.subject = asked.title
        yes, no = self.options
        self.body = "\n".join(
            [
                f"**{asked.change.id}**: {escape_markdown(asked.change.title)}",
                "",
                "Your word is asked for on:",
                "",
                *(f"- {checklist.TITLES[item]}" for item in asked.items),
                "",
                f"“{yes}” says that all of it is done, and you know it. “{no}” ends the run here.",
            ]
        )
        return True

    def execute_complete(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Write the word down."""
        return once_it_answers(lambda: self._answered(context, event))

    def _answered(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        from include.changes import checkpoint

        desk, change, run_id = desk_of(context), change_of(context), context["ti"].run_id
        by = None if "error" in event else person(event)
        if by is None:
            with deliver_after(desk.ledger):
                why = unanswered_because(event)
                return handed(checkpoint.unanswered(desk, change, self.part, key=run_id, why=why))
        payload = super().execute_complete(context, answered(event))
        with deliver_after(desk.ledger):
            ruling = checkpoint.say(
                desk,
                change,
                self.part,
                go=payload["chosen_options"] == self.options[:1],
                comment=payload["params_input"]["comment"],
                by=by,
                key=run_id,
            )
        return handed(ruling)


def unanswered_because(event: Mapping[str, Any]) -> str:
    """Return why an event brings no person's answer."""
    if "error" not in event:
        return "the answer names nobody; an answer by default counts for nothing"
    if event.get("error_type") == "timeout":
        return "nobody answered in time"
    return f"it could not be asked: {event['error']}"


def change_of(context: Any) -> str:
    """Return the change that the run is about."""
    return str(context["params"]["change"])
