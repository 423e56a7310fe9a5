"""Heads in a file to which lines are only added."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from include.errors import LedgerError, RequestError
from include.ledger.entry import Head, read_head

_TAIL = 1 << 16


@dataclass(frozen=True, slots=True)
class FileAnchor:
    """`heads.jsonl` in a directory: a head a line. A line that was cut off is written again."""

    directory: Path

    @property
    def name(self) -> str:
        """Return how reports call the place."""
        return "file"

    @property
    def path(self) -> Path:
        """Return the file."""
        return self.directory / "heads.jsonl"

    def newest(self) -> int:
        """Return the size of the newest whole head; 0 for none."""
        try:
            with self.path.open("rb") as stream:
                return _newest(stream.fileno())
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise LedgerError(f"{self.path}: cannot be read: {error.strerror}") from error

    @property
    def patience(self) -> timedelta:
        """Return how long a head may take to get here: the file is written right away."""
        return timedelta(minutes=5)

    def keep(self, heads: Sequence[Head], now: datetime) -> str:
        """Add heads, a line each, and flush them to the disk."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o750)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            with os.fdopen(descriptor, "r+b") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                newest = _newest(stream.fileno())
                stream.seek(_whole(stream.fileno()))
                stream.truncate()
                for head in heads:
                    # Another sealer may have been here meanwhile.
                    if head.size > newest:
                        stream.write(head.text().encode() + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise LedgerError(f"{self.path}: cannot be written: {error.strerror}") from error
        return f"{self.path.as_uri()}#{heads[-1].size}"

    def heads(self) -> Iterator[str]:
        """Yield the lines, without one at the end that is being written."""
        try:
            with self.path.open(encoding="utf-8", errors="replace") as stream:
                for line in stream:
                    if line.endswith("\n"):
                        yield line
        except FileNotFoundError:
            return
        except OSError as error:
            raise LedgerError(f"{self.path}: cannot be read: {error.strerror}") from error


def _whole(descriptor: int) -> int:
    """Return where the last whole line ends."""
    end = os.fstat(descriptor).st_size
    while end:
        start = max(0, end - _TAIL)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _newest(descriptor: int) -> int:
    end = _whole(descriptor)
    start, line = end, b""
    while start and b"\n" not in line[:-1]:
        start = max(0, start - _TAIL)
        line = os.pread(descriptor, end - start, start)
    with suppress(RequestError, ValueError):
        return read_head(line.rstrip(b"\n").rpartition(b"\n")[2].decode()).size if line else 0
    raise LedgerError("the newest line of the file anchor is damaged; restore it from a copy")
