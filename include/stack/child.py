"""One program under supervision: started or adopted, watched, ended, started again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress

from include.stack.component import Component
from include.stack.layout import Layout
from include.stack.logs import open_log
from include.stack.processes import Identity, alive, family, identify, send

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 10.0


class Child:
    """A program and at most one process of it. No method waits for anything."""

    def __init__(self, name: str, layout: Layout) -> None:
        self.name = name
        self.identity: Identity | None = None
        self.component: Component | None = None
        self.begun = 0.0
        self.failures = 0
        self.message = ""
        self.status: int | None = None
        self._log = layout.log(name)
        self._process: subprocess.Popen[bytes] | None = None
        self._not_before = 0.0
        self._kill_at: float | None = None

    @property
    def runs(self) -> bool:
        """Say whether there is a process, as of the last `poll`."""
        return self.identity is not None

    @property
    def ending(self) -> bool:
        """Say whether the process has been asked to end."""
        return self._kill_at is not None

    @property
    def may_start(self) -> bool:
        """Say whether the pause after its last end is over."""
        return self.identity is None and time.monotonic() >= self._not_before

    def start(self, component: Component) -> None:
        """Start a process in a session of its own, its output appended to its log."""
        self.component = component
        component.directory.mkdir(parents=True, exist_ok=True)
        output = open_log(self._log)
        try:
            self._process = subprocess.Popen(
                component.argv,
                env=dict(component.environment),
                cwd=component.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=0o077,
            )
        except OSError as error:
            self._failed(
                f"can't be started: {error.filename or component.argv[0]}: {error.strerror}"
            )
            return
        finally:
            os.close(output)
        self.begun = time.time()
        self.identity = identify(self._process.pid)
        self.status = None
        if self.identity is None:
            self.poll()

    def adopt(self, component: Component, identity: Identity, begun: float) -> None:
        """Take over a living process that an earlier supervisor started."""
        self.component = component
        self.identity = identity
        self.begun = begun
        self._process = None

    def poll(self) -> None:
        """Notice an end: what it leaves behind is killed, and a pause comes before the next try."""
        if self._process is None and self.identity is None:
            return
        if alive(self.identity):
            if self._kill_at is not None and time.monotonic() >= self._kill_at and self.identity:
                send(family(self.identity), signal.SIGKILL)
            return
        # Until it is reaped its number is taken, so its session can't be mistaken for another.
        if self.identity and self.name != "postgres":
            send(family(self.identity), signal.SIGKILL)
        self.status = self._process.wait() if self._process else None
        asked = self._kill_at is not None
        self.identity = self._process = self._kill_at = None
        if self.status == 0 and not asked:
            self._failed("ended by itself")
        elif asked:
            self._not_before = 0.0
        else:
            self._failed(_describe(self.status))

    def healthy(self) -> None:
        """Forget former failures: it serves."""
        self.failures = 0
        self.message = ""

    def request_stop(self) -> None:
        """Ask the process to end, and kill it once its grace is over; `poll` does the rest."""
        if self.identity and self._kill_at is None and self.component:
            self._kill_at = time.monotonic() + self.component.grace
            send([self.identity], self.component.stop_signal)

    def refuse(self, message: str) -> None:
        """Take note that it could not even be tried; the next try comes after a pause."""
        self._failed(message)

    def reap(self) -> None:
        """Collect the exit status of a process that was ended by others."""
        if self._process is not None:
            with suppress(ChildProcessError):
                self._process.poll()

    def _failed(self, message: str) -> None:
        self.failures += 1
        self.message = message
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (self.failures - 1))
        self._not_before = time.monotonic() + pause


def _describe(status: int | None) -> str:
    if status is None:
        return "ended"
    if status < 0:
        with suppress(ValueError):
            return f"ended by {signal.Signals(-status).name}"
    return f"ended with exit status {status}"
