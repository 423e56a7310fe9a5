"""The shape of config/calendar.yaml: which keys there are, and what a value may look like.

timezone: America/New_York          required; the zone of everything that names none
windows:
  NAME:
    kind: standard                  standard | extended | emergency
    aliases: ["Saturday 2-4 AM"]    other names that changes use for it
    rrule: FREQ=WEEKLY;BYDAY=SA     RFC 5545 on local dates; or  dates: [2026-12-05, …]
    from: 2026-01-01                first date, the rule's DTSTART
    until: 2027-01-01               exclusive
    start: "02:00"                  wall time; quote it, since bare 22:00 is a number in YAML
    end: "04:00"                    not after start: on the next day, so 00:00–00:00 is a day
    end_day: 2                      … or that many days after the date
    every: 2m                       opens again every so often (real time) within those hours
    open_for: 1m45s                 … and stays open for this long each time
    cutoff: 20m                     nothing starts later than this before it closes
    timezone, systems: ["*"], dst_gap: shift | skip, max_changes: 5
    longest: 8h                     extended only: what an approval may grant at most
blackouts:
  NAME:
    start, end: 2026-12-19T00:00    wall time in `timezone` unless it bears an offset or Z;
                                    a bare date is its midnight; end is exclusive
    rrule | dates, from, until      … or recurring, with start and end as in windows
    reason                          required
    systems: ["*"], environments: ["*"], timezone, dst_gap
    hard: true                      stops emergencies too
    exceptions: [{owner, reason, control, end, start, systems, changes}]
holidays: {country: US, subdivision: NY, observed: true, policy: warn, adjacent: 0,
           systems: {billing: block}}
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, field_validator

from include.calendar.holiday import HolidayPolicy
from include.calendar.wall_time import zone_of
from include.calendar.window import WindowKind
from include.documents import Section
from include.errors import InputError
from include.fields import Duration

D = TypeVar("D", date, datetime)
# A calendar for people; beyond these an answer would take more than a moment.
MOST_WINDOWS = 200
MOST_BLACKOUTS = 5_000
MOST_RECURRING_BLACKOUTS = 100
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}")
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)?")


def _zone(value: Any) -> ZoneInfo:
    try:
        return zone_of(str(value))
    except InputError as error:
        raise ValueError(str(error)) from error


def _time(value: Any) -> time:
    if isinstance(value, str) and (match := _TIME.fullmatch(value.strip())):
        return time(int(match[1]), int(match[2]), int(match[3] or 0))
    if isinstance(value, str) and value.strip() in {"24:00", "24:00:00"}:
        raise ValueError('24:00 is the next day\'s midnight: write "00:00"')
    if isinstance(value, int):
        message = 'write the time in quotes, like "22:00": YAML reads a bare one as a number'
        raise ValueError(message)  # noqa: TRY004 - pydantic takes no TypeError
    raise ValueError(f'{value!r} is not a time of day; write it like "02:00"')


def _date(value: Any) -> date:
    day = value if type(value) is date else None
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value.strip()):
        with suppress(ValueError):
            day = date.fromisoformat(value.strip())
    if day is None:
        raise ValueError(f"{value} is not a date; write it like 2026-12-05")
    return _in_range(day)


def _in_range(value: D) -> D:
    if not 1800 <= value.year <= 2200:
        raise ValueError(f"{value}: the calendar knows the years 1800 to 2200")
    return value


def _moment(value: Any) -> datetime | time:
    moment = value if isinstance(value, datetime) else None
    if isinstance(value, str) and _MOMENT.fullmatch(value.strip()):
        with suppress(ValueError):
            moment = datetime.fromisoformat(value.strip())
    if moment is not None:
        return _in_range(moment)
    if isinstance(value, date) or (isinstance(value, str) and len(value.strip()) == 10):
        return datetime.combine(_date(value), time())
    if isinstance(value, int) or (isinstance(value, str) and "-" not in value):
        return _time(value)
    remedy = "write it like 2026-12-19T00:00, in the calendar's zone"
    raise ValueError(f"{value!r} is not a time; {remedy}")


def checked_name(value: Any) -> str:
    """Return the name of a window, a system or the like; ValueError for what is none."""
    if isinstance(value, str) and (value == "*" or _NAME.fullmatch(value)):
        return value
    raise ValueError(f'{value!r} is not a name; write letters, digits and - _ . or "*" for all')


def _said(value: str) -> str:
    if not value.strip():
        message = "is blank; say it in words"
        raise ValueError(message)
    return value


def _empty(value: Any) -> Any:
    return {} if value is None else value


Zone = Annotated[ZoneInfo, PlainValidator(_zone)]
ClockTime = Annotated[time, PlainValidator(_time)]
Day = Annotated[date, PlainValidator(_date)]
Moment = Annotated[datetime | time, PlainValidator(_moment)]
Name = Annotated[str, PlainValidator(checked_name)]
Words = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_said)]


class WindowSection(Section):
    """One entry under `windows`."""

    kind: WindowKind = WindowKind.STANDARD
    aliases: tuple[Words, ...] = ()
    rrule: Words | None = None
    dates: tuple[Day, ...] | None = Field(default=None, min_length=1)
    first: Day | None = Field(default=None, alias="from")
    until: Day | None = None
    start: ClockTime | None = None
    end: ClockTime | None = None
    end_day: int | None = Field(default=None, ge=0, le=31, strict=True)
    every: Duration | None = None
    open_for: Duration | None = None
    cutoff: Duration = timedelta(0)
    timezone: Zone | None = None
    systems: tuple[Name, ...] = Field(default=("*",), min_length=1)
    dst_gap: Annotated[str, Field(pattern="^(shift|skip)$")] = "shift"
    max_changes: int | None = Field(default=None, ge=1, strict=True)
    longest: Duration | None = None


class ExceptionSection(Section):
    """One entry under a blackout's `exceptions`."""

    owner: Words
    reason: Words
    control: Words
    end: Moment
    start: Moment | None = None
    systems: tuple[Name, ...] = Field(default=("*",), min_length=1)
    changes: tuple[Words, ...] = ()


