"""Tells whoever is on call that a task of ours has failed, through the outbox like all else.

So a channel that is down, slow or asks to wait costs no notice, on the synchronous path of a task
and on the asynchronous one of the triggerer alike.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

from release_control import connections
from release_control.boarding import now
from release_control.courier import deliver_after

if TYPE_CHECKING:
    from include.notices import Notice

log = logging.getLogger(__name__)


class RunFailedNotifier(BaseNotifier):
    """For `on_failure_callback`. What goes wrong in it is logged and fails nothing."""

    template_fields = ()

    def notify(self, context: Any) -> None:
        """Queue the notice with its record, and deliver what is queued."""
        try:
            _tell(failure(context))
        except Exception:
            log.warning("that a run failed could not be told", exc_info=True)

    async def async_notify(self, context: Any) -> None:
        """Do the same without holding up the triggerer's loop."""
        await asyncio.to_thread(self.notify, context)


def failure(context: Mapping[str, Any]) -> Notice:
    """Return what is said about the failed task (or run) of a context."""
    from include.notices.alarm_texts import run_failed

    # A run's own callback has no task in its context.
    ti = context.get("task_instance") or context.get("ti")
    run = context.get("dag_run")
    dag_id = getattr(ti, "dag_id", None) or getattr(run, "dag_id", None) or "a Dag"
    run_id = getattr(ti, "run_id", None) or getattr(run, "run_id", None) or "a run"
    reason = context.get("exception") or context.get("reason") or ""
    return run_failed(
        dag_id=str(dag_id),
        run_id=str(run_id),
        task_id=str(getattr(ti, "task_id", "") or "the run"),
        reason=str(reason),
        link=getattr(ti, "log_url", None),
    )


def _tell(notice: Notice) -> None:
    from include.ledger import Actor, Outcome, Source, Subject
    from include.notices import queue

    ledger = connections.ledger()
    with (
        deliver_after(ledger),
        ledger.write(Actor.service("notices"), Source(kind="dag"), now()) as unit,
    ):
        queue(unit, notice)
        unit.append(
            "run.failed",
            Subject(kind="dag", id=notice.thread),
            outcome=Outcome.FAILURE,
            reason="task_failed",
            message=f"{notice.title}: {notice.text}"[:2000],
        )
