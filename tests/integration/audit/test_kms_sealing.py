"""A ledger whose heads are signed in KMS: verified, anchored, packed, and handed over to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.audit.anchors.git_tag import GitTagAnchor, allowed_signer
from include.audit.keys import Keyring, Trusted
from include.audit.kms import KmsSigner, open_client, read_public_key
from include.audit.pack import covering_head, make_pack
from include.audit.pack_check import check_pack
from include.audit.sealing import Sealed, Sealer
from include.audit.selection import select_period
from include.audit.verification import verify_ledger
from include.cli import main
from include.errors import LedgerError
from include.ledger.note import Signer, signers
from include.settings import load_settings
from tests.integration.audit.vault import KEY, ORIGIN, TOLERANCE, Vault
from tests.kms_fake import FakeKms
from tests.unit.config_copy import ConfigCopy


@pytest.fixture
def kms() -> Iterator[FakeKms]:
    """A fake with two keys."""
    with FakeKms() as fake:
        fake.make(1, "alias/seal")
        fake.make(2, "alias/next")
        yield fake


def in_kms(kms: FakeKms, alias: str) -> KmsSigner:
    return KmsSigner(kms.client, alias, read_public_key(kms.client, alias))


def seal(vault: Vault, keys: list[Signer], known: Keyring) -> Sealed:
    vault.write(2)
    return Sealer(vault.ledger, ORIGIN, keys, known, [vault.anchor]).seal(vault.now)


def holds(vault: Vault, known: Keyring) -> bool:
    later = vault.now + timedelta(seconds=5)
    return verify_ledger(
        vault.ledger,
        ORIGIN,
        known,
        [vault.anchor],
        later,
        tolerance=TOLERANCE,
        evidence=vault.evidence,
    ).ok


def test_heads_go_from_a_key_at_hand_to_kms_and_on_to_another_key_in_kms(
    vault: Vault, kms: FakeKms, tmp_path: Path
) -> None:
    first, second = in_kms(kms, "alias/seal"), in_kms(kms, "alias/next")
    turns: list[list[Signer]] = [[KEY], [KEY, first], [first], [first, second], [second]]
    # The published time of each key: the first signs until the third turn begins, and so on.
    begins = [vault.now + timedelta(hours=hours) for hours in range(5)]
    known = Keyring(
        (
            Trusted(key=KEY.public, until=begins[2]),
            Trusted(key=first.public, since=begins[1], until=begins[4]),
            Trusted(key=second.public, since=begins[3]),
        )
    )
    start = vault.now
    for begin, keys in zip(begins, turns, strict=True):
        vault.now = begin
        sealed = seal(vault, keys, known)
        assert sealed.problems == ()
        assert sealed.head is not None
        public = [key.public for key in (KEY, first, second)]
        assert signers(sealed.head.note, public) == [key.public for key in keys]
        assert holds(vault, known)
    # Nobody who lacks the keys of one stretch takes it for sealed.
    assert not holds(vault, Keyring(known.keys[1:]))
    assert not holds(vault, Keyring(known.keys[:2]))
    for begin, keys in zip(begins, turns, strict=True):
        with vault.ledger.read() as connection:
            chosen = select_period(connection, start, begin + timedelta(minutes=1))
            head = covering_head(connection, known, chosen.records[-1].position)
            assert head is not None
            pack = make_pack(connection, load_settings(), chosen, head, keys=keys, known=known)
        path = tmp_path / "pack.zip"
        path.write_bytes(pack.content)
        assert check_pack(path, ORIGIN, known)["ok"]
        assert own_verifier_holds(path)
        assert not check_pack(path, ORIGIN, Keyring((Trusted(key=forger(kms).public),)))["ok"]
        retired = Keyring(tuple(Trusted(key=item.key, until=start) for item in known.keys))
        found = check_pack(path, ORIGIN, retired)
        assert [item["kind"] for item in found["findings"]] == ["head_refused"]


def forger(kms: FakeKms) -> KmsSigner:
    kms.make(3, "alias/forger")
    return in_kms(kms, "alias/forger")


def own_verifier_holds(path: Path) -> bool:
    """Run the pack's own verifier as an auditor does: plain Python and nothing of ours."""
    with zipfile.ZipFile(path) as archive:
        verifier = path.with_name("verify.py")
        verifier.write_bytes(archive.read("verify.py"))
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(verifier), str(path)],
        env={"PATH": os.environ["PATH"]}, cwd=path.parent, capture_output=True, check=False,
    )  # fmt: skip
    assert done.stderr == b""
    return done.returncode == 0


