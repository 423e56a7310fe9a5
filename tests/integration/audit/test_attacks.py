"""Somebody with every right in the database changes the past; verification names the record."""

# ruff: noqa: S608 - attacks are statements that are written here

from __future__ import annotations

import hashlib
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.audit.desk import open_desk
from include.audit.keys import Trusted
from include.audit.verification import Verification, verify_ledger
from include.audit.watch import SealWatch
from include.errors import LedgerError
from include.ledger import Subject
from include.ledger.entry import read_head
from include.ledger.heads import append_head
from include.ledger.note import PrivateKey, read_note, sign_checkpoint
from tests.integration.audit.vault import CLI, RITA, TOLERANCE, Vault
from tests.integration.ledger.going import let_go
from tests.unit.config_copy import ConfigCopy

HASH = "sha256('\\x00'::bytea || convert_to(body, 'UTF8'))"
EDIT = "UPDATE record SET body = replace(body, 'it happened', 'nothing happened')"
SHIFT_UP = (
    "UPDATE leaf SET position = -1 - position WHERE position >= {0}",
    "UPDATE leaf SET position = -position WHERE position < 0",
)
SHIFT_DOWN = (
    "UPDATE leaf SET position = -1 - position WHERE position > {0}",
    "UPDATE leaf SET position = -2 - position WHERE position < 0",
)
# An attack on record 6 of 12 and what it is found to be; `{all}` recomputes what hangs on it.
ATTACKS: dict[str, tuple[tuple[str, ...], str, int]] = {
    "a body is edited": ((f"{EDIT} WHERE seq = 6",), "edited", 6),
    "a body is edited, with its hash": (
        (f"{EDIT} WHERE seq = 6", f"UPDATE record SET leaf_hash = {HASH} WHERE seq = 6"),
        "edited",
        6,
    ),
    "a body is edited, with its hash and its leaf": (
        (
            f"{EDIT} WHERE seq = 6",
            f"UPDATE record SET leaf_hash = {HASH} WHERE seq = 6",
            "UPDATE leaf SET leaf_hash = r.leaf_hash FROM record r WHERE r.seq = leaf.seq",
        ),
        "rewritten",
        6,
    ),
    "only a leaf is edited": (
        ("UPDATE leaf SET leaf_hash = decode(repeat('ab', 32), 'hex') WHERE seq = 6",),
        "edited",
        6,
    ),
    "a record is deleted": (("DELETE FROM record WHERE seq = 6",), "deleted", 6),
    "a record is deleted, with its leaf": (
        ("DELETE FROM record WHERE seq = 6", "DELETE FROM leaf WHERE seq = 6"),
        "deleted",
        6,
    ),
    "a record is deleted, and the tree closes up": (
        (
            "DELETE FROM record WHERE seq = 6",
            "DELETE FROM leaf WHERE seq = 6",
            *(item.format(5) for item in SHIFT_DOWN),
            "UPDATE sequencer SET size = size - 1",
        ),
        "deleted",
        6,
    ),
    "a leaf alone is deleted": (("DELETE FROM leaf WHERE seq = 6",), "deleted", 6),
    "a record is put in": (
        (
            *(item.format(5) for item in SHIFT_UP),
            "INSERT INTO record (seq, body, leaf_hash) OVERRIDING SYSTEM VALUE"
            " SELECT 100, replace(body, 'it happened', 'it did not happen'), '' FROM record"
            " WHERE seq = 5",
            f"UPDATE record SET leaf_hash = {HASH} WHERE seq = 100",
            "INSERT INTO leaf SELECT 5, 100, leaf_hash FROM record WHERE seq = 100",
        ),
        "inserted",
        100,
    ),
    "two records change places": (
        (
            "UPDATE leaf SET position = -1 WHERE position = 5",
            "UPDATE leaf SET position = 5 WHERE position = 8",
            "UPDATE leaf SET position = 8 WHERE position = -1",
        ),
        "reordered",
        6,
    ),
    "two records change bodies": (
        (
            "UPDATE record a SET body = b.body FROM record b"
            " WHERE (a.seq, b.seq) IN ((6, 9), (9, 6))",
        ),
        "edited",
        6,
    ),
    "two records change bodies, and all is recomputed": (
        (
            "UPDATE record a SET body = b.body FROM record b"
            " WHERE (a.seq, b.seq) IN ((6, 9), (9, 6))",
            f"UPDATE record SET leaf_hash = {HASH}",
            "UPDATE leaf SET leaf_hash = r.leaf_hash FROM record r WHERE r.seq = leaf.seq",
        ),
        "rewritten",
        6,
    ),
    "the newest are cut off": (
        (
            "DELETE FROM record WHERE seq > 5",
            "DELETE FROM leaf WHERE seq > 5",
            "UPDATE sequencer SET size = 5",
        ),
        "truncated",
        6,
    ),
    "the newest are cut off, with the heads": (
        (
            "DELETE FROM record WHERE seq > 5",
            "DELETE FROM leaf WHERE seq > 5",
            "DELETE FROM head WHERE size > 5",
            "UPDATE sequencer SET size = 5",
        ),
        "truncated",
        6,
    ),
    "a row of state is changed": (
        ("UPDATE incident SET severity = 'P1' WHERE opened_at = '2026-11-28 07:00:06Z'",),
        "state",
        6,
    ),
    "a row of state is removed": (
        ("DELETE FROM incident WHERE opened_at = '2026-11-28 07:00:06Z'",),
        "state_missing",
        6,
    ),
}


