"""How a task gets on its train: the ledger, the settings, the person behind a context."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from release_control import connections
from release_control.vendors import vendor

if TYPE_CHECKING:
    from include.ledger import Actor, Ledger, Source
    from include.releases.train import Done, Train

log = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds.
LEDGER_PATIENCE = 600.0
LEDGER_PAUSE = 2.0


def now() -> datetime:
    """Return the current instant: the one clock that every task hands to the domain."""
    return datetime.now(UTC)


def source_of(context: Mapping[str, Any]) -> Source:
    """Return which task instance is speaking."""
    from include.ledger import Source

    ti = context["ti"]
    return Source(
        kind="dag",
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        task_id=ti.task_id,
        map_index=ti.map_index if ti.map_index is not None and ti.map_index >= 0 else None,
        try_number=ti.try_number,
    )


def board(context: Mapping[str, Any], ledger: Ledger | None = None) -> Train:
    """Return the train that this run drives.

    Raises AirflowFailException if there is none, or if its plan is not the one that was frozen:
    that is recorded, and no retry changes it.
    """
    from include.errors import LedgerTampered, RecordMissing
    from include.ledger import Actor
    from include.releases.train import open_train
    from include.settings import load_settings

    ti = context["ti"]
    opened = ledger or connections.ledger()
    try:
        return open_train(
            opened,
            load_settings(),
            run_id=ti.run_id,
            actor=Actor.service(ti.dag_id),
            source=source_of(context),
            clock=now,
            secrets=connections.database_url,
            vendor=vendor,
        )
    except RecordMissing as error:
        raise AirflowFailException(str(error)) from error
    except LedgerTampered as error:
        _record_tampering(opened, context, str(error))
        raise AirflowFailException(str(error)) from error


def _record_tampering(ledger: Ledger, context: Mapping[str, Any], message: str) -> None:
    from include.ledger import Actor, Outcome, Subject
    from include.releases.interventions import explain

    ti = context["ti"]
    log.error("%s", message)
    with ledger.write(Actor.service(ti.dag_id), source_of(context), now()) as unit:
        found = explain(unit.connection, [{"dag_id": ti.dag_id, "run_id": ti.run_id}])
        unit.append(
            "ledger.tampered",
            Subject(kind="run", id=f"{ti.dag_id}/{ti.run_id}"),
            outcome=Outcome.FAILURE,
            reason="plan_changed",
            message=message[:2000],
            release=found.release,
            change=found.change,
        )


def arrive(done: Done) -> dict[str, Any]:
    """Return what a step hands on; a well-formed no ends the task, and no retry changes it."""
    if done.reason == "not_needed":
        raise AirflowSkipException(done.message)
    if not done.ok:
        # Above the trace that Airflow adds, which says nothing to those who read this.
        log.error("%s", done.message)
        raise AirflowFailException(done.message)
    log.info("%s", done.message)
    return {"message": done.message, "reason": done.reason}


def once_it_answers(work: Callable[[], T]) -> T:
    """Do `work`, from the start again while the ledger is away or a file of config/ cannot be used,
    for at most ten minutes.

    A try that fails asks people anew: what they have answered must not be lost to a restart of the
    ledger's database, or to a file that somebody is just writing. `work` may be begun more than
    once.
    """
    from include.errors import ConfigError, LedgerAway

    deadline = time.monotonic() + LEDGER_PATIENCE
    while True:
        try:
            return work()
        except (LedgerAway, ConfigError) as error:
            if time.monotonic() > deadline:
                raise
            log.warning("%s; trying again", error)
            time.sleep(LEDGER_PAUSE)


def person(event: Mapping[str, Any]) -> Actor | None:
    """Return who answered a human task, as Airflow's API authenticated them; None for an answer
    by default, which names nobody."""
    from include.ledger import Actor

    answered = event.get("responded_by_user")
    if not answered:
        return None
    user = str(answered["id"])
    found = _people().find(user)
    return Actor(user=user, name=found.name if found else user, auth="airflow-hitl")


def requester(context: Mapping[str, Any]) -> Actor:
    """Return who triggered the run."""
    from include.ledger import Actor

    user = context["dag_run"].triggering_user_name or ""
    found = _people().find(user)
    return Actor(user=user or "unknown", name=found.name if found else user, auth="airflow-trigger")


def _people() -> Any:
    from include.people import load_people
    from include.settings import load_settings

    return load_people(load_settings())
