"""Tells each team what is coming to its systems."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator

from release_control import connections
from release_control.boarding import now, source_of
from release_control.courier import TASK_BUDGET, calendar_zone, deliver


class SendDigestOperator(BaseOperator):
    """Queues a digest of the next `ahead` for every team that has something coming."""

    def __init__(self, *, ahead: timedelta = timedelta(days=14), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ahead = ahead

    def execute(self, context: Any) -> dict[str, int]:
        """Return how many teams are told something new."""
        from include.notices.digest import digests, send_digests
        from include.notices.routing import load_routing
        from include.settings import load_settings

        settings = load_settings()
        ledger = connections.ledger()
        at = now()
        found = digests(ledger, load_routing(settings), at, self.ahead)
        zone = calendar_zone(settings)
        queued = send_digests(ledger, settings, found, zone=zone, now=at, source=source_of(context))
        deliver(ledger, budget=TASK_BUDGET)
        return {"teams": len(found), "told": queued}
