"""Checkpoints: one person answers, and the answer is written to the ledger before anything moves.

No timeout approves: an unanswered checkpoint ends the train.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowFailException

from release_control.boarding import arrive, board, once_it_answers, person
from release_control.courier import deliver_after

if TYPE_CHECKING:
    from include.releases.train import Done


def human_task(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return a human task's arguments with the comment field.

    A no, and silence, end the task at once and for good; tried again is only what was killed, or
    what the ledger could not be told.
    """
    comment = Param(
        "",
        type=["string", "null"],
        format="multiline",
        title="Comment",
        description="Why. It is kept with your answer and told to all who follow the release: "
        "no patient data.",
        source="task",
    )
    return {**kwargs, "params": {"comment": comment}, "retries": 2}


def answered(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event of an answer with a comment, and nothing else, as its form.

    Airflow's API takes any form, and the operator fails over one that it does not know: that must
    not cost a person's answer.
    """
    comment = (event.get("params_input") or {}).get("comment")
    return {**event, "params_input": {"comment": "" if comment is None else str(comment)}}


class CheckpointOperator(HITLOperator):
    """Asks the people whom the release plan names for `checkpoint` (uat, go_no_go)."""

    # What people and commits wrote is shown as it is: no templates.
    template_fields: Sequence[str] = ()

    def __init__(self, *, checkpoint: str, options: tuple[str, str], **kwargs: Any) -> None:
        super().__init__(subject=checkpoint, options=list(options), **human_task(kwargs))
        self.checkpoint = checkpoint

    def execute(self, context: Any) -> Any:
        """Write what the person has to know, tell them, and park without a worker; what is answered
        already is returned."""
        before = once_it_answers(lambda: self._ask(context))
        return super().execute(context) if before is None else arrive(before)

    def _ask(self, context: Any) -> Done | None:
        from include.approvals import load_board
        from include.notices import texts
        from include.people import load_people
        from include.releases.phases.briefing import respondents
        from include.releases.phases.checkpoint import TITLES, answered_before, question

        train = board(context)
        if (before := answered_before(train, self.checkpoint)) is not None:
            return before
        plan = train.plan
        groups = plan.checkpoints[self.checkpoint]
        people = load_people(train.settings)
        seats = load_board(train.settings, people)
        asked = respondents(people, seats, groups, train.clock())
        self.response_timeout = getattr(plan.profile.answers, self.checkpoint)
        until = train.clock() + self.response_timeout
        self.subject, self.body = question(train, self.checkpoint, people=asked, until=until)
        self.assigned_users = [{"id": f"group:{name}", "name": name} for name in groups]
        with deliver_after(train.ledger), train.unit() as unit:
            train.tell(
                unit,
                texts.checkpoint_asks(
                    release=train.release,
                    attempt=plan.attempt,
                    checkpoint=TITLES[self.checkpoint],
                    people=list(dict.fromkeys(name for names in asked.values() for name in names)),
                    until=until,
                    zone=plan.zone,
                    link=train.task_url(self.task_id),
                    key=self.checkpoint,
                ),
            )
            unit.append(
                "checkpoint.asked",
                train.subject,
                reason=self.checkpoint,
                message=f"{TITLES[self.checkpoint]} asks {', '.join(groups)}",
            )
        return None

    def execute_complete(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Record the answer; a no, or silence, ends the train here."""
        return once_it_answers(lambda: self._answered(context, event))

    def _answered(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        from include.approvals import load_board
        from include.people import load_people
        from include.releases.phases.checkpoint import answer

        train = board(context)
        with deliver_after(train.ledger):
            if "error" in event:
                raise AirflowFailException(timed_out(train, self.checkpoint, event))
            by = person(event)
            if by is None:
                raise AirflowFailException(by_default(train, self.checkpoint))
            payload = super().execute_complete(context, answered(event))
            chosen = payload["chosen_options"]
            people = load_people(train.settings)
            done = answer(
                train,
                load_board(train.settings, people),
                people,
                self.checkpoint,
                approved=chosen == self.options[:1],
                comment=payload["params_input"]["comment"],
                by=by,
            )
            return arrive(done)


def timed_out(train: Any, what: str, event: dict[str, Any], *, key: str = "") -> str:
    """Record that nobody answered (or that Airflow could not ask) and return the sentence."""
    reason = "timed_out" if event.get("error_type") == "timeout" else "not_asked"
    message = (
        f"nobody answered {what} in time"
        if reason == "timed_out"
        else f"{what} could not be asked: {event.get('error')}"
    )
    return _unanswered(train, what, key or what, reason, message)


def by_default(train: Any, what: str, *, key: str = "") -> str:
    """Record that an answer names nobody and return the sentence: no timeout ever approves."""
    message = f"{what}: the answer names nobody; an answer by default counts for nothing"
    return _unanswered(train, what, key or what, "answered_by_nobody", message)


def _unanswered(train: Any, what: str, key: str, reason: str, message: str) -> str:
    from include.ledger import Outcome
    from include.notices import texts
    from include.releases.phases.checkpoint import TITLES

    with train.unit() as unit:
        unit.append(
            "checkpoint.unanswered",
            train.subject,
            outcome=Outcome.FAILURE,
            reason=reason,
            message=message[:2000],
            details={"checkpoint": what},
        )
        train.tell(
            unit,
            texts.checkpoint_unanswered(
                release=train.release,
                attempt=train.plan.attempt,
                checkpoint=TITLES.get(key, what),
                key=key,
                message=message,
            ),
        )
    return message
