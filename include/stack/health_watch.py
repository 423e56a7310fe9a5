"""Keeps asking the running components how they are, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from include.settings import Settings
from include.stack.airflow import API_SERVER, HEARTBEATS
from include.stack.health import ask_airflow, ask_haproxy, ask_postgres, ask_slot
from include.stack.processes import Identity
from include.stack.secrets import Secrets

# Quick while something is on its way, at leisure once all is well.
_RESTLESS = 0.25
_AT_REST = 2.0


@dataclass(frozen=True, slots=True)
class Watched:
    """A process to be asked; `begun` is its start in seconds since the epoch. Slots have a path."""

    name: str
    identity: Identity
    begun: float
    port: int = 0
    path: str = ""


@dataclass(frozen=True, slots=True)
class _Answer:
    identity: Identity
    problem: str | None
    last_good: float
    served: bool  # gave a good answer at least once


class HealthWatch:
    """The latest answers. An answer counts only for the very process that gave it."""

    def __init__(self, settings: Settings, secrets: Secrets, airflow_address: str) -> None:
        self._settings = settings
        self._secrets = secrets
        self._address = airflow_address
        self._targets: dict[str, Watched] = {}
        self._answers: dict[str, _Answer] = {}
        self._changed = threading.Event()

    def start(self) -> None:
        """Begin asking; the thread ends with the process."""
        threading.Thread(target=self._run, name="health", daemon=True).start()

    def look_at(self, targets: Iterable[Watched]) -> None:
        """Say what runs now."""
        named = {target.name: target for target in targets}
        if named != self._targets:
            self._targets = named
            self._changed.set()

    def problem(self, name: str, identity: Identity | None) -> str | None:
        """Return what is wrong with a process; None when its last answer was good."""
        if identity is None:
            return "is not running"
        answer = self._answers.get(name)
        if answer is None or answer.identity != identity:
            return "has not been asked yet"
        return answer.problem

    def silent_for(self, name: str, identity: Identity) -> float:
        """Return for how many seconds a process has given no good answer, since first asked."""
        answer = self._answers.get(name)
        if answer is None or answer.identity != identity or answer.problem is None:
            return 0.0
        return time.monotonic() - answer.last_good

    def has_served(self, name: str, identity: Identity) -> bool:
        """Tell whether a process has ever given a good answer, that is, has finished starting."""
        answer = self._answers.get(name)
        return answer is not None and answer.identity == identity and answer.served

    def _run(self) -> None:
        while True:
            targets = self._targets
            self._ask(targets)
            unwell = any(self.problem(name, one.identity) for name, one in targets.items())
            if self._changed.wait(_RESTLESS if unwell or not targets else _AT_REST):
                self._changed.clear()

    def _ask(self, targets: dict[str, Watched]) -> None:
        if one := targets.get("postgres"):
            self._note(one, ask_postgres(self._settings, self._secrets))
        if one := targets.get("haproxy"):
            self._note(one, ask_haproxy(self._settings))
        for one in targets.values():
            if one.path:
                self._note(one, ask_slot(one.port, one.path))
        if API_SERVER in targets:
            begun = {name: one.begun for name, one in targets.items()}
            answers = ask_airflow(self._address, begun)
            silent = answers[API_SERVER] is not None
            for name, problem in answers.items():
                if one := targets.get(name):
                    # While the API server or the database is away nothing is known of the others,
                    # which is no reason to hold it against them.
                    excused = name in HEARTBEATS and silent
                    self._note(one, problem, excused=excused or self._database_is_away(targets))

    def _database_is_away(self, targets: dict[str, Watched]) -> bool:
        one = targets.get("postgres")
        return one is None or self.problem("postgres", one.identity) is not None

    def _note(self, target: Watched, problem: str | None, *, excused: bool = False) -> None:
        now = time.monotonic()
        former = self._answers.get(target.name)
        same = former if former and former.identity == target.identity else None
        last_good = same.last_good if same else now
        if problem is None or excused:
            last_good = now
        served = problem is None or (same is not None and same.served)
        self._answers[target.name] = _Answer(target.identity, problem, last_good, served)
