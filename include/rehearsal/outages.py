"""Faults of the world around a release, made while it is rehearsed.

A version's own faults are commits (`history/faults`); these are not in anybody's code.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping
from typing import Any

from include.deploy.targets.haproxy import HOST
from include.errors import RequestError
from include.rehearsal.work import FAULTS
from include.settings import Settings

METRICS_LOST = "metrics-lost"
OUTAGES = (METRICS_LOST,)

# HAProxy serves ten at a time on its admin port; whoever comes next waits for one of them to go.
_ALL_PLACES = 40


def known_faults() -> tuple[str, ...]:
    """Return the names that `--fault` takes, sorted."""
    return tuple(sorted((*FAULTS, *OUTAGES)))


class Outage:
    """One fault of the world: begins and ends by what the ledger says of the train."""

    def __init__(self, name: str, settings: Settings) -> None:
        if name not in OUTAGES:
            raise RequestError(f"there is no fault {name}; known: {', '.join(known_faults())}")
        self._port = settings.overall.ports.haproxy_admin
        self._held: list[socket.socket] = []

    def hear(self, record: Mapping[str, Any]) -> None:
        """Take notice of one record: lose the metrics while all traffic is watched."""
        event = str(record["event"])
        if event == "watch.began" and record["reason"] == "watch":
            self._begin()
        elif event in ("deploy.watched", "rollback.began") or event.startswith("release."):
            self.end()

    def end(self) -> None:
        """Give everything back."""
        for connection in self._held:
            with contextlib.suppress(OSError):
                connection.close()
        self._held.clear()

    def _begin(self) -> None:
        """Take every place at the load balancer's admin port, so that nobody gets its figures."""
        for _ in range(_ALL_PLACES):
            with contextlib.suppress(OSError):
                self._held.append(socket.create_connection((HOST, self._port), timeout=1))
