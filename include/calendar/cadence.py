"""The cadence of releases laid on a year of the calendar: which days it freezes, what it meets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import combinations, pairwise

from include.calendar.calendar import ChangeCalendar
from include.calendar.train_dates import TrainDates, dates_for, lead_before
from include.calendar.wall_time import DAY, Span, resolve
from include.errors import RequestError, did_you_mean

# How many months lie between two releases of a type; the others come when they are needed.
MONTHS = {"monthly": 1, "quarterly": 3, "yearly": 12}
_UNPLANNED = {"as_needed", "emergency"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTrain:
    """The train of one month; `dates` is None where no slot of that month holds the work."""

    release_type: str
    month: date
    dates: TrainDates | None

    @property
    def name(self) -> str:
        """How people call it, like `minor of 2027-02`."""
        return f"{self.release_type} of {self.month:%Y-%m}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseYear:
    """Twelve months of trains. Days are local dates of the calendar's zone within `span`."""

    span: Span
    trains: tuple[PlannedTrain, ...]
    feature_frozen: tuple[date, ...]
    code_frozen: tuple[date, ...]
    holidays: tuple[tuple[date, str], ...]
    overlaps: tuple[tuple[str, str], ...]


def lay_year(
    calendar: ChangeCalendar,
    first: date,
    *,
    cadence: Mapping[str, str],
    feature_lead: timedelta,
    code_lead: timedelta,
    needs: timedelta,
    systems: Sequence[str] = (),
) -> ReleaseYear:
    """Return the twelve months from the month of `first`.

    Each month has the release of the rarest type that is due in it, in the month's first slot that
    holds `needs`: quarterly types are due in January, April, July and October, yearly ones in
    January. `cadence` maps release types to `monthly`, `quarterly`, `yearly`, `as_needed` or
    `emergency`. `holidays` are those that a train meets between its feature freeze and its slot.
    """
    steps = _steps(cadence)
    begin = first.replace(day=1)
    months = [month_after(begin, index) for index in range(13)]
    whole = Span(_midnight(calendar, months[0]), _midnight(calendar, months[-1]))
    trains = []
    for month, after in pairwise(months):
        due = [kind for kind, step in steps.items() if (month.month - 1) % step == 0]
        if due:
            kind = max(due, key=lambda item: steps[item])
            time_of = Span(_midnight(calendar, month), _midnight(calendar, after))
            dates = _dates(calendar, time_of, feature_lead, code_lead, needs, systems)
            trains.append(PlannedTrain(release_type=kind, month=month, dates=dates))
    running = [(train, train.dates) for train in trains if train.dates is not None]
    return ReleaseYear(
        span=whole,
        trains=tuple(trains),
        feature_frozen=_days(calendar, whole, [dates.span for _, dates in running]),
        code_frozen=_days(
            calendar, whole, [Span(dates.code_freeze, dates.slot.end) for _, dates in running]
        ),
        holidays=tuple(
            sorted(
                {
                    (day, name)
                    for _, dates in running
                    for day, name, _ in calendar.holidays.on(*dates.span)
                }
            )
        ),
        overlaps=tuple(
            (one.name, other.name)
            for (one, ours), (other, theirs) in combinations(running, 2)
            if ours.span.start < theirs.span.end and theirs.span.start < ours.span.end
        ),
    )


def train_of_month(
    calendar: ChangeCalendar,
    month: date,
    *,
    cadence: Mapping[str, str],
    feature_lead: timedelta,
    needs: timedelta,
    systems: Sequence[str] = (),
) -> tuple[str, Span] | None:
    """Return the release type that `lay_year` gives the month of `month`, with the time from its
    feature freeze to the end of its slot; None where none is due, or no slot holds the work."""
    steps = _steps(cadence)
    due = [kind for kind, step in steps.items() if (month.month - 1) % step == 0]
    if not due:
        return None
    start = _midnight(calendar, month.replace(day=1))
    opening = calendar.next(needs=needs, not_before=start, systems=systems)
    if opening is None or opening.start >= _midnight(calendar, month_after(month, 1)):
        return None
    freeze = lead_before(opening.start, feature_lead, calendar.zone)
    return max(due, key=lambda item: steps[item]), Span(freeze, opening.end)


def _dates(
    calendar: ChangeCalendar,
    month: Span,
    feature_lead: timedelta,
    code_lead: timedelta,
    needs: timedelta,
    systems: Sequence[str],
) -> TrainDates | None:
    opening = calendar.next(needs=needs, not_before=month.start, systems=systems)
    if opening is None or opening.start >= month.end:
        return None
    # A year is laid out ahead of time, so no lead has passed.
    long_before = datetime(1800, 1, 1, tzinfo=UTC)
    return dates_for(
        calendar,
        opening,
        feature_lead=feature_lead,
        code_lead=code_lead,
        at=long_before,
        systems=systems,
    )


def _steps(cadence: Mapping[str, str]) -> dict[str, int]:
    steps = {}
    for kind, word in cadence.items():
        if word in MONTHS:
            steps[kind] = MONTHS[word]
        elif word not in _UNPLANNED:
            hint = did_you_mean(word, {*MONTHS, *_UNPLANNED})
            raise RequestError(f'cadence of {kind}: "{word}" is unknown{hint}')
    return steps


def _days(calendar: ChangeCalendar, whole: Span, spans: list[Span]) -> tuple[date, ...]:
    days: set[date] = set()
    for span in spans:
        start, end = max(span.start, whole.start), min(span.end, whole.end)
        day = start.astimezone(calendar.zone).date()
        while (
            start < end
            and day <= (end - timedelta(microseconds=1)).astimezone(calendar.zone).date()
        ):
            days.add(day)
            day += DAY
    return tuple(sorted(days))


def month_after(begin: date, count: int) -> date:
    """Return the first day of the month that lies `count` months after that of `begin`."""
    years, month = divmod(begin.month - 1 + count, 12)
    return date(begin.year + years, month + 1, 1)


def _midnight(calendar: ChangeCalendar, day: date) -> datetime:
    return resolve(datetime.combine(day, time()), calendar.zone)