@pytest.fixture
def sealed(vault: Vault) -> Vault:
    """Twelve records in three heads: of 5, of 8 and of 12."""
    for count in (5, 3, 4):
        vault.write(count)
        vault.seal()
    return vault


def test_a_ledger_that_nobody_touched_verifies(sealed: Vault) -> None:
    found = sealed.verify()
    assert found.ok, found.findings
    assert (found.size, found.heads, found.unsealed, found.unsequenced) == (12, 3, 0, 0)
    assert found.first_bad is None
    sealed.write(2)
    found = sealed.verify()
    assert (found.ok, found.size, found.unsealed) == (True, 14, 2)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_found_and_the_first_bad_record_named(sealed: Vault, name: str) -> None:
    statements, kind, seq = ATTACKS[name]
    sealed.attack(*statements)
    found = sealed.verify()
    assert not found.ok
    assert found.first_bad == seq, found.findings
    assert kind in {item.kind for item in found.findings if item.seq == seq}, found.findings
    assert json.dumps(found.document())


UNSEALED = [
    name
    for name, (_, kind, _) in ATTACKS.items()
    if kind in ("edited", "state", "state_missing") or name == "a record is deleted"
]


@pytest.mark.parametrize("name", UNSEALED)
def test_what_needs_no_seal_to_be_seen_is_seen_without_one(vault: Vault, name: str) -> None:
    vault.write(12)
    statements, _, seq = ATTACKS[name]
    vault.attack(*statements)
    assert vault.verify().first_bad == seq


def test_an_evidence_file_that_was_swapped_or_removed_is_found(vault: Vault) -> None:
    vault.write(2)
    first, second = vault.file("one.log", b"12 passed"), vault.file("two.log", b"ok")
    vault.seal()
    assert vault.verify().ok
    first.write_bytes(b"99 passed")
    second.unlink()
    found = vault.verify()
    assert [(item.kind, item.seq) for item in found.findings] == [
        ("evidence_differs", 3),
        ("evidence_missing", 4),
    ]
    assert found.first_bad == 3
    assert "one.log is not what record 3 names" in found.findings[0].message


def test_a_file_that_a_later_record_names_anew_is_no_finding(vault: Vault) -> None:
    vault.file("notes.md", b"first")
    vault.file("notes.md", b"second")
    assert vault.verify().ok


def test_evidence_that_is_not_on_this_machine_is_no_pass_and_no_accusation(vault: Vault) -> None:
    vault.file("one.log", b"12 passed")
    vault.evidence.rename(vault.evidence.with_name("elsewhere"))
    found = vault.verify()
    assert (found.ok, found.findings) == (False, ())
    assert "evidence that records name was not looked at (1 files)" in found.problems[0]


def test_a_row_that_no_record_speaks_of_is_named_itself(sealed: Vault) -> None:
    sealed.attack("INSERT INTO incident VALUES ('INC-X', 'P1', 'x', '{}', now(), NULL)")
    found = sealed.verify()
    assert [item.kind for item in found.findings] == ["state_unrecorded"]
    assert found.first_bad == 'incident ["INC-X"]'


