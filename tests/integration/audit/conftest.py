"""A vault for every test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.audit.vault import Vault
from tests.integration.conftest import PostgresServer
from tests.integration.lent import LentLedger


@pytest.fixture
def vault(postgres: PostgresServer, lent: LentLedger, tmp_path: Path) -> Vault:
    """Return a vault with an empty ledger."""
    return Vault(postgres, lent.name, lent.ledger, tmp_path / "anchors")
