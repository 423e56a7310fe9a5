"""Connections on which a process that writes all the time appends records that change no state.

They stay open and commit each statement by itself: one message to the server and one back. What the
pool does between two who borrow from it costs more than all the rest of such an append.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from sqlalchemy.engine import Engine
from sqlalchemy.pool import PoolProxiedConnection

# After so many seconds one is opened anew: a server that others moved to is found that way.
_AGE = 600.0


class Lines:
    """At most `keep` open connections that nobody writes on just now."""

    def __init__(self, engine: Engine, keep: int) -> None:
        self._engine = engine
        self._keep = keep
        self._idle: deque[tuple[float, PoolProxiedConnection]] = deque()
        self._returning = threading.Lock()

    @contextmanager
    def one(self) -> Iterator[Any]:
        """Lend the driver's own connection; one on which something went wrong is not kept."""
        opened, line = self._take()
        raw: Any = line.dbapi_connection
        try:
            yield raw
        finally:
            sound = not raw.closed and raw.info.transaction_status == TRANSACTION_STATUS_IDLE
            if not (sound and self._return(opened, line)):
                line.close()

    def _return(self, opened: float, line: PoolProxiedConnection) -> bool:
        # Two threads that both saw room for one more would keep one too many.
        with self._returning:
            kept = len(self._idle) < self._keep
            if kept:
                self._idle.append((opened, line))
            return kept

    def close(self) -> None:
        """Close those that nobody writes on."""
        while self._idle:
            self._idle.pop()[1].close()

    def _take(self) -> tuple[float, PoolProxiedConnection]:
        now = time.monotonic()
        while self._idle:
            try:
                opened, line = self._idle.pop()
            except IndexError:
                # Another thread was quicker.
                break
            if now - opened < _AGE:
                return opened, line
            line.close()
        line = self._engine.raw_connection()
        line.detach()
        return now, line
