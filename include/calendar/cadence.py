"""The cadence of releases laid on a year of the calendar: which days it freezes, what it meets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import combinations, count

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
    """Twelve months of trains. Days are local dates of the calendar's zone within `span`.

    `neighbours` are trains of months before and after that freeze days of these, too.
    """

    span: Span
    trains: tuple[PlannedTrain, ...]
    neighbours: tuple[PlannedTrain, ...]
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
    whole = Span(_midnight(calendar, begin), _midnight(calendar, month_after(begin, 12)))

    def train(month: date) -> PlannedTrain | None:
        kind = _due(steps, month)
        if kind is None:
            return None
        time_of = Span(_midnight(calendar, month), _midnight(calendar, month_after(month, 1)))
        dates = _dates(calendar, time_of, feature_lead, code_lead, needs, systems)
        return PlannedTrain(release_type=kind, month=month, dates=dates)

    def in_whole(span: Span) -> bool:
        return span.start < whole.end and whole.start < span.end

    own = [found for index in range(12) if (found := train(month_after(begin, index)))]
    around = [
        found
        for month in _months_around(calendar, begin, feature_lead)
        if (found := train(month)) and found.dates and in_whole(found.dates.span)
    ]
    running = [(item, item.dates) for item in (*own, *around) if item.dates is not None]
    return ReleaseYear(
        span=whole,
        trains=tuple(own),
        neighbours=tuple(around),
        feature_frozen=_days(calendar, whole, [dates.span for _, dates in running]),
        code_frozen=_days(
            calendar, whole, [Span(dates.code_freeze, dates.slot.end) for _, dates in running]
        ),
        holidays=tuple(
            sorted(
                {
                    (day, name)
                    for _, dates in running
                    for day, name, span in calendar.holidays.on(*dates.span)
                    if in_whole(span)
                }
            )
        ),
        overlaps=tuple(
            (one.name, other.name)
            for (one, ours), (other, theirs) in combinations(
                sorted(running, key=lambda item: item[0].month), 2
            )
            if ours.span.start < theirs.span.end and theirs.span.start < ours.span.end
            if one in own or other in own
        ),
    )


def _months_around(
    calendar: ChangeCalendar, begin: date, feature_lead: timedelta
) -> Iterator[date]:
    """Yield the months whose trains may run in the twelve from `begin`, and that are none of them.

    Before: two, since the opening of a window may last for more than a month. After: as far as the
    feature freeze reaches back.
    """
    yield from (month for back in (2, 1) if (month := month_after(begin, -back)).year >= 1800)
    end = _midnight(calendar, month_after(begin, 12))
    for ahead in count(12):
        month = month_after(begin, ahead)
        if month.year > 2200:
            return
        if lead_before(_midnight(calendar, month), feature_lead, calendar.zone) >= end:
            return
        yield month


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
    kind = _due(steps, month)
    if kind is None:
        return None
    start = _midnight(calendar, month.replace(day=1))
    opening = calendar.next(needs=needs, not_before=start, systems=systems)
    if opening is None or opening.start >= _midnight(calendar, month_after(month, 1)):
        return None
    freeze = lead_before(opening.start, feature_lead, calendar.zone)
    return kind, Span(freeze, opening.end)


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


def _due(steps: Mapping[str, int], month: date) -> str | None:
    """Return the rarest type that is due in `month`."""
    due = [kind for kind, step in steps.items() if (month.month - 1) % step == 0]
    return max(due, key=lambda item: steps[item], default=None)


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
