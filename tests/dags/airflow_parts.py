"""What Airflow hands to an operator, as far as ours look at it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

from airflow.sdk.execution_time.comms import DagRunStateResult


@dataclass
class Instance:
    """A task instance as a task sees itself."""

    task_id: str = "task"
    run_id: str = "run-1"
    dag_id: str = "release_train"
    map_index: int = -1
    try_number: int = 1
    id: UUID = field(default_factory=uuid4)
    states: dict[str, Any] = field(default_factory=dict)

    def get_dagrun_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of another run as the task's supervisor does, or raise what it would."""
        found = self.states[run_id]
        if isinstance(found, BaseException):
            raise found
        return DagRunStateResult(state=found).state


def context(instance: Instance, *, user: str | None = "rita", **params: Any) -> dict[str, Any]:
    """Return a task's context."""
    return {
        "ti": instance,
        "task_instance": instance,
        "params": params,
        "dag_run": SimpleNamespace(triggering_user_name=user),
    }


def answer(option: str, user: str | None = "quinn", **changed: Any) -> dict[str, Any]:
    """Return the event with which a human task comes back."""
    who = None if user is None else {"id": user, "name": user}
    return {
        "chosen_options": [option],
        "params_input": {"comment": "because"},
        "responded_at": datetime.now(UTC),
        "responded_by_user": who,
        **changed,
    }


def timeout() -> dict[str, Any]:
    """Return the event with which Airflow wakes a task that nobody answered."""
    return {"error": "The timeout has passed", "error_type": "timeout"}
