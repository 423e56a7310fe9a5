"""An evidence pack of a real release, and everybody who would like it to say something else."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import insert

from include.audit.desk import open_desk
from include.audit.keys import local_keys
from include.audit.pack_check import check_pack
from include.errors import TargetError
from include.ledger import schema
from include.ledger.note import PrivateKey, sign_text
from include.permits.permit import issue
from include.releases.phases.code_freeze import run_release_tests
from include.settings import load_settings
from tests.integration.train.paper import Station, note

RELEASE = "hims-api-2.3.0"


@pytest.fixture
def prepared(permitted: Station) -> Station:
    """A release with a permit, a test log as evidence, and a key to seal with."""
    train = permitted.train(begin=False)
    assert issue(train).permit is not None
    log = permitted.settings.state_dir / "evidence" / RELEASE / "1-tests.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("12 tests passed\n")
    with train.unit() as unit:
        unit.append(
            "release.tested",
            train.subject,
            message="tests",
            evidence=[{"uri": log.as_uri(), "sha256": digest(log)}],
        )
    return permitted


def digest(path: Path) -> str:
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def packed(prepared: Station, hims: Any, tmp_path: Path) -> Path:
    """The pack of that release."""
    path = tmp_path / "pack.zip"
    status, out, err = hims(prepared, "audit", "pack", RELEASE, "-o", str(path), "--json")
    assert status == 0, (out, err)
    assert json.loads(out)["ok"] is True
    return path


def files(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path: Path, changed: dict[str, bytes | None]) -> Path:
    """Write the pack again with other files."""
    content: dict[str, bytes | None] = {**files(path), **changed}
    other = path.with_name("other.zip")
    with zipfile.ZipFile(other, "w") as archive:
        for name, data in content.items():
            if data is not None:
                archive.writestr(name, data)
    return other


def own_verdict(path: Path, *words: str) -> tuple[int, dict[str, Any]]:
    """Run the pack's own verifier as an auditor does: plain Python, nothing of ours, no site."""
    verifier = path.parent / "verify.py"
    if not verifier.exists():
        verifier.write_bytes(files(path)["verify.py"])
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(verifier), str(path), "--json", *words],
        env={"PATH": os.environ["PATH"]},
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def both_refuse(prepared: Station, original: Path, forged: Path) -> dict[str, Any]:
    """Return the verdict of the pack's own verifier; `audit verify` has to agree."""
    (original.parent / "verify.py").write_bytes(files(original)["verify.py"])
    status, theirs = own_verdict(forged)
    desk = open_desk(prepared.settings, prepared.clock.now)
    ours = check_pack(forged, desk.policy.rules.origin, desk.known)
    assert status == 1
    assert theirs["ok"] is ours["ok"] is False
    assert ours["findings"] == theirs["findings"]
    return ours


def test_a_pack_verifies_with_its_own_verifier_and_with_ours(
    prepared: Station,
    packed: Path,
    hims: Any,
) -> None:
    status, verdict = own_verdict(packed)
    assert (status, verdict["ok"], verdict["findings"]) == (0, True, [])
    status, out, _ = hims(prepared, "audit", "verify", str(packed), "--json")
    answer = json.loads(out)
    assert (status, answer["ok"], answer["first_bad"]) == (0, True, None)
    assert answer["records"] == len(files(packed)["records.jsonl"].splitlines())
    assert answer["size"] >= answer["records"]