# Records that only a hostile hand writes: the end of one, and what it is found to be.
HOSTILE: dict[str, tuple[str, str]] = {
    "a row's key is no key": (',"rows":{"gate garbage":"x"}', "state_missing"),
    "a row's key is another table's": (',"rows":{"permit [\\"abc\\"]":"x"}', "state_missing"),
    "a row's key is no number": (',"rows":{"permit [1e999]":"x"}', "state_missing"),
    "a row's key is deep": (f',"rows":{{"permit {"[" * 3000}{"]" * 3000}":"x"}}', "state_missing"),
    "evidence is deep": (f',"evidence":[{{"a":{"[" * 3000}{"]" * 3000}}}]', "unreadable"),
    "its time is none": (',"time":"0abc"', "unreadable"),
    "its time is no day": (',"time":"2026-02-30T07:00:00.000Z"', "unreadable"),
}


def put_in(vault: Vault, rest: str) -> None:
    """Write a record past the application, with the right hash."""
    line = (
        '{"id":"hostile","event":"x.y","outcome":"success","actor":{"user":"x"},"subject":{},'
        f'"time":"{vault.now:%Y-%m-%dT%H:%M:%S.000Z}"{rest}}}'
    )
    vault.command(
        f"INSERT INTO record (body, leaf_hash) SELECT body, {HASH}"
        f" FROM (VALUES ('{line}')) AS v (body)"
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_a_record_that_is_none_is_a_finding_and_stops_no_verification(
    vault: Vault, name: str
) -> None:
    rest, kind = HOSTILE[name]
    vault.write(2)
    put_in(vault, rest)
    found = vault.verify()
    assert (found.first_bad, found.findings[0].kind) == (3, kind)
    assert len(found.findings) == 1


def test_a_list_of_keys_vouches_for_no_row(vault: Vault) -> None:
    put_in(vault, ',"rows":["incident [\\"INC-X\\"]"]')
    vault.attack("INSERT INTO incident VALUES ('INC-X', 'P1', 'x', '{}', now(), NULL)")
    assert [item.kind for item in vault.verify().findings] == ["state_unrecorded"]


def test_evidence_that_is_none_is_passed_over(vault: Vault) -> None:
    put_in(vault, ',"evidence":[{"uri":5,"sha256":null},7,{"uri":"file://%00","sha256":"x"}]')
    assert vault.verify().ok


def test_a_record_that_never_gets_a_place_is_no_pass(vault: Vault) -> None:
    vault.command("DELETE FROM sequencer")
    vault.write()
    found = vault.verify()
    assert (found.ok, found.unsequenced, len(found.problems)) == (False, 1, 1)
    assert "the sequencer has 0 rows" in found.problems[0]
    vault.now += timedelta(hours=1)
    found = vault.verify()
    assert (found.ok, found.unsequenced) == (False, 1)
    assert "1 records get no place in the tree" in found.problems[0]
    vault.attack(f"{EDIT} WHERE seq = 1")
    assert vault.verify().first_bad == 1


@pytest.mark.parametrize(
    ("attack", "said"),
    [
        ("ALTER TABLE record DISABLE TRIGGER record_append_only", "trigger record_append_only is"),
        ("DROP TRIGGER head_no_truncate ON head", "trigger head_no_truncate is missing"),
        ("ALTER TABLE counter ENABLE REPLICA TRIGGER counter_by_one", "changes of counter"),
        ("GRANT DELETE, UPDATE ON record TO ledger_app", "ledger_app was granted DELETE, UPDATE"),
        ("GRANT UPDATE (choice) ON vote TO PUBLIC", "everybody was granted UPDATE on vote"),
        ("GRANT INSERT ON leaf TO ledger_app", "ledger_app was granted INSERT on leaf"),
        ("GRANT UPDATE ON sequencer TO PUBLIC", "everybody was granted UPDATE on sequencer"),
        (
            "CREATE FUNCTION bend() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
            "CREATE TRIGGER bend BEFORE INSERT ON record FOR EACH ROW"
            " WHEN (NEW.body LIKE '%vote.cast%') EXECUTE FUNCTION bend()",
            "the trigger bend on record",
        ),
        ("CREATE RULE lose AS ON INSERT TO head DO INSTEAD NOTHING", "the rule lose on head"),
    ],
)
def test_a_database_that_no_longer_refuses_is_no_pass(vault: Vault, attack: str, said: str) -> None:
    vault.write()
    assert vault.verify().ok
    vault.command(attack)
    found = vault.verify()
    assert (found.ok, found.findings) == (False, ())
    assert len(found.problems) == 1
    assert said in found.problems[0]


def test_an_application_that_may_act_as_the_owner_is_no_pass(vault: Vault) -> None:
    vault.write()
    vault.command("GRANT ledger_owner TO ledger_app")
    try:
        found = vault.verify()
    finally:
        vault.command("REVOKE ledger_owner FROM ledger_app")
    assert (found.ok, found.findings) == (False, ())
    assert "ledger_app, which this signs in as, may act as the owner" in found.problems[0]
    assert vault.verify().ok


@pytest.mark.parametrize("table", ["leaf", "record", "head", "incident"])
def test_a_table_that_is_gone_is_said(vault: Vault, table: str) -> None:
    vault.write()
    vault.attack(f"DROP TABLE {table} CASCADE")
    with pytest.raises(LedgerError, match=f'relation "{table}" does not exist'):
        vault.verify()


def test_an_old_head_in_place_of_the_newest_is_found(sealed: Vault) -> None:
    sealed.attack("DELETE FROM head WHERE size = 12")
    found = sealed.verify()
    assert {item.kind for item in found.findings} == {"head_missing"}
    assert found.first_bad == 9


def test_a_database_that_was_put_back_is_not_sealed_over(sealed: Vault) -> None:
    sealed.attack(
        "DELETE FROM record WHERE seq > 8",
        "DELETE FROM leaf WHERE seq > 8",
        "DELETE FROM head WHERE size > 8",
        "UPDATE sequencer SET size = 8",
    )
    with pytest.raises(LedgerError, match="was put back"):
        sealed.seal()
    sealed.write(6)
    with pytest.raises(LedgerError, match="was put back"):
        sealed.seal()
    found = sealed.verify()
    assert found.first_bad == 9


def test_a_head_that_somebody_else_signed_counts_for_nothing(sealed: Vault) -> None:
    forger = PrivateKey(name="vault-1", seed=bytes(32))
    honest = sealed.keys
    sealed.attack(
        f"{EDIT} WHERE seq = 10",
        f"UPDATE record SET leaf_hash = {HASH}",
        "UPDATE leaf SET leaf_hash = r.leaf_hash FROM record r WHERE r.seq = leaf.seq",
        "DELETE FROM head WHERE size = 12",
    )
    sealed.anchor.path.write_text("".join(list(sealed.anchor.heads())[:2]))
    sealed.keys = [forger, *honest]
    sealer_known = sealed.known
    sealed.keys = [forger]
    from include.audit.sealing import Sealer

    Sealer(sealed.ledger, "vault/ledger", [forger], sealer_known, [sealed.anchor]).seal(sealed.now)
    sealed.keys = honest
    found = sealed.verify()
    assert not found.ok
    assert found.first_bad == 9
    assert "head_unsigned" in {item.kind for item in found.findings}


def test_a_line_of_the_anchor_that_was_changed_or_removed_is_found(sealed: Vault) -> None:
    path = sealed.anchor.path
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[2])
    assert [item.kind for item in sealed.verify().findings] == ["head_missing"]
    path.write_text(lines[0] + lines[1].replace('"start":5', '"start":4') + lines[2])
    assert "head_damaged" in {item.kind for item in sealed.verify().findings}
    path.write_text("".join(lines))
    assert sealed.verify().ok


