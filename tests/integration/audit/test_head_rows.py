"""What the row of a head says beside the signed head is what was signed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from include.ledger import Subject
from tests.integration.audit.vault import CLI, RITA, Vault
from tests.integration.ledger.going import let_go


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("note", "'forged'"),
        ("root", "decode(repeat('ab', 32), 'hex')"),
        ("size", "6"),
        ("sealed_at", "'2001-01-01'"),
        ("sealed_at", "'infinity'"),
        ("sealed_at", "'4000-01-01 BC'"),
    ],
)
@pytest.mark.parametrize("size", [5, 8])
def test_a_column_that_is_not_what_was_signed_is_found(
    vault: Vault, column: str, value: str, size: int
) -> None:
    for count in (5, 3):
        vault.write(count)
        vault.seal()
    vault.command(f"UPDATE head SET {column} = {value} WHERE size = {size}")  # noqa: S608 - ours
    found = vault.verify()
    first = {5: 1, 8: 6}[size]
    assert ("head_differs", first) in {(item.kind, item.seq) for item in found.findings}
    assert found.first_bad == first
    assert f"says another {column} than was signed" in found.findings[0].message


def test_a_head_that_is_no_json_is_a_finding_where_records_changed_places(vault: Vault) -> None:
    for _ in range(2):
        vault.write(3)
        vault.seal()
    vault.attack(
        "UPDATE head SET entry = 'x' WHERE size = 6",
        "UPDATE leaf SET position = -1 WHERE position = 1",
        "UPDATE leaf SET position = 1 WHERE position = 4",
        "UPDATE leaf SET position = 4 WHERE position = -1",
    )
    found = vault.verify()
    assert "head_damaged" in {item.kind for item in found.findings}
    assert ("inserted", 5) in {(item.kind, item.seq) for item in found.findings}


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE head SET sealed_at = '2015-01-01'",
        "UPDATE head SET size = 1 WHERE size = 2",
        "UPDATE head SET entry = 'x'",
    ],
)
def test_no_column_makes_a_record_that_was_sealed_today_old(vault: Vault, attack: str) -> None:
    """Two honest people who prune do not do it for somebody who has the database."""
    today = datetime.now(UTC)
    for _ in range(2):
        vault.now = today - timedelta(days=365 * 7)
        with vault.ledger.write(RITA, CLI, vault.now) as unit:
            unit.append("old.thing", Subject(kind="thing", id="x"), message="it happened")
    vault.now = today
    vault.seal()
    assert not let_go(vault.ledger, today).records
    vault.command(attack)
    assert not let_go(vault.ledger, today).records