def test_an_unpacked_pack_verifies_where_it_lies(packed: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tmp_path / "unpacked")
    done = subprocess.run(
        [sys.executable, "-I", "verify.py"],
        cwd=tmp_path / "unpacked",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Compare it with the published one" in done.stdout


def test_a_pack_holds_what_an_auditor_asks_for(packed: Path) -> None:
    content = {name: data for name, data in files(packed).items() if name.endswith(".json")}
    parts = {name: json.loads(data) for name, data in content.items()}
    assert {vote["user"] for vote in parts["votes.json"] if vote["event"] == "vote.cast"} == {
        "tomas", "priya", "sam", "olga",
    }  # fmt: skip
    assert all(vote["meaning"] for vote in parts["votes.json"] if vote["event"] == "vote.cast")
    assert parts["changes.json"][0]["release"] == RELEASE
    gates = {row["event"] for row in parts["gates.json"]}
    assert {"gate.go", "permit.issued", "backup.taken"} <= gates
    assert [item["status"] for item in parts["evidence.json"]] == ["included"]
    assert any(row["records"] for row in parts["controls.json"])
    page = files(packed)["index.html"].decode()
    assert "CHG-000001" in page
    assert "<script" not in page


def test_the_same_ledger_gives_the_same_bytes(
    prepared: Station,
    packed: Path,
    hims: Any,
    tmp_path: Path,
) -> None:
    again = tmp_path / "again.zip"
    assert hims(prepared, "audit", "seal", "--json")[0] == 0
    assert hims(prepared, "audit", "pack", RELEASE, "-o", str(again))[0] == 0
    assert again.read_bytes() == packed.read_bytes()


def test_that_a_pack_was_made_is_a_record(prepared: Station, packed: Path) -> None:
    (body,) = prepared.bodies("ledger.exported")
    assert body["subject"] == {"kind": "pack", "id": RELEASE, "content_hash": digest(packed)}


def edited_records(content: dict[str, bytes]) -> dict[str, bytes | None]:
    text = content["records.jsonl"].decode().replace("votes approve", "votes reject", 1)
    return {"records.jsonl": text.encode()}


def resigned(changed: dict[str, bytes | None], original: Path, key: PrivateKey) -> Path:
    """Forge everything that can be forged: the list of files and its signature."""
    content = {**files(original), **changed}
    about = json.loads(files(original)["pack.json"])
    about["files"] = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        for name, data in content.items()
        if data is not None and name not in ("pack.json", "pack.sig")
    }
    manifest = json.dumps(about).encode()
    signed = f"hims evidence pack\n{hashlib.sha256(manifest).hexdigest()}\n"
    return rewrite(
        original,
        {**changed, "pack.json": manifest, "pack.sig": sign_text(signed, key).encode()},
    )


FORGER = PrivateKey(name="forger", seed=b"f" * 32)


def test_an_edited_record_is_found_and_named(prepared: Station, packed: Path) -> None:
    changed = edited_records(files(packed))
    found = both_refuse(prepared, packed, rewrite(packed, changed))
    seq = next(
        json.loads(line)["seq"]
        for line in files(packed)["records.jsonl"].splitlines()
        if b"votes approve" in line
    )
    assert found["first_bad"] == seq
    # Even the right key over the list of files does not make it a record of the ledger.
    own = local_keys(prepared.settings, prepared.clock.now)[0]
    found = both_refuse(prepared, packed, resigned(changed, packed, own))
    assert [(item["kind"], item["seq"]) for item in found["findings"]] == [("record", seq)]


def test_swapped_evidence_is_found(prepared: Station, packed: Path) -> None:
    (name,) = [name for name in files(packed) if name.startswith("evidence/")]
    found = both_refuse(prepared, packed, rewrite(packed, {name: b"99 tests passed\n"}))
    assert {item["kind"] for item in found["findings"]} >= {"file_changed", "evidence_changed"}
    own = local_keys(prepared.settings, prepared.clock.now)[0]
    found = both_refuse(prepared, packed, resigned({name: b"99 tests passed\n"}, packed, own))
    assert [item["kind"] for item in found["findings"]] == ["evidence_changed"]


def test_a_pack_signed_by_another_key_is_found(prepared: Station, packed: Path) -> None:
    found = both_refuse(prepared, packed, resigned({}, packed, FORGER))
    assert {item["kind"] for item in found["findings"]} == {"pack_unsigned"}
    head = files(packed)["head.txt"].decode()
    text = head.partition("\n\n")[0] + "\n"
    forged = (text + "\n" + sign_text(text, FORGER)).encode()
    found = both_refuse(prepared, packed, resigned({"head.txt": forged}, packed, FORGER))
    assert {item["kind"] for item in found["findings"]} == {"pack_unsigned", "head_unsigned"}


