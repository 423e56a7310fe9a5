"""Change offices with a real ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.ledger import Ledger
from tests.integration.changes.office import Office
from tests.private_stack import paper_settings


@pytest.fixture
def office(ledger: Ledger, tmp_path: Path) -> Office:
    """Return an office with an empty ledger and a configuration of the test's own."""
    return Office(ledger, paper_settings(tmp_path))
