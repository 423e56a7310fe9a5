"""Anchors: a file, signed git tags that git itself verifies, and S3 Object Lock (moto)."""

# ruff: noqa: S608 - attacks are statements that are written here

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from include.audit.anchors.anchor import Anchor
from include.audit.anchors.file import FileAnchor
from include.audit.anchors.git_tag import GitTagAnchor, allowed_signer
from include.audit.anchors.s3 import S3Anchor
from include.audit.sealing import Sealer
from include.audit.verification import verify_ledger
from include.errors import LedgerError
from include.ledger.entry import read_head
from tests.aws import empty_account
from tests.integration.audit.vault import KEY, ORIGIN, TOLERANCE, Vault

RETENTION = timedelta(days=2192)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """An empty bare repository."""
    path = tmp_path / "anchors.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(path)], check=True)
    return path


@pytest.fixture
def s3() -> Iterator[Any]:
    """A client of an S3 that has a bucket with Object Lock and one without."""
    with empty_account() as session:
        client = session.client("s3")
        client.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
        client.create_bucket(Bucket="open")
        yield client


@pytest.fixture(params=["file", "git", "s3"])
def anchor(request: pytest.FixtureRequest, tmp_path: Path) -> Anchor:
    """Every kind of anchor, empty."""
    if request.param == "file":
        return FileAnchor(tmp_path / "outside")
    if request.param == "git":
        return GitTagAnchor(request.getfixturevalue("repository"), [KEY])
    return S3Anchor(request.getfixturevalue("s3"), "locked", "heads/", RETENTION)


def sealer(vault: Vault, *anchors: Anchor) -> Sealer:
    return Sealer(vault.ledger, ORIGIN, vault.keys, vault.known, anchors)


def verdict(vault: Vault, *anchors: Anchor) -> Any:
    later = vault.now + timedelta(seconds=5)
    return verify_ledger(
        vault.ledger,
        ORIGIN,
        vault.known,
        anchors,
        later,
        tolerance=TOLERANCE,
        evidence=vault.evidence,
    )


def test_an_anchor_keeps_every_head_and_gives_it_back(vault: Vault, anchor: Anchor) -> None:
    assert anchor.newest() == 0
    assert list(anchor.heads()) == []
    for count in (3, 1, 5):
        vault.write(count)
        sealed = sealer(vault, anchor).seal(vault.now)
        assert sealed.problems == ()
        assert len(sealed.places) == 1
    assert anchor.newest() == 9
    assert [read_head(text).size for text in anchor.heads()] == [3, 4, 9]
    assert verdict(vault, anchor).ok
    again = sealer(vault, anchor).seal(vault.now)
    assert (again.new, again.places, again.problems) == (False, (), ())


def test_an_anchor_that_was_away_gets_what_it_lacks(vault: Vault, anchor: Anchor) -> None:
    for _ in range(3):
        vault.write()
        sealer(vault).seal(vault.now)
    sealer(vault, anchor).seal(vault.now)
    assert [read_head(text).size for text in anchor.heads()] == [1, 2, 3]


def test_what_was_cut_off_shows_by_any_anchor(vault: Vault, anchor: Anchor) -> None:
    vault.write(4)
    sealer(vault, anchor).seal(vault.now)
    vault.write(4)
    sealer(vault, anchor).seal(vault.now)
    vault.command(
        *(f"DELETE FROM {table} WHERE seq > 4" for table in ("record", "leaf")),
        "DELETE FROM head WHERE size > 4",
        "DELETE FROM incident WHERE opened_at > '2026-11-28 07:00:04Z'",
        "UPDATE sequencer SET size = 4, low = 0, next_low = 0, highest = 4",
    )
    assert verdict(vault).ok
    found = verdict(vault, anchor)
    assert (found.first_bad, found.ok) == (5, False)


