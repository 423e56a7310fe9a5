"""Packs of a ledger whose database somebody has put a hand to."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from include.audit.pack import Pack, covering_head, make_pack
from include.audit.pack_check import check_pack
from include.audit.selection import select_period, select_subject
from include.errors import LedgerError
from include.ledger import Subject, schema
from include.settings import Settings
from tests.integration.audit.vault import CLI, ORIGIN, RITA, Vault
from tests.integration.ledger.going import let_go
from tests.private_stack import paper_settings

LONG_AGO = datetime(2018, 3, 2, 7, tzinfo=UTC)
CHANGE = "CHG-000001"
RELEASE = "hims-api-2.3.0"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return paper_settings(tmp_path / "paper")


def pack_of(
    vault: Vault, settings: Settings, about: str | tuple[datetime, datetime] | None = None
) -> Pack:
    """Return the pack of a release or a change, or of a stretch: else of all there is."""
    with vault.ledger.read() as connection:
        stretch = (LONG_AGO - timedelta(days=1), vault.now + timedelta(days=1))
        chosen = (
            select_subject(connection, about)
            if isinstance(about, str)
            else select_period(connection, *(about or stretch))
        )
        head = covering_head(connection, vault.known, chosen.records[-1].position)
        assert head is not None
        return make_pack(connection, settings, chosen, head, keys=vault.keys, known=vault.known)


def files(pack: Pack) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(pack.content)) as archive:
        names = [name for name in archive.namelist() if name.endswith(".json")]
        return {name: json.loads(archive.read(name)) for name in names}


def checked(vault: Vault, pack: Pack, path: Path) -> dict[str, Any]:
    path.write_bytes(pack.content)
    return check_pack(path, ORIGIN, vault.known)


def decide(vault: Vault) -> None:
    """A change, what was said of it, and a deployment with a permit, all on record."""
    vault.now += timedelta(seconds=1)
    now = vault.now
    with vault.ledger.write(RITA, CLI, now) as unit:
        unit.execute(
            insert(schema.release).values(
                id=RELEASE, service="hims-api", version="2.3.0", type="minor", attempt=1,
                state="released", plan={}, plan_hash="x", requested_by="rita",
                created_at=now, updated_at=now,
            )
        )  # fmt: skip
        unit.execute(
            insert(schema.change).values(
                id=CHANGE, type="normal", state="closed", title="Portal", revision=1,
                content_hash="sha256:1", systems=["api"], requester="rita", release_id=RELEASE,
                created_at=now, updated_at=now,
            )
        )  # fmt: skip
        unit.execute(update(schema.release).values(change_id=CHANGE))
        unit.execute(
            insert(schema.revision).values(
                change_id=CHANGE, number=1, content={"title": "Portal"}, content_hash="sha256:1",
                author="rita", created_at=now,
            )
        )  # fmt: skip
        unit.execute(
            insert(schema.notice).values(
                dedupe_key="one", event="deploy.done", thread=RELEASE, audience="all", people=[],
                severity="info", title="Released", text="It is out", fields={}, created_at=now,
                final=True,
            )
        )  # fmt: skip
        unit.execute(
            insert(schema.permit).values(
                fence=1, release_id=RELEASE, attempt=1, change_id=CHANGE, content_hash="sha256:1",
                systems=["api"], conditions={}, holder="train", issued_at=now, expires_at=now,
            )
        )  # fmt: skip
        unit.execute(
            insert(schema.deployment).values(
                service="hims-api", environment="production", version="2.3.0", digest="sha256:1",
                colour="green", state="live", release_id=RELEASE, attempt=1, fence=1, staged_at=now,
            )
        )  # fmt: skip
        unit.append(
            "vote.cast",
            Subject(kind="change", id=CHANGE),
            message="Olga votes approve",
            release=RELEASE,
            change=CHANGE,
            meaning="I approve",
        )
    vault.seal()


def test_a_pack_of_what_was_pruned_fits(vault: Vault, settings: Settings, tmp_path: Path) -> None:
    vault.now = LONG_AGO
    decide(vault)
    vault.attack("UPDATE deployment SET ended_at = staged_at")
    vault.now = datetime.now(UTC)
    assert [item.event for item in let_go(vault.ledger, vault.now).records] == ["vote.cast"]
    vault.write(2)
    vault.seal()
    found = checked(vault, pack_of(vault, settings), tmp_path / "pack.zip")
    assert (found["ok"], found["pruned"], found["findings"]) == (True, 1, [])


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE record SET body = replace(body, 'approve', 'reject') WHERE event = 'vote.cast'",
        "UPDATE record SET pruned = true, body = replace(body, 'approve', 'reject')"
        " WHERE event = 'vote.cast'",
        "UPDATE record SET pruned = true WHERE event = 'vote.cast'",
        "UPDATE record SET pruned = true, body = stub(body) WHERE event = 'vote.cast'",
    ],
    ids=["edited", "edited as pruned", "called pruned", "pruned before its time"],
)
def test_no_pack_is_made_of_a_record_that_is_not_what_was_written(
    vault: Vault, settings: Settings, statement: str
) -> None:
    vault.write(2)
    decide(vault)
    vault.attack(statement)
    for about in (RELEASE, CHANGE, None):
        with pytest.raises(LedgerError, match="record 3 is not what was written"):
            pack_of(vault, settings, about)


def test_no_pack_is_made_of_a_stub_that_was_changed_since(vault: Vault, settings: Settings) -> None:
    vault.now = LONG_AGO
    decide(vault)
    vault.attack("UPDATE deployment SET ended_at = staged_at")
    vault.now = datetime.now(UTC)
    assert let_go(vault.ledger, vault.now).records
    vault.seal()
    assert pack_of(vault, settings)
    vault.attack("UPDATE record SET body = replace(body, 'success', 'denied') WHERE pruned")
    with pytest.raises(LedgerError, match="record 1 is not what was written"):
        pack_of(vault, settings)


def test_no_pack_is_made_of_what_cannot_be_read(vault: Vault, settings: Settings) -> None:
    decide(vault)
    vault.attack('UPDATE record SET body = body::jsonb || \'{"time": "2026-11-28T9"}\'')
    with pytest.raises(LedgerError, match="record 1 cannot be read"):
        pack_of(vault, settings, RELEASE)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE change SET requester = 'somebody.else', title = 'forged title'",
         [f"Change {CHANGE} is not what its record says"]),
        ("UPDATE revision SET author = 'mallory'",
         [f"Revision 1 of change {CHANGE} is not what its record says"]),
        ("UPDATE notice SET text = 'It is not'",
         ["Notice 1 of 2026-11-28T07:00:01Z is not what its record says"]),
        ("UPDATE deployment SET digest = 'sha256:2'",
         ["Deployment 1: hims-api 2.3.0 is not what its record says"]),
        ("UPDATE release SET requested_by = 'mallory'",
         ["Deployment 1: hims-api 2.3.0 belongs to a release that is not what its record says",
          f'release ["{RELEASE}"], of which record 1 speaks, is not what its record says']),
        ("UPDATE permit SET change_id = 'CHG-000002'",
         ["Deployment 1: hims-api 2.3.0 was deployed with a permit that is not what its record "
          "says", 'permit ["1"], of which record 1 speaks, is not what its record says']),
        ("UPDATE change SET release_id = NULL",
         [f'change ["{CHANGE}"], of which record 1 speaks, is not what its record says']),
        ("UPDATE notice SET thread = 'elsewhere'",
         ['notice ["1"], of which record 1 speaks, is not what its record says']),
    ],
    ids=["change", "revision", "notice", "deployment", "release", "permit", "change moved away",
         "notice moved away"],
)  # fmt: skip
def test_a_row_that_its_record_does_not_vouch_for_stands_out(
    vault: Vault, settings: Settings, tmp_path: Path, statement: str, said: list[str]
) -> None:
    decide(vault)

    def standing_out() -> list[str]:
        pack = pack_of(vault, settings, RELEASE)
        assert checked(vault, pack, tmp_path / "pack.zip")["ok"]
        return [line for line in pack.exceptions if "No record in this pack" not in line]

    assert standing_out() == []
    vault.attack(statement)
    assert standing_out() == said


@pytest.mark.parametrize("table", ["deployment", "revision", "notice", "permit"])
def test_a_row_that_was_taken_away_stands_out(vault: Vault, settings: Settings, table: str) -> None:
    decide(vault)
    vault.attack(f"DELETE FROM {table}")  # noqa: S608 - names of our own tables
    exceptions = pack_of(vault, settings, RELEASE).exceptions
    (line,) = [line for line in exceptions if line.startswith(f'{table} ["')]
    assert line.endswith("], of which record 1 speaks, is gone")


def evidence(vault: Vault, settings: Settings, content: bytes) -> Path:
    vault.directory = settings.state_dir / "anchors"
    return vault.file("again.log", content)


def test_an_empty_file_is_evidence(vault: Vault, settings: Settings, tmp_path: Path) -> None:
    evidence(vault, settings, b"")
    evidence(vault, settings, b"")
    vault.seal()
    pack = pack_of(vault, settings)
    found = checked(vault, pack, tmp_path / "pack.zip")
    assert (found["ok"], found["findings"]) == (True, [])
    (first, second) = files(pack)["evidence.json"]
    assert (first["status"], first["file"]) == ("included", second["file"])


def test_a_stretch_that_ends_between_two_tries_knows_of_the_later_one(
    vault: Vault, settings: Settings, tmp_path: Path
) -> None:
    path = evidence(vault, settings, b"one")
    between = (vault.now - timedelta(minutes=1), vault.now + timedelta(seconds=30))
    vault.now += timedelta(minutes=1)
    evidence(vault, settings, b"two")
    vault.seal()
    for about in (None, between):
        pack = pack_of(vault, settings, about)
        found = checked(vault, pack, tmp_path / "pack.zip")
        assert (found["ok"], found["findings"]) == (True, [])
        piece = files(pack)["evidence.json"][0]
        assert (piece["status"], piece["by"]) == ("superseded", 2)
        assert not any("again.log" in line for line in pack.exceptions)
    # What no record names is still not what was recorded.
    path.write_bytes(b"three")
    found = checked(vault, pack_of(vault, settings, between), tmp_path / "pack.zip")
    assert [item["kind"] for item in found["findings"]] == ["evidence_differs"]
    # And who only says that a record names it is not believed.
    vault.attack("UPDATE record SET body = replace(body, substring(body from 'sha256:[0-9a-f]+'),"
        " 'sha256:' || encode(sha256('three'), 'hex')) WHERE seq = 2")  # fmt: skip
    found = checked(vault, pack_of(vault, settings, between), tmp_path / "pack.zip")
    assert [item["kind"] for item in found["findings"]] == ["evidence_differs"]
