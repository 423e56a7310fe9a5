"""Settings of a stack that never runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.settings import Settings
from tests.private_stack import private_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return the project's configuration with a state directory and ports of its own."""
    return private_settings(tmp_path)
