"""Packs that are put together by hand, so that they may say whatever a test wants."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from include.ledger.merkle import inclusion_proofs
from include.ledger.note import Checkpoint, PrivateKey, sign_checkpoint, sign_text
from include.ledger.record import leaf_hash

AT = datetime(2026, 11, 28, 7, tzinfo=UTC)
KEY = PrivateKey(name="handmade-1", seed=bytes(range(32)))
ORIGIN = "handmade/ledger"


def body(**said: Any) -> str:
    """Return a record's text."""
    return json.dumps({"id": "1", "time": "2026-11-28T07:00:00.000Z", "event": "x.y", **said})


@dataclass(kw_only=True)
class Handmade:
    """A pack of `bodies`, the whole tree; `stubs` are what is left of some of them, by place."""

    bodies: Sequence[str] = (body(),)
    stubs: Mapping[int, str] = field(default_factory=dict)
    evidence: Sequence[Mapping[str, Any]] = ()
    extra: Mapping[str, bytes] = field(default_factory=dict)
    also_listed: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    key: PrivateKey = KEY
    signer: PrivateKey = KEY

    def files(self) -> dict[str, bytes]:
        """Return the pack's files."""
        leaves = [leaf_hash(item) for item in self.bodies]
        root, proofs = inclusion_proofs(leaves, len(leaves), range(len(leaves)))
        head = Checkpoint(origin=ORIGIN, size=len(leaves), root=root, time=AT, entry="sha256:0")
        lines = [
            json.dumps(
                {
                    "seq": place + 1,
                    "position": place,
                    "body": self.stubs.get(place, item),
                    "proof": [node.hex() for node in proofs[place]],
                    **({"pruned": leaves[place].hex()} if place in self.stubs else {}),
                }
            )
            for place, item in enumerate(self.bodies)
        ]
        content = {
            "records.jsonl": "".join(f"{line}\n" for line in lines).encode(),
            "evidence.json": json.dumps(list(self.evidence)).encode(),
            "head.txt": sign_checkpoint(head, [self.signer]).encode(),
            **self.extra,
        }
        listed: dict[str, Any] = {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
            for name, data in content.items()
        }
        about = {"origin": ORIGIN, "id": "all", "records": len(leaves), **self.about}
        manifest = json.dumps({**about, "files": {**listed, **self.also_listed}}).encode()
        signed = f"hims evidence pack\n{hashlib.sha256(manifest).hexdigest()}\n"
        signature = sign_text(signed, self.key).encode()
        return {"pack.json": manifest, "pack.sig": signature, **content}

    def zipped(self, path: Path) -> Path:
        """Write the pack as an archive."""
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in self.files().items():
                archive.writestr(name, data)
        return path

    def unpacked(self, directory: Path) -> Path:
        """Write the pack as files in a directory."""
        for name, data in self.files().items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return directory
