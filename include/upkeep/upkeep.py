"""What every regular job gets: the ledger, the configuration, credentials and the time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from include.ledger import Actor, Ledger, Source, Unit
from include.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """One run of a regular job."""

    ledger: Ledger
    settings: Settings
    actor: Actor
    source: Source
    clock: Callable[[], datetime]
    secrets: Callable[[str], str]
    vendor: Callable[[str], Any]

    @contextmanager
    def unit(self) -> Iterator[Unit]:
        """Open a unit of work in the name of this job."""
        with self.ledger.write(self.actor, self.source, self.clock()) as unit:
            yield unit
