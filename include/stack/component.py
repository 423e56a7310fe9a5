"""One long-running program of the stack: what to start, with what, and after what."""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# The rest of an environment (terminal, working directory …) changes from shell to shell.
_TELLING = ("AIRFLOW", "HIMS", "PYTHON", "DATABASE_URL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A program that runs until it is stopped.

    `needs` names what must be healthy before it starts; `grace` is how many seconds it has to end
    after `stop_signal`; `content` is what it reads from files that were written for it.
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    port: int | None = None
    needs: tuple[str, ...] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    grace: float = 10.0
    content: str = ""

    @property
    def fingerprint(self) -> str:
        """Return a digest of all that would make a running process another one."""
        told = {key: word for key, word in self.environment.items() if key.startswith(_TELLING)}
        text = json.dumps([self.argv, sorted(told.items()), str(self.directory), self.content])
        return hashlib.sha256(text.encode()).hexdigest()[:16]
