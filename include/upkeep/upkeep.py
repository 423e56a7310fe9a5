"""What every regular job gets: the ledger, the configuration, credentials and the time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from include.ledger import Actor, Ledger, Source, Unit
from include.settings import Settings


def _alive(dag_id: str, run_id: str) -> Any:
    return "running"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """One run of a regular job.

    `run_state` tells the state of a Dag's run; who cannot ask takes every run for alive.
    """

    ledger: Ledger
    settings: Settings
    actor: Actor
    source: Source
    clock: Callable[[], datetime]
    secrets: Callable[[str], str]
    vendor: Callable[[str], Any]
    run_state: Callable[[str, str], Any] = _alive

    @contextmanager
    def unit(self) -> Iterator[Unit]:
        """Open a unit of work in the name of this job."""
        with self.ledger.write(self.actor, self.source, self.clock()) as unit:
            yield unit
