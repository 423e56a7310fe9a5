"""Delivers what is still in the outbox: what a channel refused, and what the shell has queued."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator

from release_control import connections
from release_control.boarding import now
from release_control.courier import calendar_zone, deliver


class DeliverNoticesOperator(BaseOperator):
    """Sends queued notices in order for at most `budget` seconds; the rest waits its turn."""

    def __init__(self, *, budget: float = 60.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.budget = budget

    def execute(self, context: Any) -> dict[str, int]:
        """Return how many were reminded; how many notices went out, failed, and are left."""
        from include.incidents.watch import watch_clocks
        from include.notices.reminders import queue_reminders
        from include.people import load_people
        from include.settings import load_settings

        ledger = connections.ledger()
        settings = load_settings()
        zone = calendar_zone(settings)
        reminded = queue_reminders(ledger, load_people(settings), now(), zone=zone)
        reminded += watch_clocks(ledger, zone, now())
        delivered = deliver(ledger, budget=self.budget)
        return {
            "reminded": reminded,
            "delivered": delivered.count,
            "failed": delivered.failed,
            "remaining": delivered.remaining,
        }
