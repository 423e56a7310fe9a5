"""What keeps a record out of the tree, or the tree from growing, is found and said."""

from __future__ import annotations

import hashlib
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from include.audit import watch as watching
from include.audit.watch import SealWatch
from include.ledger.record import Outcome, Record, Subject, leaf_hash
from tests.integration.audit.vault import CLI, RITA, Vault
from tests.unit.config_copy import ConfigCopy

PAST = "UPDATE sequencer SET low = 1000000, next_low = 1000000, highest = 1000000"


@pytest.mark.parametrize(
    ("attack", "said"),
    [
        ("TRUNCATE sequencer", "the sequencer has 0 rows"),
        (PAST, "the sequencer's highest is 1000000, and by the tree it is 3"),
        ("UPDATE sequencer SET low = 1000000, next_low = 1000000", "the sequencer begins at 1000"),
        ("UPDATE sequencer SET next_low = 1000000", "then at 1000000, beyond 3"),
        ("UPDATE sequencer SET size = 2", "the sequencer's size is 2, and by the tree it is 3"),
        ("UPDATE sequencer SET size = 300", "the sequencer's size is 300"),
    ],
)
def test_a_sequencer_that_does_not_fit_the_tree_is_no_pass(
    vault: Vault, attack: str, said: str
) -> None:
    vault.write(3)
    vault.seal()
    assert vault.verify().ok
    vault.command(attack)
    found = vault.verify()
    assert (found.ok, found.findings) == (False, ())
    assert said in " ".join(found.problems)


def put_in(vault: Vault, seq: int, line: Record) -> None:
    """Write a record past the application, under a seq of one's choice."""
    with psycopg.connect(vault.server.url(vault.database), autocommit=True) as connection:
        connection.execute(
            "INSERT INTO record (seq, body, leaf_hash) OVERRIDING SYSTEM VALUE VALUES (%s, %s, %s)",
            [seq, line.body(), leaf_hash(line.body())],
        )


def pruning(vault: Vault, seq: int, at: datetime) -> Record:
    """Return a record that says of another what an honest pruning would."""
    (row,) = [row for row in vault.ledger.records() if row["seq"] == seq]
    gone = {
        "seq": seq,
        "leaf_hash": "sha256:" + bytes(row["leaf_hash"]).hex(),
        "stub": "sha256:" + hashlib.sha256(row["body"].encode()).hexdigest(),
    }
    return Record(
        time=at,
        event="retention.pruned",
        outcome=Outcome.SUCCESS,
        reason="done",
        message="pruned",
        actor=RITA,
        source=CLI,
        subject=Subject(kind="ledger", id="records"),
        details={"records": [gone]},
    )


def test_a_record_without_a_place_excuses_none_that_was_destroyed(vault: Vault) -> None:
    for count in (5, 1, 1):
        vault.write(count)
        vault.seal()
    vault.command("UPDATE record SET pruned = true, body = stub(body) WHERE seq = 2")
    put_in(vault, -7, pruning(vault, 2, datetime(2040, 1, 1, tzinfo=UTC)))
    found = vault.verify()
    assert (found.first_bad, found.unsequenced) == (2, 1)
    assert {(item.kind, item.seq) for item in found.findings} == {
        ("edited", 2),
        ("inserted", -7),
        ("future", -7),
    }
    # With a place it says no more: its time is still to come.
    vault.seal()
    assert ("edited", 2) in {(item.kind, item.seq) for item in vault.verify().findings}


def test_a_record_that_waits_for_its_place_bears_no_time_to_come(vault: Vault) -> None:
    vault.write(3)
    vault.seal()
    vault.command("DELETE FROM sequencer")
    put_in(vault, 4, pruning(vault, 2, datetime(2040, 1, 1, tzinfo=UTC)))
    assert [(item.kind, item.seq) for item in vault.verify().findings] == [("future", 4)]


@pytest.mark.parametrize("attack", ["DELETE FROM sequencer", PAST])
def test_the_watch_says_so_where_records_get_no_place(
    vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: str
) -> None:
    monkeypatch.setattr(watching, "_PATIENCE", 0.8)
    monkeypatch.setattr(watching, "_AFTER_TROUBLE", 0.1)
    copy = ConfigCopy(tmp_path / "config")
    copy.replace("global.yaml", "state_dir: .run", f"state_dir: {tmp_path / 'run'}")
    sign = tmp_path / "run" / "seal" / "watched"
    vault.now = datetime.now(UTC)
    vault.write(2)
    stop, said = threading.Event(), list[str]()
    watch = SealWatch(copy.settings, lambda: vault.ledger, said.append)
    thread = threading.Thread(target=watch.run, args=(stop,))
    thread.start()
    try:
        begin = time.monotonic()
        while not sign.is_file() and time.monotonic() < begin + 30:
            time.sleep(0.05)
        vault.command(attack)
        vault.write(2)
        while not said and time.monotonic() < begin + 30:
            time.sleep(0.05)
        sign.unlink()
        time.sleep(2)
    finally:
        stop.set()
        thread.join()
    assert said == [
        "ledger: record 4 gets no place in the tree, so that nothing seals it; see "
        "`./hims audit verify`"
    ]
    assert not sign.exists()


def test_a_body_that_is_no_json_is_named(vault: Vault) -> None:
    vault.write(3)
    vault.seal()
    made = ("id", "time", "event", "outcome", "release", "change")
    columns = [f"ALTER TABLE record ALTER COLUMN {name} DROP EXPRESSION" for name in made]
    vault.attack(
        *columns, "DROP INDEX record_rows", """UPDATE record SET body = '{"rows":{' WHERE seq = 2"""
    )
    found = vault.verify()
    assert (found.first_bad, found.findings[0].kind) == (2, "edited")
