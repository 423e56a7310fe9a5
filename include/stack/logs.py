"""The components' output: a file each under the logs directory, kept within bounds."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from include.errors import StackError, did_you_mean
from include.stack.layout import Layout

LARGEST = 16 * 1024 * 1024
_KEPT = 2


def open_log(path: Path) -> int:
    """Open a log for appending and return the descriptor, to be handed to a child and closed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    return os.open(path, flags, 0o600)


def rotate(path: Path) -> None:
    """Put a log aside, so that the next start writes a new one."""
    if not path.exists() or path.stat().st_size == 0:
        return
    for number in range(_KEPT, 0, -1):
        newer = path if number == 1 else path.with_name(f"{path.name}.{number - 1}")
        if newer.exists():
            newer.replace(path.with_name(f"{path.name}.{number}"))


def trim(path: Path) -> None:
    """Copy a log that has grown too large aside and empty it, while its writer goes on.

    Writers append, so they continue at the new end; lines written between copy and cut are lost.
    """
    try:
        if path.stat().st_size <= LARGEST:
            return
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        os.truncate(path, 0)
    except FileNotFoundError:
        return


def tail(path: Path, lines: int) -> list[str]:
    """Return the last lines of a log, [] where there is none; reads no more than 256 KiB."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - 256 * 1024))
            text = stream.read().decode(errors="replace")
    except OSError:
        return []
    return text.splitlines()[-lines:] if lines > 0 else []


def follow(path: Path) -> Iterator[str]:
    """Yield what is appended to a log from now on, for ever; goes on in a log that starts anew."""
    position = path.stat().st_size if path.exists() else 0
    inode = path.stat().st_ino if path.exists() else 0
    while True:
        if path.exists():
            found = path.stat()
            if found.st_ino != inode or found.st_size < position:
                inode, position = found.st_ino, 0
            if found.st_size > position:
                with path.open("rb") as stream:
                    stream.seek(position)
                    chunk = stream.read(1 << 20)
                position += len(chunk)
                yield chunk.decode(errors="replace")
                continue
        time.sleep(0.2)


def log_names(layout: Layout) -> dict[str, int]:
    """Return the names of the logs there are, with their sizes in bytes."""
    if not layout.logs.is_dir():
        return {}
    return {path.stem: path.stat().st_size for path in sorted(layout.logs.glob("*.log"))}


def find_log(layout: Layout, name: str) -> Path:
    """Return the log of a component; StackError names those that there are."""
    names = log_names(layout)
    if name in names:
        return layout.log(name)
    if not names:
        raise StackError(f"there are no logs in {layout.logs} yet; `./hims up` starts them")
    raise StackError(f'there is no log "{name}"{did_you_mean(name, names)}')
