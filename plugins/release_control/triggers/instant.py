"""Sleeps until an instant.

Airflow's own DateTimeTrigger polls every second near the end, which costs half a per cent of a core
per waiting task and comes up to a second late.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

# A machine's clock may be set while we sleep: look at it again from time to time. Seconds.
LONGEST_NAP = 300.0


class InstantTrigger(BaseTrigger):
    """Fires at `instant` (ISO 8601 with offset)."""

    def __init__(self, instant: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.instant = instant

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return how the triggerer makes this trigger again after a restart."""
        return (
            "release_control.triggers.instant.InstantTrigger",
            {"instant": self.instant},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event, `reached`."""
        while (left := seconds_until(self.instant)) > 0:
            await asyncio.sleep(min(left, LONGEST_NAP))
        yield TriggerEvent({"reason": "reached"})  # type: ignore[no-untyped-call]


def seconds_until(instant: str) -> float:
    """Return how long it is until an instant, by the clock as it is now."""
    return (datetime.fromisoformat(instant) - datetime.now(UTC)).total_seconds()
