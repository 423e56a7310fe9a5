"""A change is implemented: go/no-go, permit, its declared steps, and what comes after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

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

    The boxes are on the page; what is not named in the comment's form counts as not done only
    with a no: `Go` speaks for all that was asked.
    """

    # What people wrote is shown as it is: no templates.
    template_fields: Sequence[str] = ()

    def __init__(self, *, part: str, options: tuple[str, str], **kwargs: Any) -> None:
        super().__init__(subject=part, options=list(options), **human_task(kwargs))
        self.part = part

    def execute(self, context: Any) -> None:
        """Say what is asked for, and park without a worker; nothing to ask is no question."""
        if not once_it_answers(lambda: self._ask(context)):
            raise AirflowSkipException("every item is judged already")
        super().execute(context)

    def _ask(self, context: Any) -> list[str]:
        from include.changes import checklist, implementing

        desk, name = desk_of(context), change_of(context)
        change = desk.load(name)
        asked = implementing.ask_items(desk, name, self._items(change.content))
        board = desk.catalogue.board
        self.assigned_users = [
            {"id": f"group:{group}", "name": group} for group in board.checkpoints["go_no_go"]
        ]
        self.response_timeout = timedelta(days=5) if self.part == "after" else timedelta(hours=2)
        self.subject = (
            f"{change.id}: {'go or no-go' if self.part == 'before' else 'done as it should'}"
        )
        lines = [f"**{change.id}**", "", "Your word is asked for on:", ""]
        lines += [f"- {checklist.TITLES[item]}" for item in asked]
        self.body = "\n".join([*lines, "", "Go says that all of it is done, and you know it."])
        return asked

    def _items(self, content: Mapping[str, Any]) -> tuple[str, ...]:
        from include.changes import checklist

        before = (*checklist.tests_of(content), *checklist.BEFORE)
        return before if self.part == "before" else checklist.AFTER

    def execute_complete(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Write the word down."""
        return once_it_answers(lambda: self._answered(context, event))

    def _answered(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        from include.changes import implementing

        if "error" in event:
            raise AirflowFailException("nobody gave their word in time; nothing goes ahead")
        by = person(event)
        if by is None:
            raise AirflowFailException("an answer by default counts for nothing")
        payload = super().execute_complete(context, answered(event))
        desk, name = desk_of(context), change_of(context)
        asked = implementing.ask_items(desk, name, self._items(desk.load(name).content))
        with deliver_after(desk.ledger):
            ruling = implementing.say(
                desk,
                name,
                done=asked,
                asked=asked,
                go=payload["chosen_options"] == self.options[:1],
                comment=payload["params_input"]["comment"],
                by=by,
            )
        return handed(ruling)


def change_of(context: Any) -> str:
    """Return the change that the run is about."""
    return str(context["params"]["change"])
