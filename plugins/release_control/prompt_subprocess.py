"""Airflow's supervisor of a task, which notices at once that the task's process has ended.

Airflow 3.3.2 waits for something on the process's sockets, for five seconds at most. Sockets close
a moment before a process is gone; looked at in that moment it still lives, nothing can come any
more, and the supervisor sleeps the five seconds ([workers] min_heartbeat_interval) to their end.
That meets about every third leg of a task: its slot stays taken, and an answered human task, which
must not go on before its first leg has reported, waits with it.
"""

from __future__ import annotations

from airflow.sdk.execution_time import supervisor

# Seconds between two looks at a process that has closed all its sockets: most are gone after one.
LOOK = 0.02


class PromptSubprocess(supervisor.ActivitySubprocess):
    """Looks often once nothing but the end of the process can come."""

    def _service_subprocess(
        self, max_wait_time: float, raise_on_timeout: bool = False, expect_signal: int | None = None
    ) -> int | None:
        if not self._open_sockets:
            max_wait_time = min(max_wait_time, LOOK)
        return super()._service_subprocess(max_wait_time, raise_on_timeout, expect_signal)  # type: ignore[no-any-return]


def supervise_promptly() -> None:
    """Have tasks of this process, and of those forked from it, supervised so."""
    supervisor.ActivitySubprocess = PromptSubprocess  # type: ignore[misc]