def test_an_anchor_that_is_gone_is_found_and_made_anew(sealed: Vault) -> None:
    sealed.anchor.path.unlink()
    sealed.now += timedelta(minutes=10)
    found = sealed.verify()
    assert {item.kind for item in found.findings} == {"head_missing"}
    sealed.seal()
    assert sealed.verify().ok


def test_a_clock_that_was_put_back_is_found(sealed: Vault) -> None:
    sealed.now -= timedelta(days=3)
    sealed.write()
    sealed.now += timedelta(days=3)
    found = sealed.verify()
    assert [(item.kind, item.seq) for item in found.findings] == [("backdated", 13)]


def test_a_record_from_a_time_to_come_is_found(sealed: Vault) -> None:
    sealed.now += timedelta(days=3)
    sealed.write()
    sealed.now -= timedelta(days=3)
    assert [(item.kind, item.seq) for item in sealed.verify().findings] == [("future", 13)]


def test_writers_whose_clocks_differ_a_little_are_no_finding(sealed: Vault) -> None:
    sealed.now -= timedelta(minutes=5)
    sealed.write(3)
    sealed.now += timedelta(minutes=5)
    assert sealed.verify().ok


def test_a_head_from_the_auditor_s_own_vault_is_held_against_the_ledger(sealed: Vault) -> None:
    texts = [read_head(line) for line in sealed.anchor.heads()]
    for head in texts:
        assert sealed.verify(read_note(head.note)[0]).ok
    sealed.attack(
        f"{EDIT} WHERE seq = 2",
        f"UPDATE record SET leaf_hash = {HASH}",
        "UPDATE leaf SET leaf_hash = r.leaf_hash FROM record r WHERE r.seq = leaf.seq",
        "DELETE FROM head",
    )
    sealed.anchor.path.unlink()
    kept = read_note(texts[0].note)[0]
    found = sealed.verify(kept)
    assert [item.kind for item in found.findings] == ["root_differs"]


