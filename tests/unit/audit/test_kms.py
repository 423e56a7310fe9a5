"""Keys in KMS: boto3's own client against a fake, which says itself what it cannot show."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from include.audit.anchors.git_tag import ssh_signature
from include.audit.desk import open_desk
from include.audit.keys import local_keys
from include.audit.kms import KmsSigner, open_client, read_public_key
from include.audit.verify_pack import ed25519_holds, read_key
from include.cli import main
from include.errors import ConfigError, LedgerError
from include.ledger.note import (
    Checkpoint,
    PrivateKey,
    PublicKey,
    Signer,
    parse_public_key,
    sign_checkpoint,
    signers,
)
from tests.kms_fake import FakeKms
from tests.unit.config_copy import ConfigCopy

AT = datetime(2026, 11, 28, 7, tzinfo=UTC)
DAY = timedelta(days=1)
HEAD = Checkpoint(origin="a/ledger", size=7, root=bytes(range(32)), time=AT, entry="sha256:1")
SEAL = "alias/seal"


@pytest.fixture
def kms() -> Iterator[FakeKms]:
    """A fake with one key, alias/seal."""
    with FakeKms() as fake:
        fake.make(1, SEAL)
        yield fake


@pytest.fixture
def public(kms: FakeKms) -> PublicKey:
    """The public half of that key."""
    return read_public_key(kms.client, SEAL)


def signer(kms: FakeKms, public: PublicKey) -> KmsSigner:
    return KmsSigner(kms.client, SEAL, public)


def test_a_head_that_kms_signed_verifies_as_any_other(kms: FakeKms, public: PublicKey) -> None:
    other = PrivateKey(name="k", seed=bytes(32))
    note = sign_checkpoint(HEAD, [other, signer(kms, public)])
    assert signers(note, [public]) == [public]
    assert signers(note, [other.public]) == [other.public]
    assert public.name == "kms/0a1b2c3d-0000-4000-8000-000000000001"
    assert parse_public_key(str(public)) == public
    name, identity, raw = read_key(str(public))
    assert (name, identity, raw) == (public.name, public.id, public.raw)
    line = next(line for line in note.splitlines() if public.name in line)
    signature = base64.b64decode(line.rpartition(" ")[2])[4:]
    assert ed25519_holds(raw, HEAD.text().encode(), signature)


def test_kms_is_asked_for_its_key_once_and_for_nothing_before_it_signs(
    kms: FakeKms, public: PublicKey
) -> None:
    kms.calls.clear()
    key = signer(kms, public)
    assert (key.public, kms.calls) == (public, [])
    key.sign(b"one")
    assert "BEGIN SSH SIGNATURE" in ssh_signature(b"two", key)
    assert kms.calls == ["GetPublicKey", "Sign", "Sign"]


def test_what_kms_would_not_take_is_not_sent(kms: FakeKms, public: PublicKey) -> None:
    key = signer(kms, public)
    assert len(key.sign(b"x" * 4096)) == 64
    kms.calls.clear()
    with pytest.raises(LedgerError, match=r"4096 bytes at most, and these are 4097"):
        key.sign(b"x" * 4097)
    assert kms.calls == []


def test_a_moved_alias_signs_nothing(kms: FakeKms, public: PublicKey) -> None:
    key = signer(kms, public)
    key.sign(b"x")
    kms.make(2, SEAL)
    with pytest.raises(LedgerError, match=r"alias/seal was arn:.*the alias was moved"):
        key.sign(b"x")
    kms.calls.clear()
    with pytest.raises(LedgerError, match=f"not the published key {public.name}"):
        signer(kms, public).sign(b"x")
    assert kms.calls == ["GetPublicKey"]


def test_another_key_id_under_a_right_signature_is_an_error(
    kms: FakeKms, public: PublicKey
) -> None:
    def spoil(operation: str, answer: dict[str, Any]) -> None:
        if operation == "Sign":
            answer["KeyId"] += "0"

    kms.spoil = spoil
    with pytest.raises(LedgerError, match="the alias was moved"):
        signer(kms, public).sign(b"x")


@pytest.mark.parametrize("signature", [b"", b"x" * 64, b"x" * 63, None])
def test_a_wrong_signature_is_not_used(
    kms: FakeKms, public: PublicKey, signature: bytes | None
) -> None:
    def spoil(operation: str, answer: dict[str, Any]) -> None:
        if operation == "Sign":
            del answer["Signature"]
            if signature is not None:
                answer["Signature"] = base64.b64encode(signature).decode()

    kms.spoil = spoil
    with pytest.raises(LedgerError, match=r"is no signature of kms/.*it was not used"):
        signer(kms, public).sign(b"x")


def _elliptic() -> str:
    key = generate_private_key(SECP256R1()).public_key()
    return base64.b64encode(
        key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).decode()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"KeySpec": "ECC_NIST_P256"}, "SIGN_VERIFY by ECC_NIST_P256: heads are signed with"),
        ({"KeyUsage": "KEY_AGREEMENT"}, "for KEY_AGREEMENT by"),
        ({"SigningAlgorithms": ["ED25519_PH_SHA_512"]}, "heads are signed with a key made for"),
        ({"SigningAlgorithms": None}, "heads are signed with a key made for"),
        ({"PublicKey": "AAAA"}, "no Ed25519 public key"),
        ({"PublicKey": None}, "no Ed25519 public key"),
        ({"PublicKey": _elliptic()}, "no Ed25519 public key"),
        ({"KeyId": None}, "no Ed25519 public key"),
    ],
)
def test_a_key_of_another_kind_is_refused(
    kms: FakeKms, public: PublicKey, change: dict[str, Any], words: str
) -> None:
    kms.spoil = lambda _operation, answer: answer.update(change)
    with pytest.raises(LedgerError, match=words):
        signer(kms, public).sign(b"x")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("NotFoundException", "there is no such key"),
        ("DisabledException", "the key is disabled; enable it"),
        ("KMSInvalidStateException", "about to be deleted"),
        ("AccessDeniedException", "it needs kms:GetPublicKey and kms:Sign"),
        ("InvalidKeyUsageException", "not one for signing with ED25519_SHA_512"),
        ("ThrottlingException", "asked too often"),
        ("SomethingNewException", "SomethingNewException: as it was told to"),
    ],
)
def test_what_kms_refuses_is_one_clear_sentence(
    kms: FakeKms, public: PublicKey, code: str, words: str
) -> None:
    key = signer(kms, public)
    key.sign(b"x")
    for asked in (key.sign, signer(kms, public).sign):
        kms.errors.append(code)
        with pytest.raises(
            LedgerError, match=f"KMS refuses to use the key {SEAL}: .*{words}"
        ) as no:
            asked(b"x")
        assert "\n" not in str(no.value)


@pytest.mark.parametrize(
    "raw", [b"", b"<html>", b"[]", b"null", b'{"PublicKey": "%%%"}', b'{"KeyId": 7}']
)
def test_an_answer_that_is_none_of_kms_is_an_error_and_not_a_traceback(
    kms: FakeKms, public: PublicKey, raw: bytes
) -> None:
    kms.raw = raw
    with pytest.raises(LedgerError, match=SEAL):
        signer(kms, public).sign(b"x")


def test_a_kms_that_is_away_or_has_no_credentials_is_said_to_be(
    public: PublicKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeKms() as gone:
        client = gone.client()
    with pytest.raises(LedgerError, match=r"KMS cannot be asked about the key alias/seal: .*"):
        KmsSigner(lambda: client, SEAL, public).sign(b"x")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(LedgerError, match=r"KMS cannot be asked .*region"):
        KmsSigner(lambda: open_client(None), SEAL, public).sign(b"x")


@pytest.fixture
def desk_of(
    config: ConfigCopy, kms: FakeKms, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> Any:
    """Return a function that publishes keys and opens the desk at an instant."""
    monkeypatch.delenv("AIRFLOW_CONN_LEDGER_SEAL_KEY", raising=False)
    path = config.directory / "global.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("state_dir: .run", f"state_dir: {tmp_path / 'run'}"))
    assert config.settings.state_dir == tmp_path / "run"

    def open_(published: list[dict[str, Any]], at: datetime, keys: str | None = None) -> Any:
        old = (config.directory / "audit.yaml").read_text(encoding="utf-8")
        lines = [line for line in old.splitlines() if not line.startswith("keys:")]
        config.write("audit.yaml", "\n".join([*lines, f"keys: {json.dumps(published)}", ""]))
        return open_desk(
            config.settings, at, sign=True, keys=keys, kms_client=lambda _region: kms.client()
        )

    return open_


def entry(public: PublicKey, **words: Any) -> dict[str, Any]:
    times = {key: f"{value:%Y-%m-%dT%H:%M:%SZ}" for key, value in words.items() if key != "kms"}
    place = {"kms": {"key": words["kms"], "region": "eu-central-1"}} if "kms" in words else {}
    return {"key": str(public), **times, **place}


def names(keys: tuple[Signer, ...]) -> list[str]:
    return [key.public.name for key in keys]


def test_the_connection_s_key_hands_over_to_kms_with_an_overlap(
    desk_of: Any, public: PublicKey
) -> None:
    old = PrivateKey(name="old", seed=b"o" * 32)
    published = [
        entry(old.public, until=AT + 3 * DAY),
        entry(public, since=AT + DAY, kms=SEAL),
    ]
    for days, expected in ((0, ["old"]), (1, ["old", public.name]), (3, [public.name])):
        at = AT + days * DAY
        desk = desk_of(published, at, old.text())
        assert names(desk.keys) == expected
        note = sign_checkpoint(
            Checkpoint(origin="a/b", size=1, root=bytes(32), time=at, entry="sha256:1"), desk.keys
        )
        assert {key.name for key in signers(note, [old.public, public])} == set(expected)
        # What is over does not count, even where the old key is still at hand.
        late = sign_checkpoint(
            Checkpoint(origin="a/b", size=1, root=bytes(32), time=at, entry="sha256:1"), [old]
        )
        assert (desk.known.signer(late, at) is None) == (days == 3)


def test_this_machine_s_key_hands_over_to_kms_and_none_is_made_any_more(
    desk_of: Any, config: ConfigCopy, public: PublicKey
) -> None:
    (own,) = local_keys(config.settings, AT)
    both = [entry(own.public, until=AT + DAY), entry(public, kms=SEAL)]
    assert names(desk_of(both, AT).keys) == [own.name, public.name]
    assert names(desk_of(both, AT + DAY).keys) == [public.name]
    # What is not published does not sign beside KMS, and nothing takes the place of KMS.
    assert names(desk_of([entry(public, kms=SEAL)], AT).keys) == [public.name]
    assert names(desk_of([entry(public, until=AT, kms=SEAL)], AT).keys) == []
    assert local_keys(config.settings, AT) == [own]


def test_one_key_in_kms_hands_over_to_another(
    desk_of: Any, kms: FakeKms, public: PublicKey
) -> None:
    kms.make(2, "alias/next")
    after = read_public_key(kms.client, "alias/next")
    published = [
        entry(public, until=AT + DAY, kms=SEAL),
        entry(after, since=AT, kms="alias/next"),
    ]
    desk = desk_of(published, AT)
    note = sign_checkpoint(HEAD, desk.keys)
    assert signers(note, [public, after]) == [public, after]
    # The old one may be gone from KMS as soon as it no longer signs.
    del kms.keys[kms.aliases[SEAL]]
    with pytest.raises(LedgerError, match="there is no such key"):
        sign_checkpoint(HEAD, desk.keys)
    desk = desk_of(published, AT + DAY)
    assert signers(sign_checkpoint(HEAD, desk.keys), [public, after]) == [after]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ({"key": "arn:aws:kms:us-east-1:111122223333:key/x", "region": "eu-west-1"},
         "the key is in us-east-1, not in eu-west-1"),
        ({"key": "alias/a b"}, "kms"),
        ({"key": "alias/a", "region": "http://x"}, "region"),
        ({"region": "eu-west-1"}, "key"),
    ],
)  # fmt: skip
def test_a_place_that_cannot_be_is_said_with_its_line(
    desk_of: Any, public: PublicKey, place: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigError, match=rf"audit.yaml:\d+: keys.0.*{words}"):
        desk_of([{"key": str(public), "kms": place}], AT)


def test_the_command_prints_the_line_to_publish_and_does_not_rotate_what_is_in_kms(
    desk_of: Any,
    config: ConfigCopy,
    kms: FakeKms,
    public: PublicKey,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HIMS_CONFIG", str(config.directory))
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", kms.url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    open_client.cache_clear()
    asked = ("audit", "keys", "--kms", SEAL, "--region", "eu-central-1")
    assert main(asked) == 0
    assert capsys.readouterr().out == f"{public}\n"
    assert main((*asked, "--json")) == 0
    assert json.loads(capsys.readouterr().out)["keys"][0]["key"] == str(public)
    assert main(("audit", "keys", "--kms", "alias/none", "--region", "eu-central-1")) == 2
    assert "there is no such key" in capsys.readouterr().err
    assert main(("audit", "keys", "--kms", "a b")) == 2
    assert capsys.readouterr().err.startswith("hims: --kms: ")
    assert main(("audit", "keys", "--region", "eu-central-1")) == 2
    desk_of([entry(public, kms=SEAL)], AT)
    assert main(("audit", "keys", "--rotate")) == 2
    assert "make the next one there" in capsys.readouterr().err
    open_client.cache_clear()
