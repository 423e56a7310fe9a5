"""Placing for a process that writes all the time: twice a second, not after every record."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from include.errors import LedgerError

log = logging.getLogger(__name__)

# Well within the second in which a record has to have its place.
_EVERY = 0.4
# Seconds that closing waits for the last placing.
_PATIENCE = 10.0


class Placer:
    """Calls `place` soon after `wanted`, in a thread that ends with `close` or with the process."""

    def __init__(self, place: Callable[[], object]) -> None:
        self._place = place
        self._wanted = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def wanted(self) -> None:
        """Say that there are records without a place."""
        if self._wanted.is_set():
            return
        self._wanted.set()
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="ledger-placer", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Place what is new, and end the thread: it would sign in anew later."""
        if self._thread is None or not self._thread.is_alive():
            return
        self._closed.set()
        self._wanted.set()
        self._thread.join(_PATIENCE)

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._closed.wait(_EVERY)
            self._wanted.clear()
            # Only now: who closes says so first and wakes us after that.
            closed = self._closed.is_set()
            self._place_calmly()
            if closed:
                self._closed.clear()
                return

    def _place_calmly(self) -> None:
        try:
            self._place()
        except LedgerError:
            # The records are written; who comes next places them.
            log.warning("the newest records have no place in the tree yet", exc_info=True)