def test_an_anchor_that_does_not_answer_is_no_pass(sealed: Vault) -> None:
    path = sealed.anchor.path
    path.write_text(path.read_text() + "no head\n")
    found = sealed.verify()
    assert not found.ok
    assert found.problems


def test_what_was_pruned_after_its_time_verifies_and_what_only_says_so_does_not(
    vault: Vault,
) -> None:
    vault.now = datetime(2019, 3, 2, 7, tzinfo=UTC)
    for _ in range(3):
        with vault.ledger.write(RITA, CLI, vault.now) as unit:
            unit.append("old.thing", Subject(kind="thing", id="x"), message="it happened")
    vault.seal()
    vault.now = datetime.now(UTC)
    vault.write(2)
    done = let_go(vault.ledger, vault.now)
    assert len(done.records) == 3
    vault.seal()
    found = vault.verify()
    assert found.ok, found.findings
    vault.attack(
        "UPDATE record SET pruned = true, body = replace(body, 'it happened', 'gone') WHERE seq = 5"
    )
    assert vault.verify().first_bad == 5


@pytest.mark.parametrize(
    "attack",
    [
        'body = jsonb_set(body::jsonb, \'{rows}\', \'{"incident [\\"INC-X\\"]": "x"}\')::text',
        "body = replace(body, 'old.thing', 'new.thing')",
        "leaf_hash = decode(repeat('ab', 32), 'hex')",
    ],
)
def test_what_is_left_of_a_pruned_record_cannot_be_changed_either(
    vault: Vault, attack: str
) -> None:
    vault.now = datetime(2019, 3, 2, 7, tzinfo=UTC)
    for _ in range(2):
        with vault.ledger.write(RITA, CLI, vault.now) as unit:
            unit.append("old.thing", Subject(kind="thing", id="x"), message="it happened")
    vault.now = datetime.now(UTC)
    let_go(vault.ledger, vault.now)
    assert vault.verify().ok
    vault.attack(f"UPDATE record SET {attack} WHERE seq = 2")
    found = vault.verify()
    assert (found.first_bad, found.findings[0].kind) == (2, "edited")


def test_a_tail_that_nobody_seals_is_a_problem_after_its_time(sealed: Vault) -> None:
    hour = timedelta(hours=1)
    assert sealed.verify(sealed_within=hour).ok
    sealed.write(2)
    assert sealed.verify(sealed_within=hour).ok
    sealed.now += timedelta(hours=2)
    found = sealed.verify(sealed_within=hour)
    assert (found.ok, found.findings) == (False, ())
    assert "2 records are not sealed, the oldest from 2026-11-28T07:00:13.000Z" in found.problems[0]
    sealed.seal()
    assert sealed.verify(sealed_within=hour).ok


RECOMPUTED = (
    f"{EDIT} WHERE seq = 3",
    f"UPDATE record SET leaf_hash = {HASH}",
    "UPDATE leaf SET leaf_hash = r.leaf_hash FROM record r WHERE r.seq = leaf.seq",
)
CUT = ("DELETE FROM record WHERE seq > 2", "DELETE FROM leaf WHERE seq > 2")


