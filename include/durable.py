"""Files that are either the old one or the new one, whenever the machine stops.

A document is written beside its place, flushed, and moved over it; a lock is `flock` on a file that
stays, so a dead holder never leaves one behind.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from include.errors import StackError


def write_bytes(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Replace `path` by a file of exactly `content`; readers see the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def write_json(path: Path, document: Any, *, mode: int = 0o600) -> None:
    """Replace `path` by `document` as JSON; see `write_bytes`."""
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)
    write_bytes(path, text.encode() + b"\n", mode=mode)


def read_json(path: Path) -> Any:
    """Return the document in `path`, None where there is no such file.

    Raises StackError for a file that is there and is not JSON: guessing would lose what it said.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StackError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return json.loads(raw)
    except ValueError as error:
        raise StackError(f"{path}: is not JSON ({error}); put it right or remove it") from error


@contextmanager
def locked(path: Path, *, wait: float = 30.0, what: str = "it") -> Iterator[None]:
    """Hold the exclusive lock `path`; raise StackError if another process holds it past `wait` s.

    The lock goes with the process: it is free again at the instant its holder dies.
    """
    lock = try_lock(path)
    deadline = time.monotonic() + wait
    while lock is None:
        if time.monotonic() > deadline:
            raise StackError(f"another process has been busy with {what} for {wait:.0f} s ({path})")
        time.sleep(0.02)
        lock = try_lock(path)
    try:
        yield
    finally:
        os.close(lock)


def try_lock(path: Path) -> int | None:
    """Take the exclusive lock `path` if it is free; return its descriptor, to be closed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _sync_directory(directory: Path) -> None:
    # Without it a crash of the machine may forget the rename; some file systems refuse it.
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
