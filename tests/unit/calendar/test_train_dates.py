"""Trains backwards from a slot, and a year of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from include.calendar import ChangeCalendar, Span
from include.calendar.cadence import lay_year
from include.calendar.train_dates import TrainDates, TrainSpan, lead_before, plan_train_dates
from include.errors import RequestError
from tests.unit.calendar.conftest import STANDARD, Load

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NEW_YORK = ZoneInfo("America/New_York")
CADENCE = {"major": "quarterly", "minor": "monthly", "patch": "as_needed", "hotfix": "emergency"}
CALENDAR = (
    STANDARD
    + """
blackouts:
  year-end: {start: 2026-12-19T00:00, end: 2027-01-04T00:00, reason: Year-end}
holidays: {country: US, policy: warn}
"""
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def planned(
    calendar: ChangeCalendar, at: str, target: str | None = None, **more: object
) -> TrainDates:
    dates = plan_train_dates(
        calendar, feature_lead=14 * DAY, code_lead=7 * DAY, needs=55 * timedelta(minutes=1),
        at=utc(at), target=None if target is None else utc(target), **more,  # type: ignore[arg-type]
    )  # fmt: skip
    assert dates is not None
    return dates


def test_the_freezes_lie_two_weeks_and_one_week_before_the_slot(load: Load) -> None:
    dates = planned(load(CALENDAR), "2026-11-10T12:00:00")
    assert dates.slot.start == utc("2026-11-28T07:00:00")
    assert dates.feature_freeze == utc("2026-11-14T07:00:00")
    assert dates.code_freeze == utc("2026-11-21T07:00:00")
    assert dates.testing == (dates.code_freeze, dates.slot.start)
    assert [(item.code, item.message) for item in dates.collisions] == [
        ("holiday", "Thanksgiving Day, Thu 26 Nov 2026")
    ]


def test_without_a_target_the_feature_freeze_keeps_its_whole_lead(load: Load) -> None:
    calendar = load(CALENDAR)
    exact = planned(calendar, "2026-11-14T07:00:00")
    assert exact.slot.start == utc("2026-11-28T07:00:00")
    begun = planned(calendar, "2026-11-14T07:00:01")
    assert begun.slot.start == utc("2026-11-28T07:00:01")
    assert begun.feature_freeze == utc("2026-11-14T07:00:01")
    late = planned(calendar, "2026-11-14T10:00:00")
    assert late.slot.start == utc("2026-12-05T07:00:00")


def test_a_lead_of_days_keeps_the_wall_time_across_a_change_of_the_clocks() -> None:
    slot = datetime(2026, 11, 7, 2, tzinfo=NEW_YORK).astimezone(UTC)
    begins = lead_before(slot, 14 * DAY, NEW_YORK)
    assert begins.astimezone(NEW_YORK).isoformat() == "2026-10-24T02:00:00-04:00"
    assert slot - begins == timedelta(days=14, hours=1)
    assert lead_before(slot, 75 * timedelta(seconds=1), NEW_YORK) == slot - timedelta(seconds=75)
    half = lead_before(slot, DAY + 12 * HOUR, NEW_YORK)
    assert half.astimezone(NEW_YORK).isoformat() == "2026-11-05T14:00:00-05:00"


def test_a_lead_that_ends_in_a_skipped_hour_ends_after_it() -> None:
    slot = datetime(2026, 3, 15, 2, 30, tzinfo=NEW_YORK).astimezone(UTC)
    begins = lead_before(slot, 7 * DAY, NEW_YORK)
    assert begins.astimezone(NEW_YORK).isoformat() == "2026-03-08T03:00:00-04:00"


def test_a_target_too_near_or_shut_is_planned_with_what_stands_against_it(load: Load) -> None:
    dates = planned(load(CALENDAR), "2026-12-14T12:00:00", "2026-12-19T07:00:00")
    assert dates.slot.start == utc("2027-01-09T07:00:00")
    codes = [item.code for item in dates.collisions]
    assert codes == ["moved", "blackout", "holiday"]
    near = planned(load(CALENDAR), "2026-11-25T12:00:00", "2026-11-28T07:30:00")
    assert near.slot.start == utc("2026-11-28T07:00:00")
    messages = [item.message for item in near.collisions if item.code == "lead_passed"]
    assert messages == [
        "the feature freeze would have begun 11d5h ago",
        "the code freeze would have begun 4d5h ago",
    ]


@pytest.mark.parametrize("target", ["07:00:00", "07:30:00", "08:05:00", "08:59:59"])
def test_a_target_inside_a_slot_aims_for_that_slot_from_where_it_opens(
    load: Load, target: str
) -> None:
    calendar = load(CALENDAR)
    dates = planned(calendar, "2026-11-25T00:00:00", f"2026-12-12T{target}")
    assert dates.slot.start == utc("2026-12-12T07:00:00")
    assert "moved" not in [item.code for item in dates.collisions]


def test_a_target_that_leaves_the_lead_is_not_planned_into_it(load: Load) -> None:
    """The slot opens an hour before the lead is over, and work may begin later in it."""
    begun = planned(load(CALENDAR), "2026-11-14T08:00:00", "2026-11-28T08:04:00")
    assert begun.slot.start == utc("2026-11-28T08:00:00")
    assert "lead_passed" not in [item.code for item in begun.collisions]
    during = planned(load(CALENDAR), "2026-11-28T07:10:00", "2026-11-28T07:30:00")
    assert during.slot.start == utc("2026-11-28T07:10:00")


def test_another_train_on_the_same_systems_is_named(load: Load) -> None:
    other = TrainSpan(
        release="portal-1.9.0",
        span=Span(utc("2026-11-20T00:00:00"), utc("2026-12-01T00:00:00")),
        systems=("portal",),
    )
    calendar = load(CALENDAR)
    same = planned(calendar, "2026-11-10T00:00:00", systems=("portal", "api"), trains=[other])
    assert "train" in [item.code for item in same.collisions]
    beside = planned(calendar, "2026-11-10T00:00:00", systems=("api",), trains=[other])
    assert "train" not in [item.code for item in beside.collisions]


def test_work_that_fits_no_slot_has_no_dates(load: Load) -> None:
    calendar = load(CALENDAR)
    at = utc("2026-11-10T00:00:00")
    assert plan_train_dates(
        calendar, feature_lead=14 * DAY, code_lead=7 * DAY, needs=3 * HOUR, at=at
    ) is None  # fmt: skip
    with pytest.raises(RequestError, match="would begin before the feature freeze"):
        plan_train_dates(calendar, feature_lead=DAY, code_lead=7 * DAY, needs=HOUR, at=at)


def test_a_year_has_a_train_a_month_and_every_third_is_a_major(load: Load) -> None:
    year = lay_year(
        load(CALENDAR), date(2027, 1, 20), cadence=CADENCE,
        feature_lead=14 * DAY, code_lead=7 * DAY, needs=HOUR,
    )  # fmt: skip
    assert [train.release_type for train in year.trains] == ["major", "minor", "minor"] * 4
    assert [train.month.month for train in year.trains] == list(range(1, 13))
    starts = [train.dates.slot.start.astimezone(NEW_YORK) for train in year.trains if train.dates]
    assert [start.month for start in starts] == list(range(1, 13))
    assert all(start.weekday() == 5 and start.day <= 7 for start in starts[1:])
    assert starts[0].day == 9  # the first Saturday lies in the blackout
    assert year.overlaps == ()
    assert (date(2027, 11, 25), "Thanksgiving Day") in year.holidays
    assert set(year.code_frozen) < set(year.feature_frozen)


def test_trains_that_overlap_and_months_without_a_slot_are_told(load: Load) -> None:
    calendar = load(CALENDAR.replace("2026-12-19T00:00", "2026-11-29T00:00"))
    year = lay_year(
        calendar, date(2026, 10, 1), cadence=CADENCE,
        feature_lead=35 * DAY, code_lead=7 * DAY, needs=HOUR,
    )  # fmt: skip
    by_month = {train.month: train.dates for train in year.trains}
    assert by_month[date(2026, 12, 1)] is None
    assert ("minor of 2026-11", "major of 2026-10") not in year.overlaps
    assert ("major of 2026-10", "minor of 2026-11") in year.overlaps


def test_a_cadence_that_nobody_knows_is_refused(load: Load) -> None:
    with pytest.raises(RequestError, match='did you mean "monthly"'):
        lay_year(
            load(CALENDAR), date(2027, 1, 1), cadence={"minor": "montly"},
            feature_lead=DAY, code_lead=DAY, needs=HOUR,
        )  # fmt: skip


def frozen_by_walking(calendar: ChangeCalendar, first: date, lead: timedelta) -> set[date]:
    """Walk through the year's half hours, and through the trains of each month around it."""
    start = datetime(first.year, first.month, 1, tzinfo=NEW_YORK)
    end = datetime(first.year + 1, first.month, 1, tzinfo=NEW_YORK)
    spans = []
    for number in range(-3, 24):
        month = first.month - 1 + number
        begin = datetime(first.year + month // 12, month % 12 + 1, 1, tzinfo=NEW_YORK)
        opening = calendar.next(needs=HOUR, not_before=begin.astimezone(UTC))
        assert opening is not None
        if opening.start.astimezone(NEW_YORK).month == begin.month:
            spans.append((lead_before(opening.start, lead, NEW_YORK), opening.end))
    found = set()
    at = start.astimezone(UTC)
    while at < end.astimezone(UTC):
        if any(begin <= at < over for begin, over in spans):
            found.add(at.astimezone(NEW_YORK).date())
        at += timedelta(minutes=30)
    return found


@pytest.mark.parametrize("lead", [10 * DAY, 14 * DAY, 70 * DAY])
@pytest.mark.parametrize("first", [date(2025, 1, 1), date(2026, 9, 1), date(2028, 1, 1)])
def test_days_that_trains_of_the_months_around_it_freeze_are_days_of_the_year(
    load: Load, first: date, lead: timedelta
) -> None:
    calendar = load(CALENDAR)
    year = lay_year(
        calendar, first, cadence=CADENCE, feature_lead=lead, code_lead=7 * DAY, needs=HOUR
    )
    assert set(year.feature_frozen) == frozen_by_walking(calendar, first, lead)
    assert len(year.trains) == 12
    assert {one.month for one in year.neighbours}.isdisjoint(one.month for one in year.trains)


def test_a_january_train_freezes_days_of_the_december_before_it(load: Load) -> None:
    year = lay_year(
        load(STANDARD), date(2025, 1, 1), cadence=CADENCE,
        feature_lead=14 * DAY, code_lead=7 * DAY, needs=HOUR,
    )  # fmt: skip
    # 3 January 2026 is a Saturday: its features are frozen from 20, its code from 27 December.
    assert [one.name for one in year.neighbours] == ["major of 2026-01"]
    december = [day.day for day in year.feature_frozen if day.month == 12 and day.day > 6]
    assert december == list(range(20, 32))
    assert [day.day for day in year.code_frozen if day.day > 6 and day.month == 12] == [
        27, 28, 29, 30, 31,
    ]  # fmt: skip


def test_a_slot_of_december_that_ends_in_january_freezes_days_of_both(load: Load) -> None:
    calendar = load("""
timezone: America/New_York
windows:
  turn: {dates: [2026-12-30], start: "22:00", end: "06:00", end_day: 3}
  later: {dates: [2027-02-06], start: "02:00", end: "04:00"}
""")
    year = lay_year(
        calendar, date(2027, 1, 1), cadence=CADENCE, feature_lead=DAY, code_lead=DAY, needs=HOUR
    )
    assert [one.name for one in year.neighbours] == ["minor of 2026-12"]
    assert year.feature_frozen[:3] == (date(2027, 1, 1), date(2027, 1, 2), date(2027, 2, 5))


def test_an_overlap_with_a_train_of_the_next_year_is_told(load: Load) -> None:
    year = lay_year(
        load(STANDARD), date(2026, 1, 1), cadence=CADENCE,
        feature_lead=35 * DAY, code_lead=7 * DAY, needs=HOUR,
    )  # fmt: skip
    assert ("minor of 2026-12", "major of 2027-01") in year.overlaps
    assert all("2026" in one + other for one, other in year.overlaps)


@pytest.mark.parametrize("first", [date(1800, 1, 1), date(2199, 12, 1)])
def test_the_calendars_first_and_last_years_can_be_laid(load: Load, first: date) -> None:
    year = lay_year(
        load(STANDARD), first, cadence=CADENCE,
        feature_lead=90 * DAY, code_lead=7 * DAY, needs=HOUR,
    )  # fmt: skip
    assert len(year.trains) == 12
