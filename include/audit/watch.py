"""Keeps the ledger sealed: new records get their place, a signed head and a copy of it outside the
database within a second or so, whatever became of their writers.

Who has every right in the database, but not the key, can recompute what no head covers yet, and
nothing could show it. This keeps that to the records of the last second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from include.audit.anchors.file import FileAnchor
from include.audit.desk import open_desk
from include.errors import LedgerError, ReleaseControlError
from include.ledger import Ledger
from include.settings import Settings

_EVERY = 0.5
_AFTER_TROUBLE = 5.0
# So long a record may wait for its place: whoever places another batch, or looks through the whole
# of a large ledger for one, is done by then.
_PATIENCE = 60.0


class SealWatch:
    """Seals what is new twice a second, into the file anchor; the others follow with `audit_seal`.

    `say` gets a sentence when something is in the way, once for as long as it stays the same.
    `seal/watched` below state_dir is touched whenever everything is sealed: a health check's sign.
    A record that gets no place in the tree, so that nothing would seal it, is in the way, too.
    """

    def __init__(
        self, settings: Settings, connect: Callable[[], Ledger], say: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._connect = connect
        self._say = say
        self._told = ""

    def run(self, stop: threading.Event) -> None:
        """Watch until `stop` is set."""
        while not stop.is_set():
            try:
                self._watch(stop)
            except Exception as error:
                # The ledger is away, or not to be built upon: said once, tried again.
                known = isinstance(error, ReleaseControlError)
                told = str(error) if known else f"{type(error).__name__}: {error}"
                if told != self._told:
                    self._say(f"ledger: {told}")
                    self._told = told
                stop.wait(_AFTER_TROUBLE)

    def _watch(self, stop: threading.Event) -> None:
        ledger = self._connect()
        sign = self._settings.state_dir / "seal" / "watched"
        sign.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        sealed = -1
        # The newest record that had no place a look ago, and since when.
        waiting, since = ledger.newest_waiting(), time.monotonic()
        try:
            while not stop.is_set():
                ledger.sequence_new()
                if ledger.tree_size() != sealed:
                    sealed = self._seal(ledger)
                if waiting is None or ledger.has_place(waiting):
                    waiting, since = ledger.newest_waiting(), time.monotonic()
                    sign.touch()
                    self._told = ""
                elif time.monotonic() - since > _PATIENCE:
                    raise LedgerError(
                        f"record {waiting} gets no place in the tree, so that nothing seals it; "
                        "see `./hims audit verify`"
                    )
                stop.wait(_EVERY)
        finally:
            ledger.close()

    def _seal(self, ledger: Ledger) -> int:
        """Seal what is new and return how many records are sealed."""
        now = datetime.now(UTC)
        desk = open_desk(self._settings, now, sign=True)
        anchor = FileAnchor(desk.policy.file_anchor)
        head = desk.sealer(ledger, [anchor]).seal(now, thorough=False).head
        return 0 if head is None else head.size
