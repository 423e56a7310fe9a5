"""The Dag `rollback`: opening one, its six steps, and the votes on restoring a database."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from release_control import connections
from release_control.boarding import arrive, now, once_it_answers, person, requester, source_of
from release_control.courier import deliver_after
from release_control.names import named
from release_control.operators.checkpoint import answered, human_task
from release_control.operators.plan import run_state
from release_control.vendors import vendor

if TYPE_CHECKING:
    from include.ledger import Ledger
    from include.releases.train import Train
    from include.rollbacks.rollback import Rollback

CHOICES = ("Approve", "Reject")
VOTERS = ("First", "Second")


def train_of(context: Mapping[str, Any], ledger: Ledger, run_id: str) -> Train:
    """Return the train that another run drove, spoken for by this task."""
    from include.ledger import Actor
    from include.releases.train import open_train
    from include.settings import load_settings

    return open_train(
        ledger,
        load_settings(),
        run_id=run_id,
        actor=Actor.service(context["ti"].dag_id),
        source=source_of(context),
        clock=now,
        secrets=connections.database_url,
        vendor=vendor,
    )


def rollback_of(context: Mapping[str, Any]) -> Rollback:
    """Return the rollback that this run drives. Raises AirflowFailException if there is none."""
    from include.errors import RecordMissing
    from include.rollbacks.rollback import load_rollback

    ledger = connections.ledger()
    try:
        with ledger.read() as connection:
            return load_rollback(
                lambda run_id: train_of(context, ledger, run_id), connection, context["ti"].run_id
            )
    except RecordMissing as error:
        raise AirflowFailException(str(error)) from error


class OpenRollbackOperator(BaseOperator):
    """Writes down who asks to go back to what, or refuses with what is offered instead."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**named("open_rollback", kwargs))

    def execute(self, context: Any) -> str:
        """Return the rollback's id."""
        from include.errors import ReleaseControlError
        from include.ledger import Outcome, Subject
        from include.people import load_people
        from include.rollbacks.rollback import Wish, open_rollback
        from include.settings import load_settings

        ti, conf = context["ti"], dict(context["params"])
        ledger, actor, source = connections.ledger(), requester(context), source_of(context)
        wish = Wish(
            service=str(conf["service"]),
            version=conf.get("version") or None,
            reason=str(conf.get("reason") or ""),
            database=bool(conf.get("restore_database")),
        )
        asks = load_people(load_settings()).find(actor.user)
        try:
            with ledger.write(actor, source, now()) as unit:
                return open_rollback(
                    lambda run_id: train_of(context, ledger, run_id),
                    unit,
                    wish,
                    asks,
                    run_id=ti.run_id,
                    run_state=lambda dag_id, run_id: run_state(ti, dag_id, run_id),
                )
        except ReleaseControlError as error:
            with ledger.write(actor, source, now()) as unit:
                unit.append(
                    "rollback.refused",
                    Subject(kind="service", id=wish.service[:80]),
                    outcome=Outcome.DENIED,
                    reason="bad_request",
                    message=str(error)[:2000],
                )
            raise AirflowFailException(f"no rollback was begun: {error}") from error


class RollbackStepOperator(BaseOperator):
    """Runs `include.rollbacks.<module>.<function>` on the rollback that this run drives."""

    def __init__(self, *, step: str, **kwargs: Any) -> None:
        super().__init__(**named(step.partition(".")[2], kwargs))
        self.step = step

    def execute(self, context: Any) -> dict[str, Any]:
        """Do the step once, and read back what it did."""
        from include.errors import FencedOff, InputError, RecordMissing

        module, _, function = self.step.partition(".")
        work = getattr(importlib.import_module(f"include.rollbacks.{module}"), function)
        rollback = rollback_of(context)
        with deliver_after(rollback.train.ledger):
            try:
                return arrive(work(rollback))
            except (InputError, RecordMissing, FencedOff) as error:
                raise AirflowFailException(str(error)) from error


class CountWritesOperator(BaseOperator):
    """Counts what a restore would lose; returns a vote's arguments twice, none without restore."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**named("count_lost_writes", kwargs))

    def execute(self, context: Any) -> list[dict[str, Any]]:
        """Return one set of arguments for `RestoreVoteOperator` per vote that is needed."""
        from include.errors import RecordMissing
        from include.rollbacks.restore import count_writes

        rollback = rollback_of(context)
        with deliver_after(rollback.train.ledger):
            try:
                arrive(count_writes(rollback))
            except RecordMissing as error:
                raise AirflowFailException(str(error)) from error
        wanted = rollback.result("count_writes")["wanted"]
        return [{"title": f"{voter} vote"} for voter in VOTERS] if wanted else []


class RestoreVoteOperator(HITLOperator):
    """One person's vote on restoring a database; what counts is the ledger's row.

    What is shown is read from the ledger when it is asked: Airflow hands on the title alone.
    """

    template_fields: Sequence[str] = ()

    def __init__(self, *, title: str = "", **kwargs: Any) -> None:
        super().__init__(subject=title, options=list(CHOICES), **human_task(kwargs))
        self.title = title

    def execute(self, context: Any) -> None:
        """Tell those who may answer, and park without a worker."""
        once_it_answers(lambda: self._ask(context))
        super().execute(context)

    def _ask(self, context: Any) -> None:
        from include.notices import texts
        from include.people import load_people

        rollback, ti = rollback_of(context), context["ti"]
        train = rollback.train
        voters = [
            each
            for each in load_people(train.settings).people
            if each.may("roll_back") and each.user != rollback.requested_by
        ]
        people = [each.name for each in voters]
        counted = rollback.result("count_writes")
        self.subject = f"Restore the database of {rollback.to.service}?"
        self.body = (
            f"**Shall the database go back to {counted['taken_at']}?**\n\n"
            f"- {counted['sentence']}\n"
            f"- Signed is a loss of at most {counted['most']:,} rows; it is counted again before\n"
            f"- {rollback.id}: from {rollback.from_version} to {rollback.to.version}\n"
            "- What is there now is backed up first\n"
            "- Two people other than the one who asked have to agree"
        )
        self.assigned_users = [{"id": each.user, "name": each.name} for each in voters]
        with deliver_after(train.ledger), train.unit() as unit:
            train.tell(
                unit,
                texts.rollback_asks(
                    release=train.release,
                    attempt=train.plan.attempt,
                    rollback=rollback.id,
                    lost=str(counted["sentence"]),
                    people=people,
                    link=train.settings.task_url(ti.dag_id, ti.run_id, self.task_id, ti.map_index),
                    key=self.title,
                ),
            )
            unit.append(
                "rollback.vote_asked",
                rollback.subject,
                reason="restore",
                message=f"{self.title}: {', '.join(people)} may answer",
                release=train.release,
            )

    def execute_complete(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Write the vote down; the restore counts it, this task only carries it."""
        return once_it_answers(lambda: self._answered(context, event))

    def _answered(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        from include.people import load_people
        from include.rollbacks.restore import cast_vote

        rollback = rollback_of(context)
        if "error" in event:
            raise AirflowFailException(f"{self.title}: nobody answered: {event.get('error')}")
        voter = person(event)
        if voter is None:
            raise AirflowFailException("an answer by default counts for nothing")
        payload = super().execute_complete(context, answered(event))
        with deliver_after(rollback.train.ledger):
            done = cast_vote(
                rollback,
                load_people(rollback.train.settings).find(voter.user),
                voter,
                approve=payload["chosen_options"] == [CHOICES[0]],
                comment=payload["params_input"]["comment"],
            )
        return arrive(done)
