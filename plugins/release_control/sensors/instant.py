"""Waits until an instant of the release plan, asleep in the triggerer."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator

from release_control.boarding import board, now
from release_control.names import named
from release_control.triggers.instant import InstantTrigger


class PlanInstantSensor(BaseOperator):
    """Waits for `instant`, the name of an instant in the release plan (`feature_freeze` …)."""

    def __init__(self, *, instant: str, **kwargs: Any) -> None:
        super().__init__(**named(f"wait_for_{instant}", kwargs))
        self.instant = instant

    def execute(self, context: Any, event: Any = None) -> str:
        """Return once the instant has come; the plan was frozen, so it never moves."""
        plan = board(context).plan
        due = getattr(plan, self.instant)
        if now() < due:
            self.log.info("%s begins %s", self.instant, due.isoformat())
            self.defer(trigger=InstantTrigger(due.isoformat()), method_name="execute")
        return str(due.isoformat())
