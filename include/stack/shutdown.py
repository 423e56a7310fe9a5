"""Ends the whole stack in order, whoever started its processes and whoever is left to ask."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from pathlib import Path

from include.stack.layout import Layout
from include.stack.processes import Identity, belonging, send, stop, wait_gone, works_in
from include.stack.record import StackRecord

_STAGES: tuple[tuple[str, float], ...] = (("airflow-", 12.0), ("prepare", 5.0), ("slot-", 10.0))


def stop_everything(
    layout: Layout,
    record: StackRecord,
    *,
    spare: Iterable[Identity] = (),
    reap: Callable[[], None] | None = None,
) -> set[Identity]:
    """End Airflow, the slots, HAProxy, whatever else is ours, and PostgreSQL last.

    Each gets a polite signal first and is killed after its grace. `spare` is left alone. Returns
    what withstood even that (a process in an uninterruptible wait), normally nothing.
    """
    data = layout.postgres / "data"
    spared = set(spare)

    def ours() -> set[Identity]:
        found = belonging(layout.root, record.identities(), data_dir=data)
        return {one for one in found - spared if not _is_postgres(one, data)}

    for prefix, grace in _STAGES:
        leaders = {
            entry.identity
            for name, entry in record.entries.items()
            if name.startswith(prefix) and entry.identity and entry.identity not in spared
        }
        send(leaders, signal.SIGTERM)
        wait_gone(leaders, grace, reap=reap)
    left = stop(ours(), grace=5.0, reap=reap)
    # What was being started while we looked.
    left |= stop(ours(), grace=2.0, reap=reap)
    return left | _stop_postgres(layout, data, spared, reap)


def _stop_postgres(
    layout: Layout, data: Path, spared: set[Identity], reap: Callable[[], None] | None
) -> set[Identity]:
    def everyone() -> set[Identity]:
        found = belonging(layout.root, (), data_dir=data) - spared
        return {one for one in found if _is_postgres(one, data)}

    masters = {one for one in everyone() if _is_postmaster(one, data)}
    send(masters, signal.SIGINT)  # fast shutdown: clients are cut off, everything is flushed
    wait_gone(masters, 30.0, reap=reap)
    return stop(everyone(), grace=5.0, first=signal.SIGQUIT, reap=reap)


def _is_postgres(identity: Identity, data: Path) -> bool:
    return works_in(identity.pid, data, "postgres")


def _is_postmaster(identity: Identity, data: Path) -> bool:
    try:
        first = (data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0]
    except OSError:
        return False
    return first.strip() == str(identity.pid)