def test_a_record_that_is_left_out_and_a_file_that_is_added_are_found(
    prepared: Station, packed: Path
) -> None:
    lines = files(packed)["records.jsonl"].splitlines(keepends=True)
    for changed, kind in (
        ({"records.jsonl": b"".join(lines[:-1])}, "record_missing"),
        ({"records.jsonl": b"".join([*lines[:3], *lines[4:5], *lines[3:4], *lines[5:]])},
         "record_order"),
        ({"extra.txt": b"x"}, "file_unlisted"),
        ({"index.html": b"all is well"}, "file_changed"),
        ({"population.json": None}, "file_missing"),
    ):  # fmt: skip
        found = both_refuse(prepared, packed, rewrite(packed, changed))
        assert kind in {item["kind"] for item in found["findings"]}


def _bomb(original: Path) -> Path:
    path = original.with_name("bomb.zip")
    content = files(original)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            with archive.open(name, "w") as stream:
                stream.write(b" " * (300 << 20) if name == "pack.json" else data)
    return path


def _raw(original: Path, name: str, data: bytes = b"x") -> Path:
    path = original.with_name("raw.zip")
    path.write_bytes(original.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name), data)
    return path


def _link(original: Path) -> Path:
    path = original.with_name("link.zip")
    path.write_bytes(original.read_bytes())
    item = zipfile.ZipInfo("link")
    item.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(item, "/etc/passwd")
    return path


def _torn(original: Path) -> Path:
    path = original.with_name("torn.zip")
    path.write_bytes(original.read_bytes()[:-200])
    return path


