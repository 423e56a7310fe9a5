"""Airflow's runner of triggers, which tells of what has fired when it fires.

Airflow 3.3.2 collects what has fired once a second (`TriggerRunner.arun`), so that a task which
waits for an instant goes on half a second after it on average, and a second at worst. Here the loop
is woken by what has fired; between two times it rests, so that many at once are told together.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from airflow.jobs import triggerer_job_runner

# Seconds between two times that the loop is woken.
REST = 0.2


class _Bell(deque[Any]):
    """Rings whenever something is put in."""

    def __init__(self, ring: Callable[[], None]) -> None:
        super().__init__()
        self._ring = ring

    def append(self, item: Any) -> None:
        super().append(item)
        self._ring()


class PromptTriggerRunner(triggerer_job_runner.TriggerRunner):
    """Ends its sleep once a trigger has fired."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.events = _Bell(self._has_fired)
        self._alarm: asyncio.TimerHandle | None = None
        self._woken = float("-inf")

    async def cancel_triggers(self) -> None:
        """Do so: the last thing before the sleep, in which nothing that has fired may lie."""
        await super().cancel_triggers()  # type: ignore[no-untyped-call]
        if self.events:
            self._has_fired()

    def _has_fired(self) -> None:
        if self._alarm is None:
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_at(max(loop.time(), self._woken + REST), self._wake)

    def _wake(self) -> None:
        self._alarm = None
        self._woken = asyncio.get_running_loop().time()
        # The loop sleeps until this event, or for a second: anyio's, which has asyncio's inside.
        sleep = getattr(self._stop_event, "_event", None)
        if isinstance(sleep, asyncio.Event) and not self.stop:
            sleep.set()
            sleep.clear()


def tell_promptly() -> None:
    """Have triggers of processes that are forked from this one run so."""
    triggerer_job_runner.TriggerRunner = PromptTriggerRunner  # type: ignore[misc]