class BlackoutSection(Section):
    """One entry under `blackouts`."""

    reason: Words
    start: Moment
    end: Moment
    rrule: Words | None = None
    dates: tuple[Day, ...] | None = Field(default=None, min_length=1)
    first: Day | None = Field(default=None, alias="from")
    until: Day | None = None
    end_day: int | None = Field(default=None, ge=0, le=31, strict=True)
    timezone: Zone | None = None
    systems: tuple[Name, ...] = Field(default=("*",), min_length=1)
    environments: tuple[Name, ...] = Field(default=("*",), min_length=1)
    dst_gap: Annotated[str, Field(pattern="^(shift|skip)$")] = "shift"
    hard: bool = True
    exceptions: tuple[ExceptionSection, ...] = ()


class HolidaySection(Section):
    """The entry `holidays`."""

    country: Words | None = None
    subdivision: Words | None = None
    observed: bool = True
    policy: HolidayPolicy = HolidayPolicy.WARN
    adjacent: int = Field(default=0, ge=0, le=7, strict=True)
    systems: Annotated[dict[Name, HolidayPolicy], BeforeValidator(_empty)] = Field(
        default_factory=dict
    )


class CalendarSection(Section):
    """The whole file."""

    timezone: Zone
    windows: Annotated[
        dict[Name, WindowSection], BeforeValidator(_empty), Field(max_length=MOST_WINDOWS)
    ]
    blackouts: Annotated[dict[Name, BlackoutSection], BeforeValidator(_empty)] = Field(
        default_factory=dict, max_length=MOST_BLACKOUTS
    )
    holidays: HolidaySection | None = None

    @field_validator("blackouts")
    @classmethod
    def _few_recur(cls, value: dict[str, BlackoutSection]) -> dict[str, BlackoutSection]:
        recurring = sum(1 for item in value.values() if item.rrule or item.dates)
        if recurring > MOST_RECURRING_BLACKOUTS:
            message = f"{recurring:,} of them recur; there may be {MOST_RECURRING_BLACKOUTS}"
            raise ValueError(message)
        return value
