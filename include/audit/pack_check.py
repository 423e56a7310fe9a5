"""Verifying a pack with the keys that this project publishes, by the pack's own rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from include.audit import verify_pack
from include.audit.keys import Keyring
from include.errors import RequestError
from include.instants import format_instant
from include.ledger.note import read_note


def check_pack(path: Path, origin: str, known: Keyring) -> dict[str, Any]:
    """Return the outcome as `audit verify PACK --json` prints it; `origin` names the ledger.

    A pack that is damaged, forged or hostile is an outcome; RequestError is raised where there is
    no file.
    """
    if not path.exists():
        raise RequestError(f"{path}: there is no such pack")

    def over(note: str) -> str | None:
        """Return what speaks against a head whose signature holds: keys that did not count."""
        try:
            head = read_note(note)[0]
        except RequestError as error:
            return str(error)
        at = head.time
        if head.origin != origin:
            return f"the head is one of {head.origin}, not of {origin}: a pack of another ledger"
        if known.signer(note, at) is not None:
            return None
        return f"the head of {format_instant(at)} is signed by keys that did not count then"

    keys = list(dict.fromkeys(str(item.key) for item in known.keys))
    outcome: dict[str, Any] = verify_pack.verify(str(path), keys, over)
    return outcome