def test_git_itself_verifies_a_tag_that_kms_signed(
    vault: Vault, kms: FakeKms, tmp_path: Path
) -> None:
    repository = tmp_path / "anchors.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(repository)], check=True)
    key = in_kms(kms, "alias/seal")
    vault.write(2)
    known = Keyring((Trusted(key=key.public),))
    anchor = GitTagAnchor(repository, [key])
    assert Sealer(vault.ledger, ORIGIN, [key], known, [anchor]).seal(vault.now).places
    allowed = tmp_path / "signers"
    for public, good in ((key.public, True), (forger(kms).public, False)):
        allowed.write_text(allowed_signer(public) + "\n")
        words = ["-c", "gpg.format=ssh", "-c", f"gpg.ssh.allowedSignersFile={allowed}"]
        done = subprocess.run(
            ["git", *words, "verify-tag", "ledger/000000000002"],
            cwd=repository, capture_output=True, check=False,
        )  # fmt: skip
        assert (done.returncode == 0) == good, done.stderr


def test_what_kms_does_not_sign_is_not_sealed_and_is_sealed_when_it_does(
    vault: Vault, kms: FakeKms
) -> None:
    key = in_kms(kms, "alias/seal")
    known = Keyring((Trusted(key=KEY.public), Trusted(key=key.public)))
    kms.errors.append("DisabledException")
    with pytest.raises(LedgerError, match="the key is disabled"):
        seal(vault, [KEY, key], known)
    assert vault.anchor.newest() == 0
    sealed = seal(vault, [KEY, key], known)
    assert (vault.anchor.newest(), sealed.problems) == (4, ())
    assert holds(vault, known)


def test_the_commands_seal_and_pack_with_kms_and_verify_without_it(
    vault: Vault,
    kms: FakeKms,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = ConfigCopy(tmp_path / "config")
    config.replace("global.yaml", "state_dir: .run", f"state_dir: {tmp_path / 'run'}")
    public = read_public_key(kms.client, "alias/seal")
    published = f"keys: [{{key: {public}, kms: {{key: alias/seal, region: eu-central-1}}}}]"
    config.replace("audit.yaml", "\nkeys: []", f"\n{published}")
    for name, value in {
        "HIMS_CONFIG": str(config.directory),
        "AIRFLOW_CONN_RELEASE_CONTROL_DB": vault.server.url(vault.database, "ledger_app"),
        "AWS_ENDPOINT_URL_KMS": kms.url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AIRFLOW_CONN_LEDGER_SEAL_KEY", raising=False)
    open_client.cache_clear()
    vault.now = datetime.now(UTC) - timedelta(minutes=1)
    vault.write(2)

    kms.errors.append("AccessDeniedException")
    assert main(("audit", "seal")) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert "it needs kms:GetPublicKey and kms:Sign" in said.err
    assert main(("audit", "seal", "--json")) == 0
    assert signers(json.loads(capsys.readouterr().out)["note"], [public]) == [public]
    assert not (tmp_path / "run" / "seal" / "keys.json").exists()

    pack = tmp_path / "pack.zip"
    period = ("--from", "2020-01-01T00:00:00Z", "--to", "2100-01-01T00:00:00Z")
    assert main(("audit", "pack", *period, "-o", str(pack))) == 0, capsys.readouterr()
    kms.make(2, "alias/seal")
    vault.now = datetime.now(UTC)
    vault.write()
    assert main(("audit", "seal")) == 2
    assert "the alias was moved" in capsys.readouterr().err

    kms.calls.clear()
    kms.raw = b"away"
    assert main(("audit", "verify")) == 0, capsys.readouterr()
    assert main(("audit", "verify", str(pack))) == 0, capsys.readouterr()
    assert own_verifier_holds(pack)
    assert kms.calls == []
    open_client.cache_clear()