@pytest.mark.parametrize("statements", [RECOMPUTED, CUT], ids=["recomputed", "cut off"])
def test_what_the_watch_has_sealed_cannot_be_recomputed(
    vault: Vault, tmp_path: Path, statements: tuple[str, ...]
) -> None:
    """Nobody asks for a seal: records are written, and a moment later a head covers them."""
    copy = ConfigCopy(tmp_path / "config")
    copy.replace("global.yaml", "state_dir: .run", f"state_dir: {tmp_path / 'run'}")
    vault.now = datetime.now(UTC)
    stop, said = threading.Event(), list[str]()
    watch = SealWatch(copy.settings, lambda: vault.ledger, said.append)
    thread = threading.Thread(target=watch.run, args=(stop,))
    thread.start()
    try:
        vault.write(4)
        (anchor,) = open_desk(copy.settings, vault.now).anchors()
        begin = time.monotonic()
        while anchor.newest() < 4 and time.monotonic() < begin + 30:
            time.sleep(0.05)
    finally:
        stop.set()
        thread.join()
    assert (said, anchor.newest()) == ([], 4)
    assert (tmp_path / "run" / "seal" / "watched").is_file()
    known = open_desk(copy.settings, vault.now).known

    def verify() -> Verification:
        return verify_ledger(
            vault.ledger, "arocord-hims/ledger", known, [anchor], vault.now,
            tolerance=TOLERANCE, evidence=vault.evidence,
        )  # fmt: skip

    assert verify().ok, verify()
    vault.attack(*statements)
    assert verify().first_bad == 3


def test_evidence_that_became_a_link_out_of_the_evidence_is_found(vault: Vault) -> None:
    first = vault.file("one.log", b"12 passed")
    second = vault.file("deep/two.log", b"ok")
    for path, where in ((first, first), (second, second.parent)):
        outside = vault.directory.with_name(f"outside-{path.name}")
        if where is path:
            outside.write_bytes(b"99 passed")
        else:
            where.rename(outside)
        where.unlink(missing_ok=True)
        where.symlink_to(outside)
    found = vault.verify()
    assert [(item.kind, item.seq) for item in found.findings] == [
        ("evidence_missing", 1),
        ("evidence_missing", 2),
    ]
    assert "one.log, which record 1 names, is a link that leads out" in found.findings[0].message


@pytest.mark.parametrize("column", ["id", "time", "event", "outcome", "release", "change"])
def test_what_records_are_found_by_is_what_they_say(sealed: Vault, column: str) -> None:
    """Packs and lists choose records by columns that the database makes of the body."""
    value = {"time": "2026-11-28T07:00:05.500Z", "outcome": "denied"}.get(column, "other")
    sealed.attack(
        f"ALTER TABLE record ALTER COLUMN {column} DROP EXPRESSION",
        f"UPDATE record SET {column} = '{value}' WHERE seq = 6",
    )
    found = sealed.verify()
    assert (found.first_bad, found.findings[0].kind) == (6, "misfiled")


def test_the_heads_of_another_ledger_prove_nothing_here(sealed: Vault) -> None:
    """Its keys may be the same, and all of its database put in the place of this one's."""
    found = sealed.verify(origin="vault/other")
    assert {item.kind for item in found.findings} == {"head_foreign"}
    with pytest.raises(LedgerError, match="is a head of vault/ledger"):
        sealed.seal(origin="vault/other")


@pytest.mark.parametrize("back", [-timedelta(hours=1), timedelta(minutes=30)])
def test_a_key_that_no_longer_counts_cannot_be_used_with_a_clock_put_back(
    sealed: Vault, back: timedelta
) -> None:
    """Whoever has the database, the file anchor and a key of last year signs with its time."""
    old, new = sealed.keys[0], PrivateKey(name="vault-2", seed=bytes([7] * 32))
    over = sealed.now
    sealed.ring = [
        Trusted(key=old.public, until=over + timedelta(hours=1)),
        Trusted(key=new.public),
    ]
    sealed.keys = [new]
    sealed.now += timedelta(days=30)
    sealed.write(3)
    sealed.seal()
    assert sealed.verify().ok
    sealed.attack("DELETE FROM head WHERE size > 12", f"{EDIT} WHERE seq = 14", *RECOMPUTED[1:])
    lines = sealed.anchor.path.read_text().splitlines(keepends=True)
    sealed.anchor.path.write_text("".join(lines[:-1]))
    then = over + back
    with sealed.ledger.transaction() as connection:
        forged = append_head(
            connection, "vault/ledger", then,
            believe=lambda _: None, sign=lambda head: sign_checkpoint(head, [old]),
        )  # fmt: skip
    assert forged is not None
    sealed.anchor.keep([forged], then)
    found = sealed.verify()
    assert "head_unsigned" not in {item.kind for item in found.findings}
    assert (found.first_bad, found.findings[0].kind) == (13, "head_backdated")


