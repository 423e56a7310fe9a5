"""Signed heads: what is read is what was signed, and only the right key has signed it."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from include.audit.verify_pack import ed25519_holds, read_key
from include.errors import RequestError
from include.ledger.note import (
    Checkpoint,
    PrivateKey,
    parse_public_key,
    read_note,
    sign_checkpoint,
    signers,
)

AT = datetime(2026, 11, 28, 7, tzinfo=UTC)
HEAD = Checkpoint(origin="a/ledger", size=7, root=bytes(range(32)), time=AT, entry="sha256:1")
OLD, NEW, OTHER = (PrivateKey(name="k", seed=bytes([number]) * 32) for number in range(3))


def test_a_note_says_what_was_signed_and_who_did() -> None:
    note = sign_checkpoint(HEAD, [OLD, NEW])
    assert note.startswith("a/ledger\n7\n")
    assert read_note(note)[0] == HEAD
    assert signers(note, [NEW.public, OTHER.public]) == [NEW.public]
    assert signers(note, [OLD.public]) == [OLD.public]
    assert signers(note, [OTHER.public]) == []


def test_a_key_goes_through_its_text_and_shows_itself_nowhere() -> None:
    assert PrivateKey.parse(OLD.text()) == OLD
    assert parse_public_key(str(OLD.public)) == OLD.public
    assert OLD.text() not in repr(OLD)
    assert base64.b64encode(OLD.seed).decode() not in repr(OLD)


@pytest.mark.parametrize(
    "text", ["", "k", "k+00+00", "PRIVATE+KEY+k+00000000+AQ==", str(OLD.public), "x" * 500, "+++"]
)
def test_a_damaged_key_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(RequestError) as refused:
        PrivateKey.parse(text)
    assert text not in str(refused.value) or text in ("", "k")
    with pytest.raises(RequestError):
        parse_public_key(text.replace("k+", "kk+"))


@settings(max_examples=200)
@given(st.data())
def test_whatever_is_changed_in_a_note_nobody_has_signed_it(data: st.DataObject) -> None:
    note = sign_checkpoint(HEAD, [OLD])
    place = data.draw(st.integers(0, len(note) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda char: char != note[place]))
    changed = note[:place] + other + note[place + 1 :]
    try:
        found = signers(changed, [OLD.public])
        same = read_note(changed)[0] == HEAD
    except RequestError:
        return
    assert found == [] or same


# RFC 8032 §7.1, tests 1 to 3: key, message, signature.
VECTORS = (
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b"
        "46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11"
        "d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc"
        "6594a7c15e9716ed28dc027beceea1ec40a",
    ),
)


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_the_plain_verifier_holds_what_the_rfc_holds(
    key: str, message: str, signature: str
) -> None:
    raw = bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature)
    assert ed25519_holds(*raw)
    assert not ed25519_holds(raw[0], raw[1] + b"x", raw[2])
    for place in (0, 31, 32, 63):
        spoilt = bytearray(raw[2])
        spoilt[place] ^= 1
        assert not ed25519_holds(raw[0], raw[1], bytes(spoilt))


def test_a_signature_with_the_group_order_added_is_refused() -> None:
    order = 2**252 + 27742317777372353535851937790883648493
    key, message, signature = (bytes.fromhex(text) for text in VECTORS[1])
    bigger = int.from_bytes(signature[32:], "little") + order
    assert not ed25519_holds(key, message, signature[:32] + bigger.to_bytes(32, "little"))


@settings(max_examples=25, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200), st.binary(max_size=64))
def test_the_plain_verifier_agrees_with_the_library(
    seed: bytes, message: bytes, other: bytes
) -> None:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public = private.public_key().public_bytes_raw()
    assert ed25519_holds(public, message, private.sign(message))
    assert not ed25519_holds(public, message, other)
    assert not ed25519_holds(other, message, private.sign(message))


def test_the_plain_verifier_reads_our_keys() -> None:
    assert read_key(str(OLD.public)) == ("k", OLD.public.id, OLD.public.raw)
