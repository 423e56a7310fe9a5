"""A record that is written down twice is found, and so is the loss of what refuses it."""

from __future__ import annotations

import pytest

from include.ledger import Subject
from tests.integration.audit.vault import CLI, RITA, Vault

AGAIN = "INSERT INTO record (body, leaf_hash) SELECT body, leaf_hash FROM record WHERE seq = 6"
AGAIN_AS = (
    "INSERT INTO record (seq, body, leaf_hash) OVERRIDING SYSTEM VALUE"
    " SELECT {0}, body, leaf_hash FROM record WHERE seq = 6"
)
NO_LEAF_KEYS = (
    "ALTER TABLE leaf DROP CONSTRAINT leaf_pkey",
    "ALTER TABLE leaf DROP CONSTRAINT leaf_seq_key",
)
# What is done to record 6 of 8, and what is found of which seq.
TWICE: dict[str, tuple[tuple[str, ...], str, int]] = {
    "a vote under a new seq": ((AGAIN,), "duplicated", 9),
    "a vote under a seq of long ago": ((AGAIN_AS.format(-5),), "duplicated", -5),
    "a row of record": (
        ("ALTER TABLE record DROP CONSTRAINT record_pkey CASCADE", AGAIN_AS.format(6)),
        "duplicated",
        6,
    ),
    "a row of leaf": (
        (*NO_LEAF_KEYS, "INSERT INTO leaf SELECT * FROM leaf WHERE seq = 6"),
        "duplicated",
        6,
    ),
    "a place at the end": (
        (*NO_LEAF_KEYS, "INSERT INTO leaf SELECT 8, seq, leaf_hash FROM leaf WHERE seq = 6"),
        "duplicated",
        6,
    ),
    "a place before the first": (
        (*NO_LEAF_KEYS, "INSERT INTO leaf SELECT -1, seq, leaf_hash FROM leaf WHERE seq = 6"),
        "inserted",
        6,
    ),
}


@pytest.fixture
def voted(vault: Vault) -> Vault:
    """Eight records, of which the sixth is a vote, in two heads."""
    vault.write(5)
    with vault.ledger.write(RITA, CLI, vault.now) as unit:
        unit.append("vote.cast", Subject(kind="change", id="CHG-000001"), message="approve")
    vault.seal()
    vault.write(2)
    vault.seal()
    assert vault.verify().ok
    return vault


@pytest.mark.parametrize("what", TWICE)
def test_what_is_there_twice_is_named(voted: Vault, what: str) -> None:
    statements, kind, seq = TWICE[what]
    voted.attack(*statements)
    found = voted.verify()
    assert found.first_bad == seq, found.findings
    assert kind in {item.kind for item in found.findings if item.seq == seq}, found.findings
    assert "deleted" not in {item.kind for item in found.findings}


def test_a_seal_does_not_hide_a_vote_that_is_there_twice(voted: Vault) -> None:
    voted.attack(AGAIN)
    voted.seal()
    found = voted.verify()
    assert [(item.kind, item.seq) for item in found.findings] == [("duplicated", 9)]
    assert "record 9 is record 6 once more" in found.findings[0].message


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ("record", "record_pkey"),
        ("record", "record_id_key"),
        ("record", "record_leaf_hash_check"),
        ("record", "record_outcome_check"),
        ("leaf", "leaf_pkey"),
        ("leaf", "leaf_seq_key"),
        ("leaf", "leaf_position_check"),
        ("head", "head_pkey"),
        ("sequencer", "sequencer_one_check"),
        ("vote", "vote_ballot_id_seat_key"),
        ("slot", "slot_not_double_booked"),
    ],
)
def test_a_constraint_that_is_gone_is_no_pass(vault: Vault, table: str, name: str) -> None:
    vault.write()
    vault.command(f"ALTER TABLE {table} DROP CONSTRAINT {name} CASCADE")
    found = vault.verify()
    assert (found.ok, found.findings, len(found.problems)) == (False, (), 1)
    assert f"rows of {table} that it should refuse: its constraint {name}" in found.problems[0]


@pytest.mark.parametrize(
    ("attack", "said"),
    [
        ("ALTER TABLE incident DROP CONSTRAINT incident_pkey", "rows of incident"),
        (
            "ALTER TABLE record DROP CONSTRAINT record_id_key;"
            "ALTER TABLE record ADD CONSTRAINT record_id_key UNIQUE (id, seq)",
            "its constraint record_id_key",
        ),
        (
            "ALTER TABLE leaf DROP CONSTRAINT leaf_position_check;"
            "ALTER TABLE leaf ADD CONSTRAINT leaf_position_check CHECK (position >= 0) NOT VALID",
            "its constraint leaf_position_check",
        ),
        (
            "ALTER TABLE record ALTER COLUMN change DROP EXPRESSION",
            "what makes its column change of the body",
        ),
    ],
)
def test_what_no_longer_refuses_doubles_is_no_pass(vault: Vault, attack: str, said: str) -> None:
    vault.write()
    vault.command(attack)
    found = vault.verify()
    assert (found.ok, found.findings, len(found.problems)) == (False, (), 1)
    assert said in found.problems[0]
