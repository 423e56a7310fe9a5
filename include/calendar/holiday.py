"""Public holidays, by country and subdivision, observed days included.

Health care runs day and night: a holiday is a quiet day for one system and a peak for another.
So it is a policy per system: ignore, warn, or block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from include.calendar.wall_time import DAY, Span, resolve
from include.errors import RequestError, did_you_mean


class HolidayPolicy(StrEnum):
    """What a holiday does to a window that lies on it; the later, the stricter."""

    IGNORE = "ignore"
    WARN = "warn"
    BLOCK = "block"


_STRICTNESS = list(HolidayPolicy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holidays:
    """The holidays of one place; a day runs from local midnight to local midnight in `zone`.

    `adjacent` widens each holiday by that many days on both sides.
    """

    zone: ZoneInfo
    country: str | None = None
    subdivision: str | None = None
    observed: bool = True
    policy: HolidayPolicy = HolidayPolicy.IGNORE
    adjacent: int = 0
    systems: dict[str, HolidayPolicy] = field(default_factory=dict, hash=False)

    def policy_for(self, systems: Sequence[str]) -> HolidayPolicy:
        """Return the strictest policy of `systems`; without any, the general one."""
        policies = [self.systems.get(system, self.policy) for system in systems]
        return max(policies, key=_STRICTNESS.index, default=self.policy)

    def name_of(self, day: date) -> str | None:
        """Return the holiday on `day`, or `day after …` where adjacent days count; else None."""
        if self.country is None or not 1800 < day.year < 2230:
            return None
        for distance in range(self.adjacent + 1):
            for sign, word in ((-1, "after"), (1, "before")):
                name = self._name(day + sign * distance * DAY)
                if name and distance == 0:
                    return name
                if name:
                    count = "day" if distance == 1 else f"{distance} days"
                    return f"{count} {word} {name}"
        return None

    def on(self, start: datetime, end: datetime) -> list[tuple[date, str, Span]]:
        """Return (date, name, the local day as instants) for holidays that `[start, end)` meets."""
        found = []
        day = start.astimezone(self.zone).date()
        last = (end - timedelta(microseconds=1)).astimezone(self.zone).date()
        while day <= last:
            name = self.name_of(day)
            if name:
                found.append((day, name, self._whole_day(day)))
            day += DAY
        return [
            (day, name, span) for day, name, span in found if span.start < end and start < span.end
        ]

    def _whole_day(self, day: date) -> Span:
        midnight = datetime.combine(day, time())
        return Span(resolve(midnight, self.zone), resolve(midnight + DAY, self.zone))

    def _name(self, day: date) -> str | None:
        assert self.country is not None  # noqa: S101 - name_of asks first
        return _year(self.country, self.subdivision, self.observed, day.year).get(day)


def check_place(country: str, subdivision: str | None) -> None:
    """Raise RequestError where the holidays of that place are not known."""
    import holidays
    from holidays.registry import COUNTRIES

    # The registry only names the countries; holidays' own list would import all 250 of them.
    known = [names[1] for names in COUNTRIES.values()]
    if country not in known:
        raise RequestError(f'"{country}" is not a country code{_nearest(country, known)}')
    subdivisions = getattr(holidays, country).subdivisions
    if subdivision is not None and subdivision not in subdivisions:
        hint = did_you_mean(subdivision, subdivisions)
        raise RequestError(f'"{subdivision}" is not a subdivision of {country}{hint}')


def _nearest(code: str, known: Sequence[str]) -> str:
    remedy = did_you_mean(code.upper(), known)
    return remedy if remedy.startswith("; did") else "; write ISO 3166 like US"


@lru_cache(maxsize=512)
def _year(country: str, subdivision: str | None, observed: bool, year: int) -> dict[date, str]:
    import holidays

    return dict(
        holidays.country_holidays(
            country, subdiv=subdivision, years=year, observed=observed, language="en_US"
        )
    )
