"""An empty ledger, the reviewed calendar, and people who make entries."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from include.ledger import Ledger
from include.people import People, load_people
from include.settings import ROOT, Settings, load_settings
from tests.integration.entries.office import Office


@pytest.fixture
def office(ledger: Ledger) -> Office:
    """Return a place where people make entries on Mon 23 Nov 2026 at noon UTC."""
    settings: Settings = load_settings(ROOT / "config")
    people: People = load_people(settings)
    return Office(
        ledger=ledger,
        people=people,
        calendar_file=Path(settings.config_file("calendar.yaml")),
        now=datetime(2026, 11, 23, 12, tzinfo=UTC),
    )