def test_git_itself_verifies_the_tag(vault: Vault, repository: Path, tmp_path: Path) -> None:
    vault.write(2)
    sealer(vault, GitTagAnchor(repository, [KEY])).seal(vault.now)
    signers = tmp_path / "signers"
    signers.write_text(allowed_signer(KEY.public) + "\n")
    words = ["-c", "gpg.format=ssh", "-c", f"gpg.ssh.allowedSignersFile={signers}"]
    done = subprocess.run(
        ["git", *words, "verify-tag", "ledger/000000000002"],
        cwd=repository, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Good" in done.stderr
    signers.write_text(allowed_signer(vault.keys[0].public).replace("AAAA", "AAAB") + "\n")
    again = subprocess.run(
        ["git", *words, "verify-tag", "ledger/000000000002"],
        cwd=repository, capture_output=True, check=False,
    )  # fmt: skip
    assert again.returncode != 0


def test_an_object_is_locked_in_compliance_mode_for_six_years(vault: Vault, s3: Any) -> None:
    vault.write()
    sealer(vault, S3Anchor(s3, "locked", "heads/", RETENTION)).seal(vault.now)
    (item,) = s3.list_object_versions(Bucket="locked")["Versions"]
    lock = s3.head_object(Bucket="locked", Key=item["Key"], VersionId=item["VersionId"])
    assert lock["ObjectLockMode"] == "COMPLIANCE"
    assert lock["ObjectLockRetainUntilDate"] >= vault.now + RETENTION
    with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
        s3.delete_object(Bucket="locked", Key=item["Key"], VersionId=item["VersionId"])


def test_what_is_put_over_an_object_or_hides_it_changes_nothing(vault: Vault, s3: Any) -> None:
    vault.write(3)
    anchor = S3Anchor(s3, "locked", "heads/", RETENTION)
    sealer(vault, anchor).seal(vault.now)
    before = list(anchor.heads())
    (item,) = s3.list_object_versions(Bucket="locked")["Versions"]
    s3.put_object(Bucket="locked", Key=item["Key"], Body=b"nothing happened\n")
    s3.delete_object(Bucket="locked", Key=item["Key"])
    assert list(anchor.heads()) == before
    for name in ("²", "heads", "1e3", "-4"):
        s3.put_object(Bucket="locked", Key=f"heads/{name}.jsonl", Body=b"nothing happened\n")
    assert list(anchor.heads()) == before
    assert anchor.newest() == 3


def test_a_bucket_without_object_lock_is_no_anchor(vault: Vault, s3: Any) -> None:
    vault.write()
    sealed = sealer(vault, S3Anchor(s3, "open", "heads/", RETENTION)).seal(vault.now)
    assert sealed.places == ()
    assert len(sealed.problems) == 1


def test_a_lock_that_is_read_back_as_another_is_no_anchor(vault: Vault, s3: Any) -> None:
    class Shortened:
        """The genuine client, but the bucket's owner has shortened what it promises."""

        def __getattr__(self, name: str) -> Any:
            return getattr(s3, name)

        def head_object(self, **words: Any) -> dict[str, Any]:
            until = datetime.now(UTC) + timedelta(days=1)
            return {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until}

    vault.write()
    sealed = sealer(vault, S3Anchor(Shortened(), "locked", "heads/", RETENTION)).seal(vault.now)
    assert "not in compliance mode" in sealed.problems[0]


def test_an_anchor_that_is_not_there_is_a_problem_and_loses_nothing(
    vault: Vault, tmp_path: Path, s3: Any
) -> None:
    vault.write()
    gone = GitTagAnchor(tmp_path / "gone.git", [KEY])
    nowhere = S3Anchor(s3, "no-such-bucket", "heads/", RETENTION)
    sealed = sealer(vault, vault.anchor, gone, nowhere).seal(vault.now)
    assert len(sealed.places) == 1
    assert len(sealed.problems) == 2
    found = verdict(vault, vault.anchor, gone)
    assert not found.ok
    assert found.findings == ()
    with pytest.raises(LedgerError):
        gone.newest()


def test_a_line_that_was_cut_off_is_written_again(vault: Vault) -> None:
    vault.write()
    vault.seal()
    vault.write()
    vault.seal()
    path = vault.anchor.path
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    assert vault.anchor.newest() == 1
    vault.seal()
    assert path.read_bytes() == whole
    assert vault.verify().ok
