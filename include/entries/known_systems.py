"""Which systems there are: a freeze of one that is none stops nothing, and nobody would know."""

from __future__ import annotations

from collections.abc import Iterable

from include.calendar import ChangeCalendar
from include.calendar.window import ALL_SYSTEMS
from include.changes.systems import load_systems
from include.errors import RequestError, did_you_mean
from include.settings import Settings


def known_systems(settings: Settings, calendar: ChangeCalendar) -> frozenset[str]:
    """Return every system that config/systems.yaml, a service or the calendar names."""
    named = set(load_systems(settings).titles) | {ALL_SYSTEMS}
    for window in calendar.windows:
        named |= window.systems
    for blackout in calendar.blackouts:
        named |= blackout.systems
        for exception in blackout.exceptions:
            named |= exception.systems
    return frozenset(named | set(calendar.holidays.systems))


def strangers(settings: Settings, calendar: ChangeCalendar, asked: Iterable[str]) -> list[str]:
    """Return a sentence for each of `asked` that nothing names, with what may be meant."""
    known = known_systems(settings, calendar)
    return [
        f'nothing names a system "{name[:60]}"{did_you_mean(name[:60], known - {ALL_SYSTEMS})}'
        for name in asked
        if name not in known
    ]


def check_systems(settings: Settings, calendar: ChangeCalendar, asked: Iterable[str]) -> None:
    """Raise RequestError where one of `asked` is no system."""
    wrong = strangers(settings, calendar, asked)
    if wrong:
        raise RequestError("; ".join(wrong))