def test_a_sealer_whose_clock_was_put_back_signs_nothing(sealed: Vault) -> None:
    sealed.write()
    sealed.now -= timedelta(days=1)
    with pytest.raises(LedgerError, match="the clock of this machine"):
        sealed.seal()


@pytest.mark.parametrize(
    ("attack", "said"),
    [
        (
            "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN RETURN NEW; END'",
            "its function refuse_change is not the one",
        ),
        (
            "CREATE FUNCTION meek() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
            "CREATE OR REPLACE TRIGGER leaf_append_only BEFORE UPDATE OR DELETE ON leaf"
            " FOR EACH ROW EXECUTE FUNCTION meek()",
            "its trigger leaf_append_only is missing",
        ),
    ],
)
def test_a_guard_that_was_made_harmless_is_no_pass(vault: Vault, attack: str, said: str) -> None:
    vault.write()
    assert vault.verify().ok
    vault.attack(attack)
    found = vault.verify()
    assert (found.ok, found.findings) == (False, ())
    assert any(said in problem for problem in found.problems), found.problems


def test_a_young_record_is_not_pruned_by_a_record_that_says_so(vault: Vault) -> None:
    """Whoever has the database empties a record, and writes down that its time was over."""
    vault.write(3)
    vault.attack("UPDATE record SET pruned = true, body = stub(body) WHERE seq = 2")
    (row,) = [row for row in vault.ledger.records() if row["seq"] == 2]
    with vault.ledger.write(RITA, CLI, vault.now) as unit:
        gone = {
            "seq": 2,
            "leaf_hash": "sha256:" + bytes(row["leaf_hash"]).hex(),
            "stub": "sha256:" + hashlib.sha256(row["body"].encode()).hexdigest(),
        }
        unit.append(
            "retention.pruned", Subject(kind="ledger", id="records"), message="pruned",
            details={"records": [gone]},
        )  # fmt: skip
    found = vault.verify()
    assert (found.first_bad, found.findings[0].kind) == (2, "edited")


@pytest.mark.parametrize(
    "details",
    ['{"records":[7]}', '{"records":[{"seq":"x"}]}', '{"records":{"seq":2}}', "[]"],
)
def test_a_record_of_pruning_that_is_none_lets_nothing_go(vault: Vault, details: str) -> None:
    vault.write(2)
    vault.attack("UPDATE record SET pruned = true, body = stub(body) WHERE seq = 2")
    put_in(vault, f',"event":"retention.pruned","details":{details}')
    assert vault.verify().first_bad == 2


def test_a_record_that_a_young_head_covers_is_not_made_old(vault: Vault) -> None:
    """The first records are emptied, and what is left of them says that they were old."""
    vault.write(3)
    vault.seal()
    old = "replace(stub(body), '2026-11-28', '2019-11-28')"
    vault.attack(f"UPDATE record SET pruned = true, body = {old} WHERE seq <= 2")
    rows = [row for row in vault.ledger.records() if row["seq"] <= 2]
    with vault.ledger.write(RITA, CLI, vault.now) as unit:
        gone = [
            {
                "seq": row["seq"],
                "leaf_hash": "sha256:" + bytes(row["leaf_hash"]).hex(),
                "stub": "sha256:" + hashlib.sha256(row["body"].encode()).hexdigest(),
            }
            for row in rows
        ]
        unit.append(
            "retention.pruned", Subject(kind="ledger", id="records"), message="pruned",
            details={"records": gone},
        )  # fmt: skip
    found = vault.verify()
    assert (found.first_bad, found.findings[0].kind) == (1, "edited")


def test_what_was_sealed_late_is_kept_as_if_it_were_from_then(vault: Vault) -> None:
    """So that a plan of pruning never asks for what verification would not believe."""
    today = datetime.now(UTC)
    for days in (365 * 7, 365 * 7 - 2):
        vault.now = today - timedelta(days=days)
        with vault.ledger.write(RITA, CLI, vault.now) as unit:
            unit.append("old.thing", Subject(kind="thing", id="x"), message="it happened")
        if days == 365 * 7:
            vault.seal()
    vault.now = today
    vault.seal()
    assert [item.seq for item in let_go(vault.ledger, today).records] == [1]
    assert vault.verify().ok
