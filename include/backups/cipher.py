"""Backups encrypted at rest: AES-256-GCM in pieces, so that a dump of any size passes in a stream.

A file is a magic word and a random salt, then pieces: four bytes of length, the ciphertext with its
tag. Each file has a key of its own (HKDF of the key and the salt); a piece's nonce is its number
and says whether it is the last, so pieces can be neither swapped nor cut off unseen.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from include.errors import BackupError

MAGIC = b"hims-backup-1\n"
PIECE = 1 << 20
_SALT, _TAG = 32, 16


def read_key(text: str) -> bytes:
    """Return the key that people keep as base64 of 32 bytes; raise BackupError for anything else.

    `openssl rand -base64 32` makes one.
    """
    try:
        key = base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise BackupError(
            "the key of backups is not usable; it is 32 random bytes in base64, as "
            "`openssl rand -base64 32` makes them"
        )
    return key


class Sealing:
    """Encrypts a stream piece by piece; what comes back from `add` and `end` is the file."""

    def __init__(self, key: bytes) -> None:
        salt = os.urandom(_SALT)
        self._box = _box(key, salt)
        self._head = MAGIC + salt
        self._number = 0
        self._rest = bytearray()

    def add(self, data: bytes) -> bytes:
        """Return what can be written of `data` and what came before it."""
        self._rest += data
        out = bytearray(self._take_head())
        # The last piece is told apart, so one is always kept back.
        while len(self._rest) > PIECE:
            out += self._piece(bytes(self._rest[:PIECE]), last=False)
            del self._rest[:PIECE]
        return bytes(out)

    def end(self) -> bytes:
        """Return the end of the file."""
        return self._take_head() + self._piece(bytes(self._rest), last=True)

    def _take_head(self) -> bytes:
        head, self._head = self._head, b""
        return head

    def _piece(self, data: bytes, *, last: bool) -> bytes:
        sealed = self._box.encrypt(_nonce(self._number, last=last), data, None)
        self._number += 1
        return len(sealed).to_bytes(4, "big") + sealed


def is_sealed(path: Path) -> bool:
    """Tell whether a file was encrypted by us; a folder was not."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC


def unsealed(path: Path, key: Callable[[], bytes]) -> Iterator[bytes]:
    """Yield what an encrypted file holds; raise BackupError where it is cut off, was changed, or
    was encrypted with another key."""
    with path.open("rb") as stream:
        stream.seek(len(MAGIC))
        box = _box(key(), _exactly(stream, _SALT, path))
        number = 0
        while True:
            size = int.from_bytes(_exactly(stream, 4, path), "big")
            if not _TAG <= size <= PIECE + _TAG:
                raise _changed(path)
            sealed = _exactly(stream, size, path)
            last = not stream.read(1)
            if not last:
                stream.seek(-1, os.SEEK_CUR)
            try:
                yield box.decrypt(_nonce(number, last=last), sealed, None)
            except InvalidTag:
                raise _changed(path) from None
            if last:
                return
            number += 1


def _exactly(stream: IO[bytes], size: int, path: Path) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise BackupError(f"{path}: ends too early")
    return data


def _changed(path: Path) -> BackupError:
    return BackupError(
        f"{path}: is cut off, was changed, or was encrypted with another key than that of the "
        "Connection backup_default"
    )


def _box(key: bytes, salt: bytes) -> AESGCM:
    derived = HKDF(algorithm=SHA256(), length=32, salt=salt, info=b"backup").derive(key)
    return AESGCM(derived)


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\x01" if last else b"\x00")
