"""Repositories for the tests of releases."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.releases.workshop import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """An empty bare repository to build in."""
    return Workshop(tmp_path / "hims.git")
