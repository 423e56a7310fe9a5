"""The files under config/ that are policy, and the hash of all of them together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from include.documents import MAX_BYTES
from include.ledger.record import content_hash
from include.settings import Settings

# Changes are asked for, not ruled by.
_NO_POLICY = ("changes",)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFile:
    """One file: its name below the configuration's directory, its SHA-256, its text."""

    name: str
    sha256: str
    text: str


def policy_files(settings: Settings) -> dict[str, PolicyFile]:
    """Return every YAML file that decides something, by name. What cannot be read is left out: to
    those who go by it, it is not there either."""
    found = {}
    for path in sorted(settings.directory.rglob("*.yaml")):
        name = path.relative_to(settings.directory).as_posix()
        raw = _read(path)
        if raw is None or name.partition("/")[0] in _NO_POLICY:
            continue
        digest = "sha256:" + hashlib.sha256(raw).hexdigest()
        text = raw[:MAX_BYTES].decode("utf-8", "replace")
        found[name] = PolicyFile(name=name, sha256=digest, text=text)
    return found


def policy_hash(files: Mapping[str, PolicyFile]) -> str:
    """Return `sha256:<hex>` over the names and hashes of all files: what a record was judged by."""
    return content_hash({name: file.sha256 for name, file in files.items()})


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
