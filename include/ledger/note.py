"""Signed tree heads as text: the signed note that transparency logs use, signed with Ed25519.

    arocord-hims/ledger
    1234
    (root in base64)
    time 2026-11-28T07:00:00Z
    entry sha256:…

    — arocord-hims-ledger (key id and signature in base64)

The lines above the empty one are what is signed. A public key is published as one line,
`name+id+base64(0x01 ‖ key)`; the id is the first four bytes of SHA-256(name ‖ LF ‖ 0x01 ‖ key).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from include.errors import RequestError
from include.instants import format_instant, parse_instant

_ED25519 = b"\x01"
_NAME = re.compile(r"[A-Za-z0-9._/-]{1,100}")
_PRIVATE = "PRIVATE+KEY+"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A key that heads may be signed with."""

    name: str
    raw: bytes

    @property
    def id(self) -> bytes:
        """Return the four bytes by which a signature names the key."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.raw).digest()[:4]

    def __str__(self) -> str:
        key = base64.b64encode(_ED25519 + self.raw).decode()
        return f"{self.name}+{self.id.hex()}+{key}"

    def signed(self, content: bytes, signature: bytes) -> bool:
        """Return whether `signature` is this key's for `content`."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, content)
        except InvalidSignature:
            return False
        return True


class Signer(Protocol):
    """What signs heads: a private key that is at hand, or one that never leaves where it is."""

    @property
    def public(self) -> PublicKey:
        """Return the public half."""
        ...

    def sign(self, content: bytes) -> bytes:
        """Return the Ed25519 signature of `content`, 64 bytes; LedgerError where there is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PrivateKey:
    """A key that signs heads. Its text is a secret."""

    name: str
    seed: bytes

    @staticmethod
    def parse(text: str) -> PrivateKey:
        """Return the key in `PRIVATE+KEY+name+id+…`; RequestError does not quote what is wrong."""
        head, _, rest = text.strip().partition(_PRIVATE)
        name, _, tail = rest.partition("+")
        identity, _, coded = tail.partition("+")
        try:
            raw = base64.b64decode(coded, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if head or not _NAME.fullmatch(name) or raw[:1] != _ED25519 or len(raw) != 33:
            raise RequestError("the ledger's sealing key is not PRIVATE+KEY+name+id+base64")
        key = PrivateKey(name=name, seed=raw[1:])
        if key.public.id.hex() != identity:
            raise RequestError(f"the ledger's sealing key {name} does not fit its own id")
        return key

    @property
    def public(self) -> PublicKey:
        """Return the public half."""
        key = Ed25519PrivateKey.from_private_bytes(self.seed).public_key()
        return PublicKey(name=self.name, raw=key.public_bytes_raw())

    def text(self) -> str:
        """Return the key as it is kept: a secret."""
        coded = base64.b64encode(_ED25519 + self.seed).decode()
        return f"{_PRIVATE}{self.name}+{self.public.id.hex()}+{coded}"

    def sign(self, content: bytes) -> bytes:
        """Return the signature of `content`."""
        return Ed25519PrivateKey.from_private_bytes(self.seed).sign(content)


def parse_public_key(text: str) -> PublicKey:
    """Return the key in `name+id+base64`; RequestError if it is none."""
    name, _, tail = text.strip().partition("+")
    identity, _, coded = tail.partition("+")
    try:
        raw = base64.b64decode(coded, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    key = PublicKey(name=name, raw=raw[1:])
    if not _NAME.fullmatch(name) or raw[:1] != _ED25519 or len(raw) != 33:
        raise RequestError(f'"{text[:80]}" is not a public key: write name+id+base64')
    if key.id.hex() != identity:
        raise RequestError(f'"{text[:80]}": the id is not that of the key')
    return key


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a head says: the tree's size and root, when it was signed, and the entry's digest."""

    origin: str
    size: int
    root: bytes
    time: datetime
    entry: str

    def text(self) -> str:
        """Return the lines that are signed, each with its end of line."""
        root = base64.b64encode(self.root).decode()
        return (
            f"{self.origin}\n{self.size}\n{root}\n"
            f"time {format_instant(self.time)}\nentry {self.entry}\n"
        )


def sign_checkpoint(checkpoint: Checkpoint, keys: Sequence[Signer]) -> str:
    """Return the note of `checkpoint`, signed by every one of `keys`: more than one while one key
    takes over from another."""
    text = checkpoint.text()
    return text + "\n" + "".join(sign_text(text, key) for key in keys)


def sign_text(text: str, key: Signer) -> str:
    """Return the signature line of a text."""
    public = key.public
    coded = base64.b64encode(public.id + key.sign(text.encode())).decode()
    return f"— {public.name} {coded}\n"


def read_note(note: str) -> tuple[Checkpoint, list[tuple[str, bytes, bytes]]]:
    """Return what a note says and its signatures (name, key id, signature), none of them checked.

    Raises RequestError where the text is no note.
    """
    text, gap, signatures = note.partition("\n\n")
    lines = text.split("\n")
    try:
        origin, size, root, time, entry = lines
        checkpoint = Checkpoint(
            origin=origin,
            size=int(size),
            root=base64.b64decode(root, validate=True),
            time=parse_instant(time.removeprefix("time ")),
            entry=entry.removeprefix("entry "),
        )
    except (ValueError, binascii.Error, RequestError) as error:
        raise RequestError("this is not a signed head of the ledger") from error
    # One text for one meaning: what is parsed is exactly what was signed.
    if not gap or checkpoint.text() != text + "\n" or len(checkpoint.root) != 32:
        raise RequestError("this is not a signed head of the ledger")
    found = []
    for line in signatures.splitlines():
        mark, _, rest = line.partition(" ")
        name, _, coded = rest.partition(" ")
        try:
            raw = base64.b64decode(coded, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if mark != "—" or len(raw) != 68:
            raise RequestError(f"{name[:80]}: this is not a signature of a head")
        found.append((name, raw[:4], raw[4:]))
    return checkpoint, found


def signers(note: str, keys: Iterable[PublicKey]) -> list[PublicKey]:
    """Return those of `keys` that have signed the note."""
    checkpoint, found = read_note(note)
    text = checkpoint.text().encode()
    return [
        key
        for key in keys
        if any(
            (name, identity) == (key.name, key.id) and key.signed(text, signature)
            for name, identity, signature in found
        )
    ]
