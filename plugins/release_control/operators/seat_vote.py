"""One seat's vote on a change, mapped over the seats that the plan requires.

The vote signs the content hash that the voter was shown, and what is shown is read from the ledger
when it is asked: Airflow hands on the seat alone. What counts is the ledger's row: a task that was
marked successful by hand has cast nothing.
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
    from include.releases.train import Done, Train


class SeatVoteOperator(HITLOperator):
    """Asks one seat of the CAB; made for `.partial(…).expand_kwargs(requests)`."""

    # What people and commits wrote is shown as it is: no templates.
    template_fields: Sequence[str] = ()

    def __init__(
        self,
        *,
        seat: str = "",
        title: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(subject=title, options=list(CHOICES), **vote_form(kwargs))
        self.seat = seat
        self.title = title

    def execute(self, context: Any) -> Any:
        """Tell the seat's holder and delegates, and park without a worker; a seat that has voted
        already is asked no more."""
        before = once_it_answers(lambda: self._ask(context))
        return super().execute(context) if before is None else arrive(before)

    def _ask(self, context: Any) -> Done | None:
        from include.approvals import load_board
        from include.errors import RequestError
        from include.notices import texts
        from include.people import load_people
        from include.releases.phases.cab import hash_shown, seat_requests, voted_before

        train = board(context)
        if (before := voted_before(train, self.seat)) is not None:
            return before
        people = load_people(train.settings)
        try:
            requests = seat_requests(train, load_board(train.settings, people), people)
        except RequestError as error:
            raise AirflowFailException(str(error)) from error
        asked = next((item for item in requests if item["seat"] == self.seat), None)
        # Airflow keeps a task's first form, also for its next try.
        if hash_shown(train, self.seat) not in ("", asked["content_hash"] if asked else ""):
            raise AirflowFailException(
                f"{self.seat} was shown another content than {train.release}'s change has now"
            )
        if asked is None:
            raise AirflowFailException(f"the plan of {train.release} asks no seat {self.seat!r}")
        self.title, self.subject, self.body = asked["title"], asked["subject"], asked["body"]
        self.assigned_users = [{"id": name, "name": name} for name in asked["assigned"]]
        names = asked["people"]
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
                    people=names,
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
                message=f"{self.title} is asked: {', '.join(names) or 'nobody may vote'}",
                details={"content_hash": asked["content_hash"]},
            )
        return None

    def execute_complete(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Write the vote to the ledger; the tally counts it, this task only carries it."""
        return once_it_answers(lambda: self._answered(context, event))

    def _answered(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        from include.approvals import load_board
        from include.people import load_people
        from include.releases.phases.cab import cast_vote, hash_shown

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
                content_hash=hash_shown(train, self.seat),
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
        from include.releases.phases.cab import asked_until, hash_shown

        until = asked_until(train, hash_shown(train, self.seat))
        return timedelta(0) if until is None else until - train.clock()
