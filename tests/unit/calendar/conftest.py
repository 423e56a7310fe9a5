"""Calendars for tests are files, read through the same door as the real one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from include.calendar import ChangeCalendar, load_calendar

Load = Callable[[str], ChangeCalendar]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Return a function that loads a calendar from YAML text, called calendar.yaml in messages."""

    def load_text(text: str) -> ChangeCalendar:
        path = tmp_path / "calendar.yaml"
        path.write_text(text, encoding="utf-8")
        return load_calendar(path, name="calendar.yaml")

    return load_text


@pytest.fixture
def standard(load: Load) -> ChangeCalendar:
    """Return the plan's window: Saturday 02:00–04:00 in New York, 20 minutes of cutoff."""
    return load(STANDARD)


STANDARD = """
timezone: America/New_York
windows:
  standard:
    aliases: ["Saturday 2-4 AM"]
    rrule: FREQ=WEEKLY;BYDAY=SA
    start: "02:00"
    end: "04:00"
    cutoff: 20m
"""
