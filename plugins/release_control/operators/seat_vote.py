"""One seat's vote on a change, mapped over the seats that the plan requires.

The vote signs the content hash that the voter was shown. What counts is the ledger's row: a task
that was marked successful by hand has cast nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk.exceptions import AirflowFailException

from release_control.boarding import arrive, board, once_it_answers, person
from release_control.courier import deliver_after
from release_control.operators.checkpoint import by_default, timed_out
from release_control.operators.vote_form import CHOICES, criteria_of, vote_form, voted

if TYPE_CHECKING:
    from include.releases.train import Train


class SeatVoteOperator(HITLOperator):
    """Asks one seat of the CAB; made for `.partial(…).expand_kwargs(requests)`."""

    # What people and commits wrote is shown as it is: no templates.
    template_fields: Sequence[str] = ()

    def __init__(
        self,
        *,
        seat: str = "",
        title: str = "",
        people: list[str] | None = None,
        content_hash: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(options=list(CHOICES), **vote_form(kwargs))
        self.seat = seat
        self.title = title
        self.people = people or []
        self.content_hash = content_hash

    def execute(self, context: Any) -> None:
        """Tell the seat's holder and delegates, and park without a worker."""
        once_it_answers(lambda: self._ask(context))
        super().execute(context)

    def _ask(self, context: Any) -> None:
        from include.notices import texts

        train = board(context)
        plan = train.plan
        self.response_timeout = plan.profile.answers.cab
        map_index = context["ti"].map_index
        with deliver_after(train.ledger), train.unit() as unit:
            train.tell(
                unit,
                texts.checkpoint_asks(
                    release=train.release,
                    attempt=plan.attempt,
                    checkpoint=f"CAB: {self.title}",
                    people=self.people,
                    until=train.clock() + self.response_timeout,
                    zone=plan.zone,
                    link=train.task_url(self.task_id, map_index),
                    key=self.seat,
                ),
            )
            unit.append(
                "vote.asked",
                train.subject,
                reason=self.seat,
                message=f"{self.title} is asked: {', '.join(self.people) or 'nobody may vote'}",
            )

    def execute_complete(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Write the vote to the ledger; the tally counts it, this task only carries it."""
        return once_it_answers(lambda: self._answered(context, event))

    def _answered(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        from include.approvals import load_board
        from include.people import load_people
        from include.releases.phases.cab import cast_vote

        train = board(context)
        people = load_people(train.settings)
        what = f"the {self.title}'s vote"
        with deliver_after(train.ledger):
            if "error" in event:
                raise AirflowFailException(timed_out(train, what, event, key=self.seat))
            voter = person(event)
            if voter is None:
                raise AirflowFailException(by_default(train, what, key=self.seat))
            payload = super().execute_complete(context, voted(event))
            done = cast_vote(
                train,
                load_board(train.settings, people),
                people,
                seat=self.seat,
                choice=CHOICES[payload["chosen_options"][0]],
                comment=payload["params_input"]["comment"],
                content_hash=self.content_hash,
                criteria=criteria_of(payload["params_input"]),
                voter=voter,
                cast_at=event["responded_at"],
            )
        if not done.ok and (left := self._left(train)) > timedelta(0):
            # The seat has not spoken: its question stays open for whoever may answer it.
            self.log.error("the answer does not count: %s", done.message)
            self.response_timeout = left
            super().execute(context)
        return arrive(done)

    def _left(self, train: Train) -> timedelta:
        """Return how long this content can still be voted on."""
        from include.releases.phases.cab import asked_until

        until = asked_until(train, self.content_hash)
        return timedelta(0) if until is None else until - train.clock()
