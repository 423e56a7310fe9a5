"""Keeps the ledger sealed while the stack runs: new records get their place, a head and a copy of
it outside the database within a second or so, whatever became of their writers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from include.errors import ReleaseControlError
from include.settings import Settings
from include.stack.secrets import Secrets

_EVERY = 0.5
_AFTER_TROUBLE = 5.0


class LedgerSweep:
    """A thread that sweeps once the databases are there; it ends with the process."""

    def __init__(self, settings: Settings, secrets: Secrets, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._secrets = secrets
        self._say = say
        self._ready = threading.Event()
        self._told = ""

    def start(self) -> None:
        """Begin as soon as `databases_ready` is called."""
        threading.Thread(target=self._run, name="ledger-sweep", daemon=True).start()

    def databases_ready(self) -> None:
        """Say that the ledger's schema is at its head."""
        self._ready.set()

    def _run(self) -> None:
        self._ready.wait()
        pause = threading.Event()
        while True:
            try:
                self._sweep(pause)
            except Exception as error:
                # The ledger is away, or not to be built upon: said once, tried again.
                known = isinstance(error, ReleaseControlError)
                told = str(error) if known else f"{type(error).__name__}: {error}"
                if told != self._told:
                    self._say(f"ledger: {told}")
                    self._told = told
                pause.wait(_AFTER_TROUBLE)

    def _sweep(self, pause: threading.Event) -> None:
        from include.audit.anchors.file import FileAnchor
        from include.audit.desk import open_desk
        from include.ledger import Ledger

        port = self._settings.overall.ports.postgres
        ledger = Ledger(self._secrets.database_url("ledger_app", "ledger", port), keep=1)
        sealed = -1
        try:
            while True:
                ledger.sequence_new()
                if ledger.tree_size() == sealed:
                    pause.wait(_EVERY)
                    continue
                now = datetime.now(UTC)
                desk = open_desk(self._settings, now, sign=True)
                anchor = FileAnchor(desk.policy.file_anchor)
                head = desk.sealer(ledger, [anchor]).seal(now, thorough=False).head
                sealed = 0 if head is None else head.size
                self._told = ""
                pause.wait(_EVERY)
        finally:
            ledger.close()
