"""What the configuration adds to the ledger's facts: the calendar, and a service's systems."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime

from include.calendar import ChangeCalendar, Span, load_calendar
from include.calendar.spans import clip, merge
from include.settings import Settings


def change_calendar(settings: Settings) -> ChangeCalendar:
    """Return the change calendar; ConfigError where it cannot be used."""
    return load_calendar(
        settings.config_file("calendar.yaml"), name=settings.label("calendar.yaml")
    )


def systems_of(settings: Settings, service: str | None) -> Sequence[str]:
    """Return the systems of a service, none for all services; RequestError for an unknown one."""
    return () if service is None else tuple(settings.service(service).systems)


def openings_of(settings: Settings) -> Callable[[datetime, datetime], list[Span]]:
    """Return what gives the open parts of all windows within `[start, end)`."""
    calendar = change_calendar(settings)

    def openings(start: datetime, end: datetime) -> list[Span]:
        # Windows of different systems may be open side by side: that is one opening.
        return merge(
            span
            for slot in calendar.every_slot(start, end)
            for span in clip(slot.open, [Span(start, end)])
        )

    return openings


def holidays_of(calendar: ChangeCalendar) -> Callable[[date], bool]:
    """Return what says whether a local date is a holiday."""
    holidays = calendar.holidays
    return lambda day: holidays.name_of(day) is not None
