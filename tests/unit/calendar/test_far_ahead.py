"""How far ahead the calendar looks, and that it does not walk through years to say no."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import process_time

from include.calendar import ChangeCalendar
from tests.unit.calendar.conftest import STANDARD, Load

HOUR = timedelta(hours=1)
AT = datetime(2026, 11, 30, tzinfo=UTC)


def first(calendar: ChangeCalendar, needs: timedelta = HOUR, **more: str) -> str | None:
    found = calendar.next(needs=needs, not_before=AT, **more)  # type: ignore[arg-type]
    return None if found is None else found.start.isoformat()


def test_a_date_of_the_next_generation_is_ahead(load: Load) -> None:
    once = 'once: {dates: [2045-01-07], start: "02:00", end: "04:00"}'
    calendar = load(f"timezone: America/New_York\nwindows:\n  {once}\n")
    assert first(calendar) == "2045-01-07T07:00:00+00:00"
    assert calendar.state(AT).next_transition == datetime(2045, 1, 7, 7, tzinfo=UTC)


def test_a_leap_day_on_a_saturday_is_ahead_of_every_instant(load: Load) -> None:
    leap = 'rrule: FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=SA, start: "02:00", end: "04:00"'
    calendar = load(f"timezone: America/New_York\nwindows:\n  leap: {{{leap}}}\n")
    assert first(calendar) == "2048-02-29T07:00:00+00:00"


def test_a_hard_blackout_of_the_next_generation_ends_an_emergency_s_time(load: Load) -> None:
    far = "{start: 2045-01-07T00:00, end: 2045-01-09T00:00, reason: why}"
    often = '{rrule: FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=SA, start: "02:00", end: "04:00"'
    for entry, closes in (
        (far, datetime(2045, 1, 7, 5, tzinfo=UTC)),
        (f"{often}, reason: why}}", datetime(2048, 2, 29, 7, tzinfo=UTC)),
    ):
        calendar = load(
            "timezone: America/New_York\nwindows: {any: {kind: emergency}}\n"
            f"blackouts:\n  far: {entry}\n"
        )
        state = calendar.state(AT, incident="INC-000001")
        assert state.open
        assert state.closes == state.next_transition == closes
        inside = calendar.state(closes, incident="INC-000001")
        assert not inside.open


def test_what_stays_shut_as_far_as_the_calendar_sees_has_no_next_transition(load: Load) -> None:
    calendar = load(
        "timezone: UTC\nwindows: {any: {kind: emergency}}\n"
        'blackouts: {ever: {rrule: FREQ=DAILY, start: "00:00", end: "00:00", reason: why}}\n'
    )
    assert calendar.state(AT, incident="INC-000001").next_transition is None


def test_work_longer_than_the_hours_fits_only_where_clocks_go_back(load: Load) -> None:
    nightly = STANDARD.replace("FREQ=WEEKLY;BYDAY=SA", "FREQ=DAILY").replace("02:00", "01:00")
    calendar = load(nightly.replace("04:00", "03:00"))
    assert first(calendar, 2 * HOUR) == "2026-11-30T06:00:00+00:00"
    # The hour from one to two happens twice.
    assert first(calendar, 2 * HOUR + timedelta(minutes=1)) == "2027-11-07T05:00:00+00:00"
    assert first(calendar, 3 * HOUR) == "2027-11-07T05:00:00+00:00"
    assert first(calendar, 3 * HOUR + timedelta(minutes=1)) is None


def test_a_search_in_one_window_does_not_walk_through_the_others(load: Load) -> None:
    calendar = load(
        """
timezone: America/New_York
windows:
  often: {rrule: FREQ=DAILY, start: "05:00", end: "02:00", every: 2m, open_for: 1m45s}
  granted: {kind: extended, longest: 1h}
  later: {dates: [2045-01-07], start: "02:00", end: "04:00", systems: [reports]}
"""
    )
    begun = process_time()
    minute = timedelta(minutes=1)
    assert first(calendar, minute, window="granted") is None
    later = calendar.next(needs=minute, not_before=AT, systems=["reports"], window="later")
    assert later is not None
    assert later.start == datetime(2045, 1, 7, 7, tzinfo=UTC)
    assert process_time() - begun < 0.5


def test_systems_that_are_never_open_together_are_told_so_in_seconds(load: Load) -> None:
    calendar = load(
        """
timezone: America/New_York
windows:
  a: {rrule: FREQ=DAILY, start: "02:00", end: "03:00", systems: [a]}
  b: {rrule: FREQ=DAILY, start: "05:00", end: "06:00", systems: [b]}
"""
    )
    begun = process_time()
    assert calendar.next(needs=HOUR, not_before=AT, systems=["a", "b"]) is None
    assert process_time() - begun < 6
