"""A vault for every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.audit.vault import Vault
from tests.integration.conftest import PostgresServer


@pytest.fixture
def vault(postgres: PostgresServer, ledger_template: str, tmp_path: Path) -> Iterator[Vault]:
    """Return a vault with an empty ledger."""
    name = postgres.create_database(template=ledger_template, owner="ledger_owner")
    yield Vault(postgres, name, tmp_path / "anchors")
    postgres.drop_database(name)
