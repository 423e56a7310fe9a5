"""Keeps the ledger sealed while the stack runs."""

from __future__ import annotations

import threading
from collections.abc import Callable

from include.settings import Settings
from include.stack.secrets import Secrets


class LedgerSweep:
    """A thread that seals once the databases are there; it ends with the process."""

    def __init__(self, settings: Settings, secrets: Secrets, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._secrets = secrets
        self._say = say
        self._ready = threading.Event()

    def start(self) -> None:
        """Begin as soon as `databases_ready` is called."""
        threading.Thread(target=self._run, name="ledger-sweep", daemon=True).start()

    def databases_ready(self) -> None:
        """Say that the ledger's schema is at its head."""
        self._ready.set()

    def _run(self) -> None:
        self._ready.wait()
        from include.audit.watch import SealWatch
        from include.ledger import Ledger

        url = self._secrets.database_url(
            "ledger_app", "ledger", self._settings.overall.ports.postgres
        )
        SealWatch(self._settings, lambda: Ledger(url, keep=1), self._say).run(threading.Event())
