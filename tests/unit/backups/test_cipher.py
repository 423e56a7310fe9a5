"""Encrypted files: what goes in comes out, and nothing else does."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path

import pytest

from include.backups.cipher import MAGIC, PIECE, Sealing, is_sealed, read_key, unsealed
from include.errors import BackupError

KEY = bytes(range(32))


def sealed(path: Path, parts: Iterable[bytes]) -> Path:
    sealing = Sealing(KEY)
    path.write_bytes(b"".join([*(sealing.add(part) for part in parts), sealing.end()]))
    return path


def opened(path: Path, key: bytes = KEY) -> bytes:
    return b"".join(unsealed(path, lambda: key))


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 7])
def test_what_goes_in_comes_out_however_it_is_cut(tmp_path: Path, size: int) -> None:
    content = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    whole = sealed(tmp_path / "whole", [content])
    parts = sealed(
        tmp_path / "parts", [content[at : at + 700_001] for at in range(0, size, 700_001)]
    )
    assert opened(whole) == opened(parts) == content
    assert is_sealed(whole)
    assert size < 32 or content[:32] not in whole.read_bytes()


def test_two_files_of_one_content_have_nothing_in_common(tmp_path: Path) -> None:
    one, two = (sealed(tmp_path / name, [b"x" * 100]).read_bytes() for name in "ab")
    assert one[len(MAGIC) :] != two[len(MAGIC) :]


def test_a_change_anywhere_is_found(tmp_path: Path) -> None:
    path = sealed(tmp_path / "file", [b"patient 17"])
    good = path.read_bytes()
    for place in range(len(MAGIC), len(good)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(BackupError, match=r"too early|was changed"):
            opened(path)


def test_a_missing_end_is_found_wherever_it_is_missing(tmp_path: Path) -> None:
    path = sealed(tmp_path / "file", [b"y" * (PIECE + 10)])
    good = path.read_bytes()
    piece = len(MAGIC) + 32 + 4 + PIECE + 16
    for length in (len(MAGIC), len(MAGIC) + 5, piece - 1, piece, piece + 3, len(good) - 1):
        path.write_bytes(good[:length])
        with pytest.raises(BackupError, match=r"too early|cut off"):
            opened(path)


def test_pieces_in_another_order_are_found(tmp_path: Path) -> None:
    path = sealed(tmp_path / "file", [b"a" * PIECE, b"b" * PIECE, b"c"])
    good = path.read_bytes()
    head, size = len(MAGIC) + 32, 4 + PIECE + 16
    first, second = good[head : head + size], good[head + size : head + 2 * size]
    path.write_bytes(good[:head] + second + first + good[head + 2 * size :])
    with pytest.raises(BackupError, match="was changed"):
        opened(path)


def test_another_key_opens_nothing(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="another key"):
        opened(sealed(tmp_path / "file", [b"x"]), bytes(32))


@pytest.mark.parametrize(
    "text", [base64.b64encode(KEY).decode(), f" {base64.urlsafe_b64encode(KEY).decode()}\n"]
)
def test_a_key_is_read_from_base64(text: str) -> None:
    assert read_key(text) == KEY


@pytest.mark.parametrize("text", ["", "secret", base64.b64encode(KEY[:16]).decode(), "ü" * 44])
def test_what_is_no_key_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(BackupError, match="openssl rand") as caught:
        read_key(text)
    assert not text or text not in str(caught.value)


def test_other_files_and_folders_are_not_taken_for_encrypted(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"PGDMP")
    assert not is_sealed(tmp_path / "plain")
    assert not is_sealed(tmp_path)
    assert not is_sealed(tmp_path / "nothing")
