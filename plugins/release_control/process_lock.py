"""A lock between a process and those that it forks, which outlives whoever dies with it."""

from __future__ import annotations

import fcntl
import tempfile
from types import TracebackType


class ProcessLock:
    """Held by one process at a time; the kernel takes it back from one that was killed.

    The locks of `multiprocessing` are semaphores: one that a killed process held is never free
    again, and all who wait for it wait for ever. This is a record lock on a nameless file. A
    process may take it several times over, and gives it back as often; its threads are not kept
    apart.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the lock is there
        self._depth = 0

    def acquire(self) -> bool:
        """Wait until the lock is free, and take it."""
        if self._depth == 0:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
        self._depth += 1
        return True

    def release(self) -> None:
        """Give it back."""
        self._depth -= 1
        if self._depth == 0:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
