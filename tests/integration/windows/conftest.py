"""A place where changes are scheduled into windows; see `tests.integration.entries.office`."""

from __future__ import annotations

from tests.integration.entries.conftest import office  # noqa: F401 - a fixture
