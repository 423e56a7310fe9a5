"""What unit tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.config_copy import ConfigCopy


@pytest.fixture
def config(tmp_path: Path) -> ConfigCopy:
    """Return a copy of config/ that the test may spoil."""
    return ConfigCopy(tmp_path / "config")
