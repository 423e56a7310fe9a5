"""Reviewed files as a timetable carries them: as text, so that a schedule is what was parsed.

Only the file's text is read when a Dag file is parsed; what it means is worked out where runs are
scheduled, once per text.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.exceptions import AirflowTimetableInvalid
from pendulum import DateTime

if TYPE_CHECKING:
    from include.calendar import ChangeCalendar
    from include.calendar.openings import Openings


def config_text(name: str) -> str:
    """Return the text of a file of the configuration; AirflowTimetableInvalid if it has none."""
    root = Path(__file__).resolve().parents[3]
    path = Path(os.environ.get("HIMS_CONFIG") or root / "config") / name
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise AirflowTimetableInvalid(f"{path} cannot be read, so nothing opens: {said}") from error


@lru_cache(maxsize=8)
def calendar_of(text: str, name: str) -> ChangeCalendar:
    """Return the calendar in a text; ConfigError where it cannot be used: then nothing opens."""
    from include.calendar import read_calendar

    return read_calendar(text, name=name)


@lru_cache(maxsize=8)
def openings_of(text: str, name: str) -> Openings:
    """Return the openings of the calendar in a text; ConfigError where it cannot be used."""
    from include.calendar.openings import Openings

    return Openings(calendar_of(text, name))


def utc_now() -> datetime:
    """Return the current instant, which schedules without catch-up start from."""
    return datetime.now(UTC)


def pendulum_of(instant: datetime) -> Any:
    """Return an aware UTC instant as Airflow keeps its own."""
    return DateTime(
        instant.year,
        instant.month,
        instant.day,
        instant.hour,
        instant.minute,
        instant.second,
        instant.microsecond,
        tzinfo=_UTC,
    )


_UTC = DateTime.now("UTC").tzinfo
