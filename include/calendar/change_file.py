"""The parts of a change file that the calendar asks about: systems, times, people, incident.

    impact_assessment: {affected_systems: [frontend, api]}
    schedule: {planned_start: 2026-11-23, planned_end: 2026-12-05, change_window: Saturday 2-4 AM}

Everything else in the file is for `./hims change validate` to judge. A planned date is the whole
local day, the last one included.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from include.calendar.calendar import ChangeCalendar
from include.calendar.command_line import Work
from include.calendar.sections import Moment
from include.calendar.wall_time import DAY, resolve
from include.documents import read_document, validate_document
from include.errors import ConfigError, RequestError
from include.fields import Duration
from include.instants import format_duration

_MINUTE = timedelta(minutes=1)
_LONGEST = timedelta(days=31)
Word = Annotated[str, Field(min_length=1, max_length=200)]
Words = Annotated[tuple[Word, ...], Field(max_length=200)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, arbitrary_types_allowed=True)


class _Impact(_Part):
    affected_systems: Words = ()


class _Schedule(_Part):
    planned_start: Moment | None = None
    planned_end: Moment | None = None
    change_window: Word | None = None
    duration: Duration | None = None
    rollback: Duration | None = None


class _Scope(_Part):
    commits: tuple[str, ...] = ()
    commit_types: Words = ()


class _ChangeFile(_Part):
    title: Word
    impact_assessment: _Impact = _Impact()
    schedule: _Schedule = _Schedule()
    scope: _Scope = _Scope()
    implementers: Words = ()
    incident: Word | None = None


def read_work(
    path: Path,
    calendar: ChangeCalendar,
    *,
    needs: timedelta | None = None,
    now: datetime | None = None,
) -> Work:
    """Return the work that the change file at `path` asks for, named after the file.

    It starts where the work first fits into its window within the planned time, else where the
    planned time begins; a file without a plan leaves the start open. While the planned time lasts
    it does not start before `now`. `needs` outranks the file's `duration`. Raises ConfigError with
    file, line and key of all that is wrong.
    """
    document = read_document(path)
    change = validate_document(document, _ChangeFile)
    schedule, zone = change.schedule, calendar.zone
    length = _MINUTE if schedule.duration is None else schedule.duration
    rollback = schedule.rollback or timedelta(0)
    try:
        window = calendar.window(schedule.change_window) if schedule.change_window else None
    except RequestError as error:
        problem = document.problem(("schedule", "change_window"), str(error))
        raise ConfigError([problem]) from error
    for key, value in (("duration", length), ("rollback", rollback)):
        if value > _LONGEST or length <= timedelta(0):
            message = f"{format_duration(value)}: must be more than nothing and at most a month"
            raise ConfigError([document.problem(("schedule", key), message)])
    length = length if needs is None else needs
    begins, ends = None, None
    for key, last in (("planned_start", False), ("planned_end", True)):
        moment = getattr(schedule, key)
        if isinstance(moment, time):
            message = "needs its date, like 2026-12-05"
            raise ConfigError([document.problem(("schedule", key), message)])
        if moment is not None:
            whole_day = _is_date(document.data, key)
            found = _instant(moment + DAY if last and whole_day else moment, zone)
            begins, ends = (begins, found) if last else (found, ends)
    if begins is not None and ends is not None and begins >= ends:
        message = "lies before planned_start"
        raise ConfigError([document.problem(("schedule", "planned_end"), message)])
    systems = tuple(dict.fromkeys(change.impact_assessment.affected_systems))
    if now is not None and begins is not None and begins < now and (ends is None or now < ends):
        begins = now
    start = begins
    if begins is not None:
        opening = calendar.next(
            needs=length + rollback,
            not_before=begins,
            systems=systems,
            window=None if window is None else window.name,
            change=path.stem,
        )
        if opening is not None and (ends is None or opening.start < ends):
            start = opening.start
    types = frozenset(change.scope.commit_types)
    return Work(
        id=path.stem,
        title=change.title,
        start=start,
        needs=length,
        rollback=rollback,
        systems=systems,
        people=frozenset(change.implementers),
        commit_types=None if change.scope.commits and not types else types,
        incident=change.incident,
    )


def _is_date(data: object, key: str) -> bool:
    schedule = data.get("schedule") if isinstance(data, dict) else None
    given = schedule.get(key) if isinstance(schedule, dict) else None
    return not isinstance(given, datetime) and len(str(given).strip()) == len("2026-12-05")


def _instant(value: datetime, zone: ZoneInfo) -> datetime:
    return resolve(value, zone) if value.tzinfo is None else value
