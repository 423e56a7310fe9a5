"""A change is implemented: go/no-go, permit, its declared steps, and what comes after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import BaseOperator, Param
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import AirflowSkipException

from release_control.boarding import once_it_answers, person
from release_control.changes import desk_of, handed, said_at_once
from release_control.courier import deliver_after
from release_control.names import named
from release_control.operators.checkpoint import answered, human_task
from release_control.runs import AirflowDags

if TYPE_CHECKING:
    from include.changes.checkpoint import Asked


class ImplementationStepOperator(BaseOperator):
    """Runs one step on the change that the run's conf names."""

    def __init__(self, *, step: str, **kwargs: Any) -> None:
        super().__init__(**named(step, kwargs))
        self.step = step

    def execute(self, context: Any) -> dict[str, Any]:
        """Do it; a well-formed no ends the run here."""
        from include.changes import implementing

        desk, change, run_id = desk_of(context), change_of(context), context["ti"].run_id
        with said_at_once(), deliver_after(desk.ledger):
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

    The form has a field for each, and none is filled in: a yes without a word on one of them is
    kept as far as it goes, and the rest is asked again, of whoever has a word on it.
    """

    # What people wrote is shown as it is: no templates.
    template_fields: Sequence[str] = ()

    def __init__(self, *, part: str, options: tuple[str, str], **kwargs: Any) -> None:
        asked = human_task(kwargs)
        super().__init__(subject=part, options=list(options), **asked)
        self.part = part
        self.comment = asked["params"]

    def execute(self, context: Any) -> None:
        """Tell who can answer, and park without a worker; nothing to ask is no question."""
        if not once_it_answers(lambda: self._ask(context)):
            raise AirflowSkipException("every item is judged already")
        super().execute(context)

    def _ask(self, context: Any, *, until: datetime | None = None) -> bool:
        from include.changes import checkpoint
        from include.releases.notes import escape_markdown

        desk, ti = desk_of(context), context["ti"]
        link = desk.settings.task_url(ti.dag_id, ti.run_id, ti.task_id)
        with said_at_once(), deliver_after(desk.ledger):
            asked = checkpoint.ask(
                desk, change_of(context), self.part, key=ti.run_id, link=link, until=until
            )
        if asked is None:
            return False
        self.params = ParamsDict({**checklist_form(asked.items, asked.speakers), **self.comment})
        self.assigned_users = [{"id": f"group:{name}", "name": name} for name in asked.groups]
        self.response_timeout = asked.until - desk.clock()
        self.subject = asked.title
        yes, no = self.options
        self.body = "\n".join(
            [
                f"**{asked.change.id}**: {escape_markdown(asked.change.title)}",
                "",
                *self._open(asked),
                f"“{yes}” counts once each of them has its word. “{no}” ends the run here.",
            ]
        )
        return True

    def _open(self, asked: Asked) -> list[str]:
        from include.changes.items import TITLES
        from include.releases.notes import escape_markdown

        if not asked.items:
            return ["All the rest has its word already; yours is asked for.", ""]
        lines = [
            f"- {TITLES[item]} ({', '.join(asked.speakers[item]).replace('_', ' ')})"
            + (f": {escape_markdown(asked.lacking[item])}" if item in asked.lacking else "")
            for item in asked.items
        ]
        return ["A word is asked for on each of these, whose word counts in brackets:", "", *lines,
                ""]  # fmt: skip

    def execute_complete(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Write the words down; what has none yet is asked again."""
        return once_it_answers(lambda: self._answered(context, event))

    def _answered(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        from include.changes import checkpoint

        desk, change, run_id = desk_of(context), change_of(context), context["ti"].run_id
        by = None if "error" in event else person(event)
        if by is None:
            with deliver_after(desk.ledger):
                why = unanswered_because(event)
                return handed(checkpoint.unanswered(desk, change, self.part, key=run_id, why=why))
        words = words_of(event)
        # The form as it was shown: what was asked then is known by what came back.
        self.params = ParamsDict({**checklist_form(words), **self.comment})
        form = {**answered(event)["params_input"], **words}
        payload = super().execute_complete(context, {**event, "params_input": form})
        with deliver_after(desk.ledger):
            ruling = checkpoint.say(
                desk,
                change,
                self.part,
                go=payload["chosen_options"] == self.options[:1],
                words=words,
                comment=form["comment"],
                by=by,
                key=run_id,
            )
        if ruling.reason in checkpoint.AGAIN:
            self.log.error("not all of it has its word: %s", ruling.message)
            until = checkpoint.asked_until(desk, change, self.part, key=run_id)
            if until and until > desk.clock() and self._ask(context, until=until):
                super().execute(context)
        return handed(ruling)


# What a field of the form says before anybody has said anything.
UNSAID = "not answered"


def checklist_form(
    items: Iterable[str], speakers: Mapping[str, Sequence[str]] | None = None
) -> dict[str, Param]:
    """Return one field for each item, none of them filled in."""
    from include.changes.checkpoint import DONE, NOT_DONE
    from include.changes.items import TITLES

    return {
        item: Param(
            UNSAID,
            type="string",
            enum=[UNSAID, DONE, NOT_DONE],
            title=TITLES[item],
            description="Is it done, and do you know it? It counts as the word of: "
            + ", ".join((speakers or {}).get(item, ())).replace("_", " "),
            source="task",
        )
        for item in items
    }


def words_of(event: Mapping[str, Any]) -> dict[str, str]:
    """Return what an answer says of each item; Airflow's API takes any form, filled in anyhow."""
    from include.changes.checkpoint import DONE, NOT_DONE
    from include.changes.items import TITLES

    given = event.get("params_input") or {}
    return {
        item: value if value in (DONE, NOT_DONE) else UNSAID
        for item, value in given.items()
        if item in TITLES
    }


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
