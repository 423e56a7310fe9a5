"""The dates of a release train, backwards from a slot, and what they collide with.

Leads in whole days go by the clock on the wall: two weeks before Saturday 02:00 is a Saturday at
02:00, also when the clocks change in between. What is left of a lead, hours or seconds, is real
time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from include.calendar.answers import Opening
from include.calendar.calendar import ChangeCalendar
from include.calendar.holiday import HolidayPolicy
from include.calendar.wall_time import DAY, Span, aware, date_text, local_span_text, resolve
from include.errors import RequestError
from include.instants import format_duration

LEAD_PASSED = "lead_passed"
_INSTANT = timedelta(microseconds=1)
TO_BE_KNOWN = frozenset({"holiday", "train"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSpan:
    """Another train: from its feature freeze to the end of its slot."""

    release: str
    span: Span
    systems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Collision:
    """What a train's dates meet: `blackout`, `freeze`, `holiday`, `lead_passed`, `moved`, `train`.

    Those in TO_BE_KNOWN are no more than that; the others stand against the plan as asked for.
    """

    code: str
    message: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainDates:
    """Freezes, testing and slot of one train; `testing` runs from the code freeze to the slot."""

    feature_freeze: datetime
    code_freeze: datetime
    testing: Span
    slot: Opening
    collisions: tuple[Collision, ...]

    @property
    def span(self) -> Span:
        """From the feature freeze to the end of the slot."""
        return Span(self.feature_freeze, self.slot.end)


def lead_before(instant: datetime, lead: timedelta, zone: ZoneInfo) -> datetime:
    """Return the instant `lead` before `instant`: its whole days by the wall, the rest real."""
    days, rest = lead // DAY, lead % DAY
    instant = aware(instant)
    if days:
        wall = instant.astimezone(zone).replace(tzinfo=None) - days * DAY
        instant = resolve(wall, zone)
    return instant - rest


def plan_train_dates(
    calendar: ChangeCalendar,
    *,
    feature_lead: timedelta,
    code_lead: timedelta,
    needs: timedelta,
    at: datetime,
    target: datetime | None = None,
    systems: Sequence[str] = (),
    trains: Iterable[TrainSpan] = (),
) -> TrainDates | None:
    """Return the dates of a train planned at `at`, or None where no slot holds `needs`.

    The slot is the first that leaves the feature freeze its whole lead. With a target it is the one
    open at `target`, from where it opens, else the first behind it; a target within the lead is
    planned for what it is. Raises RequestError for a code freeze before the feature freeze.
    """
    if code_lead > feature_lead:
        raise RequestError(
            f"the code freeze ({format_duration(code_lead)} before the slot) would begin before "
            f"the feature freeze ({format_duration(feature_lead)})"
        )
    at = aware(at)
    if target is None:
        # A day in hand, as a lead by the wall can be an hour longer than its days.
        search, whole = at + feature_lead - DAY, True
    else:
        search = max(at, _begin_of_open(calendar, aware(target), systems))
        whole = lead_before(target, feature_lead, calendar.zone) >= at
    opening = calendar.next(needs=needs, not_before=search, systems=systems)
    while opening is not None and whole:
        if lead_before(opening.start, feature_lead, calendar.zone) >= at:
            break
        # Later in the same stretch may do; a lead by the wall is off by a transition at most.
        behind = at - lead_before(opening.start, feature_lead, calendar.zone)
        opening = calendar.next(needs=needs, not_before=opening.start + behind, systems=systems)
    if opening is None:
        return None
    return dates_for(
        calendar,
        opening,
        feature_lead=feature_lead,
        code_lead=code_lead,
        at=at,
        target=target,
        systems=systems,
        trains=trains,
    )


def _begin_of_open(calendar: ChangeCalendar, target: datetime, systems: Sequence[str]) -> datetime:
    """Return where the stretch begins that is open at `target`; `target` where none is."""
    found = calendar.outlook(systems=systems).stretches(target, target + _INSTANT)
    return min((stretch.start for _, stretch in found), default=target)


def dates_for(
    calendar: ChangeCalendar,
    slot: Opening,
    *,
    feature_lead: timedelta,
    code_lead: timedelta,
    at: datetime,
    target: datetime | None = None,
    systems: Sequence[str] = (),
    trains: Iterable[TrainSpan] = (),
) -> TrainDates:
    """Return the dates of a train into `slot`; see `plan_train_dates`."""
    feature_freeze = lead_before(slot.start, feature_lead, calendar.zone)
    code_freeze = lead_before(slot.start, code_lead, calendar.zone)
    whole = Span(feature_freeze, slot.end)
    collisions = []
    if target is not None and not slot.start <= aware(target) < slot.end:
        message = f"no slot holds the work at the target; the next is {slot.local}"
        collisions.append(_collision("moved", message, Span(slot.start, slot.end)))
    for word, begins in (("feature", feature_freeze), ("code", code_freeze)):
        if begins < aware(at):
            late = format_duration(aware(at) - begins)
            message = f"the {word} freeze would have begun {late} ago"
            collisions.append(_collision(LEAD_PASSED, message, Span(begins, slot.start)))
    collisions += _calendar_collisions(calendar, whole, systems)
    for train in trains:
        shared = not systems or not train.systems or {*systems} & {*train.systems}
        if shared and train.span.start < whole.end and whole.start < train.span.end:
            message = f"{train.release} runs {local_span_text(train.span, calendar.zone)}"
            collisions.append(_collision("train", message, train.span))
    return TrainDates(
        feature_freeze=feature_freeze,
        code_freeze=code_freeze,
        testing=Span(code_freeze, slot.start),
        slot=slot,
        collisions=tuple(collisions),
    )


def _calendar_collisions(
    calendar: ChangeCalendar, whole: Span, systems: Sequence[str]
) -> list[Collision]:
    outlook = calendar.outlook(systems=systems)
    found = [
        _collision(
            denial.blackout.kind,
            f"{denial.blackout.kind} {denial.blackout.name}, "
            f"{local_span_text(Span(*denial[:2]), calendar.zone)}: {denial.blackout.reason}",
            Span(*denial[:2]),
        )
        for denial in outlook.denials(*whole)
        # Hours that recur are the calendar's rhythm, and the slot lies outside them.
        if denial.blackout.span is not None or denial.end - denial.start >= DAY
    ]
    if outlook.holiday_policy is not HolidayPolicy.IGNORE:
        found += [
            _collision("holiday", f"{name}, {date_text(day)}", span)
            for day, name, span in calendar.holidays.on(*whole)
        ]
    return found


def _collision(code: str, message: str, span: Span) -> Collision:
    return Collision(code=code, message=message, start=span.start, end=span.end)
