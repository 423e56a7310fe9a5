"""Evidence packs: one archive that verifies without us, the same bytes for the same ledger.

Every record goes with its inclusion proof under one signed head: the oldest that covers them all,
so that a pack made again later is the same pack.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Connection

from include.audit import chapters, evidence, pack_page, verify_pack
from include.audit.keys import Keyring
from include.audit.selection import Selection
from include.errors import LedgerError
from include.instants import format_instant
from include.ledger import schema
from include.ledger.entry import Head, read_head
from include.ledger.merkle import inclusion_proofs
from include.ledger.note import PublicKey, Signer, sign_text
from include.ledger.record import canonical, leaf_hash
from include.ledger.retention import Stub, pruned_stubs
from include.settings import Settings

FORMAT = 1
_EPOCH = (1980, 1, 1, 0, 0, 0)
_KEYS = re.compile(r"^KEYS: .*$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """A finished pack: its bytes, the head under which it stands, and what stands out in it."""

    content: bytes
    head: Head
    records: int
    exceptions: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """Return the digest of the archive."""
        return "sha256:" + hashlib.sha256(self.content).hexdigest()


def covering_head(connection: Connection, known: Keyring, position: int) -> Head | None:
    """Return the oldest signed head whose tree holds `position`; None if there is none yet."""
    table = schema.head
    query = select(table.c.entry).where(table.c.size > position).order_by(table.c.size)
    for text in connection.execute(query.execution_options(yield_per=5)).scalars():
        head = read_head(text)
        if known.signer(head.note, head.checkpoint.time) is not None:
            return head
    return None


def make_pack(
    connection: Connection,
    settings: Settings,
    chosen: Selection,
    head: Head,
    *,
    keys: Sequence[Signer],
    known: Keyring,
) -> Pack:
    """Return the pack of a selection under a head that covers it, signed with `keys`.

    Raises LedgerError where the tree in the database is not the one that the head was signed for,
    or a record is not the one that its leaf was made of: then nothing can be proven, and
    `./hims audit verify` says what is wrong.
    """
    if not keys:
        raise LedgerError("there is no key to sign the pack with; make it where heads are signed")
    signer = known.signer(head.note, head.checkpoint.time)
    if signer is None:
        raise LedgerError("the head of the pack is signed by no key that counted then")
    proofs = _proofs(connection, chosen, head)
    _vouch(connection, chosen, known)
    pieces = evidence.gather(connection, chosen.records, settings.state_dir / "evidence")
    parts: dict[str, Any] = {
        "population": chapters.population(connection, chosen),
        "changes": chapters.changes(connection, chosen),
        "votes": chapters.votes(chosen.records),
        "gates": chapters.gates(chosen.records),
        "deployment": chapters.deployment_log(chosen.records),
        "notices": chapters.notices(connection, chosen),
        "rows": chapters.unvouched(connection, chosen),
        "controls": chapters.controls(settings, chosen.records),
        "evidence": [piece.document() for piece in pieces],
    }
    public = list(dict.fromkeys([signer, *(key.public for key in keys)]))
    about = _about(chosen, head, public)
    files = {f"{name}.json": _json(part) for name, part in parts.items()}
    files |= {
        piece.file: piece.content
        for piece in pieces
        if piece.file is not None and piece.content is not None
    }
    files["records.jsonl"] = "".join(
        canonical(
            {
                "seq": item.seq,
                "position": item.position,
                "body": item.body,
                "proof": [node.hex() for node in proofs[item.position]],
                **({"pruned": item.leaf_hash.hex()} if item.pruned else {}),
            }
        )
        + "\n"
        for item in chosen.records
    ).encode()
    files["head.txt"] = head.note.encode()
    files["verify.py"] = _verifier(public)
    files["index.html"] = pack_page.render(about, parts).encode()
    listed = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        for name, content in sorted(files.items())
    }
    manifest = _json({**about, "files": listed})
    signed = f"hims evidence pack\n{hashlib.sha256(manifest).hexdigest()}\n"
    signatures = "".join(sign_text(signed, key) for key in keys)
    return Pack(
        content=_archive({"pack.json": manifest, "pack.sig": signatures.encode(), **files}),
        head=head,
        records=len(chosen.records),
        exceptions=tuple(pack_page.exceptions(parts)),
    )


def _proofs(connection: Connection, chosen: Selection, head: Head) -> dict[int, list[bytes]]:
    leaf = schema.leaf
    rows = connection.execute(
        select(leaf.c.leaf_hash)
        .where(leaf.c.position < head.size)
        .order_by(leaf.c.position)
        .execution_options(yield_per=5000)
    ).scalars()
    positions = [item.position for item in chosen.records]
    try:
        root, proofs = inclusion_proofs((bytes(row) for row in rows), head.size, positions)
    except ValueError:
        root, proofs = b"", {}
    if root != head.checkpoint.root:
        raise LedgerError(
            f"the tree in the database is not the one of the signed head of {head.size} records; "
            "see `./hims audit verify`"
        )
    return proofs


def _vouch(connection: Connection, chosen: Selection, known: Keyring) -> None:
    """Raise LedgerError where a body is not what its leaf was made of; of a record that was pruned,
    where it is not what the record of the pruning says was left."""
    stubs: Mapping[int, Stub] | None = None
    head: Head | None = None
    for item in chosen.records:
        if item.pruned:
            stubs = pruned_stubs(connection) if stubs is None else stubs
            if head is None or head.size <= item.position:
                head = covering_head(connection, known, item.position)
            sealed = None if head is None else head.checkpoint.time
            said, time = stubs.get(item.seq), str(item.content["time"])
            same = said is not None and said.fits(item.body, item.leaf_hash, time, sealed)
        else:
            same = leaf_hash(item.body) == item.leaf_hash
        if not same:
            raise LedgerError(
                f"record {item.seq} is not what was written, so that nothing can be proven with "
                "it; see `./hims audit verify`"
            )


def _about(chosen: Selection, head: Head, public: Sequence[PublicKey]) -> dict[str, Any]:
    checkpoint = head.checkpoint
    return {
        "format": FORMAT,
        "kind": chosen.kind,
        "id": chosen.id,
        "from": format_instant(chosen.since),
        "to": format_instant(chosen.until),
        "releases": list(chosen.releases),
        "records": len(chosen.records),
        "origin": checkpoint.origin,
        "head": {
            "size": checkpoint.size,
            "root": "sha256:" + checkpoint.root.hex(),
            "time": format_instant(checkpoint.time),
        },
        "keys": [str(key) for key in public],
    }


def _verifier(public: Sequence[PublicKey]) -> bytes:
    source = Path(verify_pack.__file__).read_text(encoding="utf-8")
    keys = "".join(f"    {str(key)!r},\n" for key in public)
    return _KEYS.sub(lambda _: f"KEYS: tuple[str, ...] = (\n{keys})", source, count=1).encode()


def _json(content: Any) -> bytes:
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def _archive(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in sorted(files.items()):
            item = zipfile.ZipInfo(name, _EPOCH)
            item.create_system = 3
            item.external_attr = 0o100644 << 16
            item.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(item, content, compresslevel=6)
    return stream.getvalue()
