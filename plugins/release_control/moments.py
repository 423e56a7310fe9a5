"""Instants of Airflow's as the domain takes them."""

from __future__ import annotations

from datetime import UTC, datetime


def plain(instant: datetime) -> datetime:
    """Return an aware instant in UTC as Python's own datetime: pendulum's do other arithmetic."""
    utc = instant.astimezone(UTC)
    return datetime(
        utc.year,
        utc.month,
        utc.day,
        utc.hour,
        utc.minute,
        utc.second,
        utc.microsecond,
        tzinfo=UTC,
    )