def _damaged(original: Path) -> Path:
    path = original.with_name("damaged.zip")
    content = bytearray(original.read_bytes())
    for place in range(60, len(content) // 2, 97):
        content[place] ^= 0x5A
    path.write_bytes(content)
    return path


def _deep(original: Path) -> Path:
    return rewrite(original, {"pack.json": b"[" * 200_000})


def _nothing(original: Path) -> Path:
    path = original.with_name("nothing.zip")
    path.write_bytes(b"")
    return path


HOSTILE: dict[str, Callable[[Path], Path]] = {
    "a bomb": _bomb,
    "a name that climbs out": lambda path: _raw(path, "../../outside.txt"),
    "an absolute name": lambda path: _raw(path, "/tmp/outside.txt"),
    "a name twice": lambda path: _raw(path, "pack.json"),
    "a link": _link,
    "cut off": _torn,
    "damaged": _damaged,
    "deep": _deep,
    "empty": _nothing,
    "lists as numbers": lambda path: rewrite(path, {"pack.json": b"[1, 2]"}),
    "a record that is none": lambda path: rewrite(path, {"records.jsonl": b"null\n"}),
    "evidence that is none": lambda path: rewrite(path, {"evidence.json": b"{}"}),
    "a head that is none": lambda path: rewrite(path, {"head.txt": b"\xff"}),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_and_leaves_nothing(
    prepared: Station, packed: Path, name: str
) -> None:
    before = set(packed.parent.parent.rglob("outside.txt"))
    found = both_refuse(prepared, packed, HOSTILE[name](packed))
    assert found["findings"]
    assert set(packed.parent.parent.rglob("outside.txt")) == before


def test_evidence_that_was_changed_since_is_said(
    prepared: Station,
    packed: Path,
    hims: Any,
    tmp_path: Path,
) -> None:
    log = prepared.settings.state_dir / "evidence" / RELEASE / "1-tests.log"
    log.write_text("13 tests passed\n")
    words = ("audit", "pack", RELEASE, "-o", str(tmp_path / "second.zip"), "--json")
    status, out, _ = hims(prepared, *words)
    answer = json.loads(out)
    assert (status, answer["ok"]) == (1, False)
    assert [item["kind"] for item in answer["findings"]] == ["evidence_differs"]
    log.unlink()
    assert json.loads(hims(prepared, *words)[1])["findings"][0]["kind"] == "evidence_missing"


def test_tests_that_are_killed_are_no_no_of_the_commit(station: Station) -> None:
    file = station.settings.directory / "services/hims-api.yaml"
    marker = station.settings.state_dir / "marker"
    service = yaml.safe_load(file.read_text())
    service["commands"]["test"] = [["sh", "-c", f"test -e {marker} || kill -9 $$"]]
    file.write_text(yaml.safe_dump(service))
    station.settings = load_settings(station.settings.directory)
    train = station.train()
    note(train, "bump_version", commit=train.repository.resolve("develop"))
    with pytest.raises(TargetError, match="neither yes nor no"):
        run_release_tests(train)
    marker.touch()
    assert run_release_tests(train).ok
    assert "tests_failed" not in {body["reason"] for body in station.bodies("release.tested")}


def test_the_log_of_a_try_that_failed_stays_as_its_record_names_it(station: Station) -> None:
    file = station.settings.directory / "services/hims-api.yaml"
    marker = station.settings.state_dir / "marker"
    service = yaml.safe_load(file.read_text())
    service["commands"]["test"] = [["sh", "-c", f"date +%N; test -e {marker}"]]
    file.write_text(yaml.safe_dump(service))
    station.settings = load_settings(station.settings.directory)
    train = station.train()
    note(train, "bump_version", commit=train.repository.resolve("develop"))
    assert not run_release_tests(train).ok
    marker.touch()
    assert run_release_tests(train).ok
    named = [body["evidence"][0] for body in station.bodies("release.tested")]
    assert len({item["uri"] for item in named}) == 2
    for item in named:
        assert digest(Path(item["uri"].removeprefix("file://"))) == item["sha256"]


def test_a_deployment_without_a_change_stands_out(
    prepared: Station,
    hims: Any,
    tmp_path: Path,
) -> None:
    train = prepared.train(begin=False)
    with train.unit() as unit:
        unit.execute(
            insert(schema.deployment).values(
                service="hims-api", environment="production", version="2.2.9", digest="sha256:1",
                colour="green", state="retired", fence=0, staged_at=prepared.clock.now,
            )
        )  # fmt: skip
        unit.append("deployment.found", train.subject, message="something runs")
    words = ("audit", "pack", RELEASE, "-o", str(tmp_path / "third.zip"), "--json")
    status, out, _ = hims(prepared, *words)
    assert status == 0
    assert any(
        "2.2.9 was deployed without a change" in line for line in json.loads(out)["exceptions"]
    )


def test_a_pack_of_a_stretch_of_time(prepared: Station, hims: Any, tmp_path: Path) -> None:
    path = tmp_path / "period.zip"
    words = ("--from", "2026-11-01T00:00:00Z", "--to", "2026-12-01T00:00:00Z", "-o", str(path))
    status, out, err = hims(prepared, "audit", "pack", *words, "--json")
    assert (status, json.loads(out)["ok"]) == (0, True), err
    assert own_verdict(path)[0] == 0
    for bad in (("--from", "2026-11-01T00:00:00Z"), (RELEASE, *words[:4]), ()):
        assert hims(prepared, "audit", "pack", *bad, "-o", str(path))[0] == 2
    assert hims(prepared, "audit", "pack", "nothing-1.0.0", "-o", str(path))[0] == 2


def test_a_pack_takes_the_place_of_no_device(prepared: Station, hims: Any, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for target in (pipe, tmp_path):
        status, _, err = hims(prepared, "audit", "pack", RELEASE, "-o", str(target))
        assert (status, "is not a plain file" in err) == (2, True)
    assert pipe.is_fifo()


def test_a_pack_written_by_another_zip_program_is_the_same_pack(packed: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_BZIP2) as archive:
        for name, data in reversed(files(packed).items()):
            archive.writestr(name, data)
    other = packed.with_name("bzip2.zip")
    other.write_bytes(stream.getvalue())
    assert own_verdict(other)[0] == 0
