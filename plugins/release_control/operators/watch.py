"""Tasks that look whether everything that happened is on record."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator

from release_control import connections
from release_control.boarding import now, source_of
from release_control.names import named


class SweepEventLogOperator(BaseOperator):
    """Adds to the ledger what was done in Airflow by hand and nobody recorded."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**named("sweep_event_log", kwargs))

    def execute(self, context: Any) -> dict[str, Any]:
        """Return how many lines were looked at, and how many acts were added."""
        from include.access.sweep import sweep
        from include.ledger import Actor
        from include.people import load_people
        from include.settings import load_settings

        people = load_people(load_settings())
        with connections.airflow_api() as api:
            swept = sweep(
                connections.ledger(), api, people, Actor.service("audit_sweep"),
                source_of(context), now(),
            )  # fmt: skip
        for item in swept.added:
            self.log.warning("%s by %s was on no record", item.event, item.owner)
        return {"seen": swept.seen, "added": len(swept.added), "cut": swept.cut}


class NotePoliciesOperator(BaseOperator):
    """Records what has changed under config/ since somebody last decided by it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**named("note_policies", kwargs))

    def execute(self, context: Any) -> str:
        """Return the hash of all policy as it is now."""
        from include.ledger import Actor
        from include.policies.watch import look
        from include.settings import load_settings

        return look(
            connections.ledger(), load_settings(), Actor.service("audit_sweep"),
            source_of(context), now(),
        )  # fmt: skip


class CheckClocksOperator(BaseOperator):
    """Records it if this machine's clock and the ledger's differ."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**named("check_clocks", kwargs))

    def execute(self, context: Any) -> float:
        """Return how many seconds the ledger's clock is ahead."""
        from include.ledger import Actor
        from include.ledger.clock import check_clocks

        actor = Actor.service("audit_sweep")
        skew = check_clocks(connections.ledger(), actor, source_of(context), now)
        return skew.ahead.total_seconds()
