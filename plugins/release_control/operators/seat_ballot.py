"""The board's meeting: one human task per change and seat, and the minutes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from release_control.boarding import now, once_it_answers, person
from release_control.changes import desk_of
from release_control.courier import deliver_after
from release_control.names import named
from release_control.operators.urgent_changes import start_emergencies
from release_control.operators.vote_form import CHOICES, criteria_of, vote_form, voted

# Less than this before the end nobody is told again.
_SOON = timedelta(seconds=30)


class OpenMeetingOperator(BaseOperator):
    """Takes the waiting ballots and names each change and seat that is asked.

    What they are shown is read from the ledger when they are asked, and not handed on by Airflow,
    where an administrator could edit it.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**named("open_meeting", kwargs))

    def execute(self, context: Any) -> list[dict[str, Any]]:
        """Return the questions; without any the run ends here."""
        from include.changes.meeting import open_meeting
        from include.errors import RecordMissing

        desk = desk_of(context)
        changes = context["params"].get("changes") or None
        with deliver_after(desk.ledger):
            try:
                questions = open_meeting(desk, context["ti"].run_id, changes)
            except RecordMissing as error:
                raise AirflowFailException(str(error)) from error
        if not questions:
            raise AirflowSkipException("nothing waits for the board")
        kept = ("change", "seat", "title")
        return [{key: question[key] for key in kept} for question in questions]


class SeatBallotOperator(HITLOperator):
    """Asks one seat about one change; what counts is the vote in the ledger.

    An answer that does not count (a delegate whose day is over, a rejection without its reason)
    leaves the question open: it is put again until the time is over.
    """

    # What people wrote is shown as it is: no templates.
    template_fields: Sequence[str] = ()

    def __init__(
        self,
        *,
        change: str = "",
        seat: str = "",
        title: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(subject=title, options=list(CHOICES), **vote_form(kwargs))
        self.change = change
        self.seat = seat
        self.title = title

    def execute(self, context: Any) -> None:
        """Tell the seat's holder and delegates, and park without a worker."""
        if not once_it_answers(lambda: self._ask(context, escalated=False)):
            raise AirflowSkipException(f"{self.change} has nothing to ask of {self.title} any more")
        super().execute(context)

    def _ask(self, context: Any, *, escalated: bool) -> bool:
        from include.changes.meeting import question, still_open
        from include.notices import change_texts
        from include.notices.outbox import queue

        desk = desk_of(context)
        change = desk.load(self.change)
        shown = question(desk, self.change, self.seat)
        until = still_open(desk, self.change, change.content_hash)
        # Airflow keeps a task's first form, also for its next try: a seat is asked about nothing
        # else in it. What has been edited is put on the table of another run.
        before = self._shown(context)
        if until is None or shown is None or before not in ("", shown["content_hash"]):
            return False
        self.title, self.subject, self.body = shown["title"], shown["subject"], shown["body"]
        self.assigned_users = [{"id": name, "name": name} for name in shown["assigned"]]
        left = until - now()
        board = desk.catalogue.board
        # The first part of the time is the holder's; then the delegates are told that it runs out.
        self.response_timeout = left if escalated else left * board.escalate_after
        ti = context["ti"]
        link = desk.settings.task_url(ti.dag_id, ti.run_id, ti.task_id, ti.map_index)
        with deliver_after(desk.ledger), desk.unit() as unit:
            queue(
                unit,
                change_texts.seat_asked(
                    change=self.change,
                    title=change.title,
                    seat=self.title,
                    people=shown["people"],
                    until=until,
                    zone=str(board.zone),
                    key=f"{ti.run_id}:{self.seat}:{shown['content_hash'][-12:]}",
                    link=link,
                    escalated=escalated,
                ),
            )
            unit.append(
                "vote.escalated" if escalated else "vote.asked",
                change.subject,
                reason=self.seat,
                message=f"{self.title} is asked: {', '.join(shown['people']) or 'nobody may vote'}",
                details={"content_hash": shown["content_hash"]},
            )
        return True

    def execute_complete(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Write the vote to the ledger, and let it decide the change if it does."""
        return once_it_answers(lambda: self._answered(context, event))

    def _answered(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        if "error" in event:
            if event.get("error_type") == "timeout" and self._left(context) > _SOON:
                return self._again(context, escalated=True)
            raise AirflowFailException(f"nobody voted for {self.title} in time")
        voter = person(event)
        if voter is None:
            raise AirflowFailException(f"{self.title}: an answer by default counts for nothing")
        payload = super().execute_complete(context, voted(event))
        desk = desk_of(context)
        with deliver_after(desk.ledger):
            ruling = desk.vote(
                self.change,
                seat=self.seat,
                choice=CHOICES[payload["chosen_options"][0]],
                comment=payload["params_input"]["comment"],
                criteria=criteria_of(payload["params_input"]),
                content_hash=self._shown(context),
                voter=voter,
                cast_at=event["responded_at"],
            )
        if not ruling.ok:
            self.log.error("the answer does not count: %s", ruling.message)
            if self._left(context) > timedelta(0):
                return self._again(context, escalated=True)
            raise AirflowFailException(ruling.message)
        start_emergencies(desk, self.change)
        return {"reason": ruling.reason, "message": ruling.message}

    def _again(self, context: Any, *, escalated: bool) -> dict[str, Any]:
        if not self._ask(context, escalated=escalated):
            raise AirflowSkipException(f"{self.change} has nothing to ask of {self.title} any more")
        super().execute(context)
        return {}

    def _shown(self, context: Any) -> str:
        """Return the hash of what this run has shown the seat last."""
        from include.changes.meeting import hash_shown

        return hash_shown(desk_of(context), self.change, self.seat, context["ti"].run_id)

    def _left(self, context: Any) -> timedelta:
        from include.changes.meeting import still_open

        until = still_open(desk_of(context), self.change, self._shown(context))
        return timedelta(0) if until is None else until - now()


class WriteMinutesOperator(BaseOperator):
    """Writes the minutes from the ledger: what was decided, by whom, and what was not."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**named("write_minutes", kwargs))

    def execute(self, context: Any) -> str:
        """Return the minutes."""
        from include.changes.meeting import minutes

        desk = desk_of(context)
        with deliver_after(desk.ledger):
            text = minutes(desk, context["ti"].run_id)
        if text is None:
            raise AirflowSkipException("nothing was before the board")
        return text
