"""Verifying a pack with the keys that this project publishes, by the pack's own rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.audit import verify_pack
from include.audit.keys import Keyring
from include.errors import RequestError
from include.instants import format_instant
from include.ledger.note import PublicKey, read_note


@dataclass(frozen=True, slots=True)
class _Counting(verify_pack.Doubts):
    """Keys that did not count when they signed, and heads of another ledger."""

    origin: str
    known: Keyring

    def of_head(self, note: str) -> str | None:
        try:
            head = read_note(note)[0]
        except RequestError as error:
            return str(error)
        at = head.time
        if head.origin != self.origin:
            other = f"the head is one of {head.origin}, not of {self.origin}"
            return f"{other}: a pack of another ledger"
        if self.known.signer(note, at) is not None:
            return None
        return f"the head of {format_instant(at)} is signed by keys that did not count then"

    def of_pack(self, note: str, keys: Sequence[verify_pack.Key]) -> str | None:
        # A pack is made under a head that is there already, so its key counted then or later.
        at = read_note(note)[0].time
        named = [PublicKey(name=name, raw=raw) for name, _, raw in keys]
        if any(self.known.counts_after(key, at) for key in named):
            return None
        return (
            f"the list of files is signed by keys that no longer counted on {format_instant(at)}, "
            "when its head was signed"
        )


def check_pack(path: Path, origin: str, known: Keyring) -> dict[str, Any]:
    """Return the outcome as `audit verify PACK --json` prints it; `origin` names the ledger.

    A pack that is damaged, forged or hostile is an outcome; RequestError is raised where there is
    no file.
    """
    if not path.exists():
        raise RequestError(f"{path}: there is no such pack")
    keys = list(dict.fromkeys(str(item.key) for item in known.keys))
    outcome: dict[str, Any] = verify_pack.verify(str(path), keys, _Counting(origin, known))
    return outcome
