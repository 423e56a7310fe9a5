"""Periods as people say them."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from include.reports.period import Kind, parse_period


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("2026-W47", "16 November to 22 November 2026"),
        ("2020-W53", "28 December 2020 to 3 January 2021"),
        ("2025-W01", "30 December 2024 to 5 January 2025"),
    ],
)
def test_a_week_over_the_new_year_names_both_years(name: str, words: str) -> None:
    assert parse_period(Kind.WEEKLY, name, ZoneInfo("America/New_York")).words == words
