"""The verifier that goes with every pack: what it takes, what it finds, and how it says so."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from include.audit import verify_pack
from include.audit.keys import Keyring, Trusted
from include.audit.pack_check import check_pack
from include.ledger.note import PrivateKey
from include.output import print_json
from tests.unit.audit.handmade import AT, KEY, ORIGIN, Handmade, body

OLD = PrivateKey(name="old", seed=b"o" * 32)
FILE = "file:///evidence/tests.log"
NAMED = {"uri": FILE, "sha256": "sha256:1"}
STUB = {
    "id": "1",
    "time": "2018-03-02T07:00:00.000Z",
    "event": "vote.cast",
    "outcome": "success",
    "change": "CHG-000001",
    "reason": "pruned",
    "message": "pruned after its retention; its leaf hash stands",
    "actor": {"user": "pruned", "name": "pruned", "auth": "none"},
    "source": {"kind": "pruned"},
    "subject": {"kind": "pruned", "id": "pruned"},
    "rows": {'vote ["1"]': "ab"},
}


def verdict(path: Path) -> dict[str, Any]:
    return verify_pack.verify(str(path), [str(KEY.public)])


def kinds(found: dict[str, Any]) -> list[str]:
    return [item["kind"] for item in found["findings"]]


def as_program(path: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run the verifier as an auditor may, with nothing of ours and a terminal of no alphabet."""
    return subprocess.run(
        [sys.executable, "-I", "-S", verify_pack.__file__, str(path), *words],
        env={"PATH": os.environ["PATH"], "LC_ALL": "POSIX"}, capture_output=True, check=False,
    )  # fmt: skip


def test_a_pack_that_fits_fits_packed_and_unpacked(tmp_path: Path) -> None:
    pack = Handmade(bodies=[body(message=str(number)) for number in range(5)])
    for path in (pack.zipped(tmp_path / "pack.zip"), pack.unpacked(tmp_path / "pack")):
        found = verdict(path)
        assert (found["ok"], found["records"], found["pruned"]) == (True, 5, 0), found
        assert as_program(path, "--key", str(KEY.public)).returncode == 0


def test_of_what_was_pruned_the_place_is_proven_and_it_is_said_that_no_more_is(
    tmp_path: Path,
) -> None:
    pack = Handmade(bodies=[body(), body(message="secret")], stubs={1: json.dumps(STUB)})
    found = verdict(pack.zipped(tmp_path / "pack.zip"))
    assert (found["ok"], found["pruned"]) == (True, 1)
    assert found["message"].endswith("; of 1 that were pruned only the place is proven")


@pytest.mark.parametrize(
    "said",
    [
        {"message": "Olga votes reject for operations_manager"},
        {"reason": "done"},
        {"actor": {"user": "olga", "name": "Olga", "auth": "sso"}},
        {"subject": {"kind": "change", "id": "CHG-000001"}},
        {"subject": {"kind": "pruned", "id": "pruned", "content_hash": "sha256:1"}},
        {"source": {"kind": "ui"}},
        {"details": {"choice": "reject"}},
        {"evidence": [NAMED]},
        {"meaning": "I reject"},
        {"difference": {"a": 1}},
        {"event": ["vote.cast"]},
        {"rows": {"vote": {"choice": "reject"}}},
    ],
    ids=str,
)
def test_what_was_pruned_says_nothing_more(tmp_path: Path, said: dict[str, Any]) -> None:
    pack = Handmade(bodies=[body(), body()], stubs={1: json.dumps({**STUB, **said})})
    found = verdict(pack.zipped(tmp_path / "pack.zip"))
    assert [(item["kind"], item["seq"]) for item in found["findings"]][:1] == [("record", 2)]


def test_a_key_that_had_retired_before_the_head_signs_no_pack(tmp_path: Path) -> None:
    path = Handmade(key=OLD).zipped(tmp_path / "pack.zip")

    def checked(until: Any) -> dict[str, Any]:
        ring = (Trusted(key=KEY.public), Trusted(key=OLD.public, until=until))
        return check_pack(path, ORIGIN, Keyring(ring))

    for until in (AT - timedelta(days=300), AT):
        found = checked(until)
        assert (found["ok"], kinds(found), found["first_bad"]) == (
            False, ["pack_refused"], "pack.sig",
        )  # fmt: skip
        assert "no longer counted on 2026-11-28T07:00:00Z" in found["findings"][0]["message"]
    for until in (AT + timedelta(seconds=1), None):
        assert checked(until)["ok"]
    # A key that came after the head signs packs of it that are made later.
    ring = (Trusted(key=KEY.public), Trusted(key=OLD.public, since=AT + timedelta(days=300)))
    assert check_pack(path, ORIGIN, Keyring(ring))["ok"]


def piece(**said: Any) -> dict[str, Any]:
    return {"seq": 1, **NAMED, "status": "superseded", "message": "", "file": None, **said}


