"""Processes of this machine, told apart for certain: a pid alone may be somebody else's by now.

Linux only: everything is read from /proc.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

MARKER = "HIMS_STACK"


@dataclass(frozen=True, slots=True)
class Identity:
    """A process that cannot be mistaken: its pid, and when it began (clock ticks since boot)."""

    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class Process:
    """One line of the process table."""

    identity: Identity
    parent: int
    session: int
    state: str

    @property
    def pid(self) -> int:
        """Return the process's number."""
        return self.identity.pid


def process(pid: int) -> Process | None:
    """Return the living process `pid`; None when there is none, or only what is left of it."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name in brackets may contain anything, so fields are counted from its last bracket.
    fields = text[text.rindex(")") + 2 :].split()
    if fields[0] in "ZX":
        return None
    return Process(Identity(pid, int(fields[19])), int(fields[1]), int(fields[3]), fields[0])


def identify(pid: int) -> Identity | None:
    """Return who `pid` is now, None if it is nobody."""
    found = process(pid)
    return found.identity if found else None


def alive(identity: Identity | None) -> bool:
    """Say whether this very process, and not a successor under its number, still lives."""
    return identity is not None and identify(identity.pid) == identity


def process_table() -> dict[int, Process]:
    """Return every living process by pid."""
    table = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (found := process(int(entry.name))):
            table[found.pid] = found
    return table


def has_marker(pid: int, state_dir: Path) -> bool:
    """Say whether the process was started by the stack of `state_dir`, going by its environment.

    What we start gets SPT_NOENV=1, so that `setproctitle` leaves the environment readable.
    """
    wanted = f"{MARKER}={state_dir}".encode()
    try:
        return wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def works_in(pid: int, directory: Path, executable: str) -> bool:
    """Say whether `pid` runs a program named `executable` with `directory` as working directory.

    PostgreSQL overwrites its environment but lives in its data directory.
    """
    try:
        at_home = Path(f"/proc/{pid}/cwd").readlink() == directory.resolve()
        return at_home and Path(f"/proc/{pid}/exe").readlink().name == executable
    except OSError:
        return False


def belonging(
    state_dir: Path, recorded: Iterable[Identity], *, data_dir: Path | None = None
) -> set[Identity]:
    """Return every living process of the stack of `state_dir`, this one and its ancestors aside.

    The union of: what was recorded and still is the same process; everything in a session that one
    of these leads; whatever bears the stack's marker in its environment; PostgreSQL in `data_dir`;
    and all descendants of these. A stranger who got a recorded pid has another start time.
    """
    table = process_table()
    recorded = tuple(recorded)
    ours = {one.pid for one in recorded if one.pid in table and table[one.pid].identity == one}
    ours |= {pid for pid in table if has_marker(pid, state_dir)}
    if data_dir is not None:
        ours |= {pid for pid in table if works_in(pid, data_dir, "postgres")}
    # A session outlives its leader, and while it lives nobody else can get its number.
    sessions = {pid for pid in ours if table[pid].session == pid}
    ours |= {pid for pid, found in table.items() if found.session in sessions}
    ours = _with_descendants(ours, table)
    ours -= ancestry(os.getpid(), table)
    return {table[pid].identity for pid in ours}


def family(leader: Identity) -> set[Identity]:
    """Return `leader`, its session and all their descendants, as far as they live.

    The leader itself may be dead: its number stays reserved while its session has members.
    """
    table = process_table()
    if leader.pid in table and table[leader.pid].identity != leader:
        return set()
    ours = {pid for pid, found in table.items() if found.session == leader.pid}
    if leader.pid in table:
        ours.add(leader.pid)
    return {table[pid].identity for pid in _with_descendants(ours, table)}


def ancestry(pid: int, table: dict[int, Process]) -> set[int]:
    """Return `pid` and all it descends from."""
    line = set()
    while pid in table and pid not in line:
        line.add(pid)
        pid = table[pid].parent
    return line


def _with_descendants(roots: Collection[int], table: dict[int, Process]) -> set[int]:
    children: dict[int, list[int]] = {}
    for found in table.values():
        children.setdefault(found.parent, []).append(found.pid)
    seen: set[int] = set()
    queue = list(roots)
    while queue:
        pid = queue.pop()
        if pid not in seen:
            seen.add(pid)
            queue.extend(children.get(pid, ()))
    return seen


def send(identities: Iterable[Identity], number: signal.Signals) -> None:
    """Send a signal to those that still are who they were."""
    for identity in identities:
        try:
            # The descriptor pins the process: between the check and the signal it can't change.
            descriptor = os.pidfd_open(identity.pid)
        except OSError:
            continue
        try:
            if alive(identity):
                signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            pass
        finally:
            os.close(descriptor)


def wait_gone(
    identities: Iterable[Identity],
    seconds: float,
    *,
    reap: Callable[[], None] | None = None,
) -> set[Identity]:
    """Wait up to `seconds` until all have ended; return those that have not."""
    deadline = time.monotonic() + seconds
    left = set(identities)
    while True:
        if reap:
            reap()
        left = {one for one in left if alive(one)}
        if not left or time.monotonic() >= deadline:
            return left
        time.sleep(0.05)


def stop(
    identities: Iterable[Identity],
    *,
    grace: float,
    first: signal.Signals = signal.SIGTERM,
    reap: Callable[[], None] | None = None,
) -> set[Identity]:
    """End processes: `first`, and SIGKILL after `grace` seconds. Return those that withstood."""
    everyone = set(identities)
    send(everyone, first)
    left = wait_gone(everyone, grace, reap=reap)
    if left:
        send(left, signal.SIGKILL)
        left = wait_gone(left, 5, reap=reap)
    return left
