"""Verifying a pack with the keys that this project publishes, by the pack's own rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from include.audit import verify_pack
from include.audit.keys import Keyring
from include.errors import RequestError


def check_pack(path: Path, known: Keyring) -> dict[str, Any]:
    """Return the outcome as `audit verify PACK --json` prints it.

    A pack that is damaged, forged or hostile is an outcome; RequestError is raised where there is
    no file.
    """
    if not path.exists():
        raise RequestError(f"{path}: there is no such pack")
    outcome: dict[str, Any] = verify_pack.verify(str(path), [str(item.key) for item in known.keys])
    return outcome