@pytest.mark.parametrize(
    ("by", "found"),
    [(87, []), (1, ["evidence_missing"]), (2, ["evidence_missing"]), (None, ["evidence_missing"]),
     (True, ["evidence_missing"]), ("87", ["evidence_missing"])],
)  # fmt: skip
def test_evidence_is_superseded_by_a_record_outside_the_pack(
    tmp_path: Path, by: Any, found: list[str]
) -> None:
    pack = Handmade(bodies=[body(evidence=[NAMED]), body()], evidence=[piece(by=by)])
    assert kinds(verdict(pack.zipped(tmp_path / "pack.zip"))) == found


def _newer_version(path: Path) -> Path:
    """Say that the last file needs version 25.5 of the format."""
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 6] = 255
    path.write_bytes(content)
    return path


def _torn_extra(path: Path) -> Path:
    """Say that a file has sizes of 64 bits, and give none."""
    with zipfile.ZipFile(path, "a") as archive:
        item = zipfile.ZipInfo("x")
        item.extra = b"\x01\x00\x08\x00" + b"1234"
        archive.writestr(item, b"")
    return path


@pytest.mark.parametrize("damage", [_newer_version, _torn_extra])
def test_an_archive_that_python_cannot_read_is_an_outcome(tmp_path: Path, damage: Any) -> None:
    path = damage(Handmade().zipped(tmp_path / "pack.zip"))
    assert kinds(verdict(path)) == ["unreadable"]
    done = as_program(path, "--json")
    assert (done.returncode, done.stderr) == (1, b"")
    assert json.loads(done.stdout)["ok"] is False


@pytest.mark.parametrize("name", ["\ud800", "\x1b[2J\x1b[32mall fits", "a\nall fits", "\u202etxt"])
def test_no_name_in_a_pack_reaches_the_terminal_as_it_is(tmp_path: Path, name: str) -> None:
    listed = {name: {"sha256": "", "size": 0}}
    path = Handmade(also_listed=listed, about={"id": name}).zipped(tmp_path / "pack.zip")
    done = as_program(path, "--key", str(KEY.public))
    assert (done.returncode, done.stderr) == (1, b"")
    printed = done.stdout.decode("ascii")
    assert all(line.isprintable() for line in printed.split("\n"))
    assert len(printed.splitlines()) == 2
    assert json.loads(as_program(path, "--json").stdout)["findings"]
    found = check_pack(path, ORIGIN, Keyring((Trusted(key=KEY.public),)))
    assert kinds(found) == ["file_missing"]
    assert found["findings"][0]["message"].isprintable()
    assert found["id"].isprintable()


def test_the_outcome_is_json_whatever_a_pack_counts_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = Handmade().files()
    for seq in (b"1e400", b"NaN", b'"\\ud800"', b"true", b"{}"):
        lines = files["records.jsonl"].replace(b'"seq": 1', b'"seq": ' + seq)
        path = tmp_path / "pack.zip"
        Handmade(extra={"records.jsonl": lines}).zipped(path)
        found = verdict(path)
        assert (found["ok"], kinds(found)) == (False, ["unreadable"])
        print_json(found)
        out = capsys.readouterr().out
        out.encode()
        json.loads(out, parse_constant=pytest.fail)


@pytest.mark.parametrize("name", ["__pycache__/x.txt", "evidence/__pycache__/secret.html"])
def test_in_an_unpacked_pack_no_folder_is_passed_over(tmp_path: Path, name: str) -> None:
    path = Handmade().unpacked(tmp_path / "pack")
    (path / name).parent.mkdir(parents=True)
    (path / name).write_text("x")
    found = verdict(path)
    assert [(item["kind"], item["file"]) for item in found["findings"]] == [("file_unlisted", name)]


def test_an_unpacked_pack_holds_no_linked_folder(tmp_path: Path) -> None:
    path = Handmade().unpacked(tmp_path / "pack")
    (path / "link").symlink_to("/etc")
    found = verdict(path)
    assert kinds(found) == ["unreadable"]
    assert "link' is a link" in found["findings"][0]["message"]


def test_verifying_leaves_nothing_behind_in_an_unpacked_pack(tmp_path: Path) -> None:
    path = Handmade().unpacked(tmp_path / "pack")
    before = sorted(path.rglob("*"))
    (path.parent / "verify.py").write_bytes(Path(verify_pack.__file__).read_bytes())
    for words in (["verify.py", "pack"], ["-I", "verify.py", "pack"]):
        subprocess.run([sys.executable, *words], cwd=tmp_path, check=False, capture_output=True)
    assert sorted(path.rglob("*")) == before
    assert not (tmp_path / "__pycache__").exists()


def test_an_archive_whose_directory_is_damaged_anywhere_has_an_outcome(tmp_path: Path) -> None:
    path = Handmade().zipped(tmp_path / "pack.zip")
    whole = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        start = archive.start_dir
    for place in range(start, len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        json.dumps(verdict(path), allow_nan=False)
