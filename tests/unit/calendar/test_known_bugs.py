"""Each test is a way in which a release tool in use today gets time wrong, and ours must not.

Spinnaker (orca, keel), Argo CD, Octopus Deploy, Shipit, GitLab and ServiceNow are the tools meant.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from include.calendar import ChangeCalendar
from include.errors import ConfigError
from tests.unit.calendar.conftest import Load

NEW_YORK = ZoneInfo("America/New_York")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(text: str, zone: ZoneInfo = NEW_YORK, *, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold)


def _window(start: str, end: str, rrule: str = "FREQ=WEEKLY;BYDAY=SU", more: str = "") -> str:
    return (
        f"timezone: America/New_York\nwindows:\n  night:\n    rrule: {rrule}\n"
        f'    start: "{start}"\n    end: "{end}"\n{more}'
    )


def test_the_end_minute_is_not_part_of_the_window(standard: ChangeCalendar) -> None:
    """orca is open until 04:00:59."""
    assert standard.state(local("2026-11-28T03:59:59")).open
    assert not standard.state(local("2026-11-28T04:00:00")).open
    assert not standard.state(local("2026-11-28T04:00:59")).open


def test_the_end_hour_is_not_part_of_the_window(standard: ChangeCalendar) -> None:
    """keel's `hours: 2-4` is open until 04:59:59."""
    assert not standard.state(local("2026-11-28T04:30:00")).open


def test_the_next_opening_is_announced_for_its_own_day(standard: ChangeCalendar) -> None:
    """orca, asked on Wednesday for Saturday, announces Sunday."""
    for day in range(22, 28):
        at = local(f"2026-11-{day}T12:00:00")
        opening = standard.next(needs=timedelta(minutes=55), not_before=at)
        assert opening is not None
        assert opening.start == utc("2026-11-28T07:00:00")
        assert standard.state(at).next_transition == utc("2026-11-28T07:00:00")


def test_a_window_across_midnight_belongs_to_the_evening_on_which_it_opens(load: Load) -> None:
    """orca splits Friday 22:00–02:00 into two pieces of Friday; Shipit cannot cross midnight."""
    calendar = load(_window("22:00", "02:00", "FREQ=WEEKLY;BYDAY=FR"))
    assert not calendar.state(local("2026-11-27T01:00:00")).open
    assert calendar.state(local("2026-11-27T22:00:00")).open
    assert calendar.state(local("2026-11-28T01:59:59")).open
    assert not calendar.state(local("2026-11-28T02:00:00")).open


def test_a_window_inside_the_skipped_hour_opens_after_it(load: Load) -> None:
    """orca's 02:00–02:59 does not open on that Sunday at all; nor does Argo CD's."""
    calendar = load(_window("02:00", "02:59"))
    [slot] = calendar.slots(utc("2026-03-08T00:00:00"), utc("2026-03-09T00:00:00"))
    assert slot.start == utc("2026-03-08T07:00:00")
    assert slot.end - slot.start == timedelta(minutes=59)
    assert [reason.code for reason in slot.reasons] == ["dst_gap"]
    assert calendar.state(local("2026-03-08T03:30:00")).open


def test_a_window_can_choose_to_leave_out_the_night_without_its_hour(load: Load) -> None:
    calendar = load(_window("02:00", "02:59", more="    dst_gap: skip\n"))
    assert calendar.slots(utc("2026-03-08T00:00:00"), utc("2026-03-09T00:00:00")) == []


def test_an_hour_that_happens_twice_opens_the_window_once(load: Load) -> None:
    """Argo CD's 01:00–02:00 opens a second time an hour later."""
    calendar = load(_window("01:00", "01:30"))
    [slot] = calendar.slots(utc("2026-11-01T00:00:00"), utc("2026-11-02T00:00:00"))
    assert (slot.start, slot.end) == (utc("2026-11-01T05:00:00"), utc("2026-11-01T05:30:00"))
    assert not calendar.state(local("2026-11-01T01:15:00", fold=1)).open


def test_what_was_open_at_half_past_one_was_so_whatever_the_offset_is_now(load: Load) -> None:
    """Argo CD judges 01:30 EST with the offset of 03:10 EDT and finds it was not allowed."""
    calendar = load(_window("01:00", "04:00"))
    assert calendar.state(utc("2026-03-08T06:30:00")).open  # 01:30 EST
    assert calendar.state(utc("2026-03-08T07:10:00")).open  # 03:10 EDT
    assert calendar.state(utc("2026-03-08T05:59:59")).open is False
    assert calendar.state(utc("2026-03-08T06:30:00")).closes == utc("2026-03-08T08:00:00")


@pytest.mark.parametrize("zone", ["Amerika/New_York", "EST", "UTC-5", "", "America", "posix/UTC"])
def test_a_zone_that_does_not_exist_is_an_error_and_never_utc(load: Load, zone: str) -> None:
    """Argo CD warns and goes on in UTC."""
    with pytest.raises(ConfigError, match="is not an IANA zone"):
        load(_window("02:00", "04:00").replace("America/New_York", f'"{zone}"'))


def test_a_calendar_without_a_zone_is_an_error_and_never_utc(load: Load) -> None:
    """Argo CD resets the zone to UTC when an update leaves it out."""
    with pytest.raises(ConfigError, match='"timezone" is required'):
        load(_window("02:00", "04:00").replace("timezone: America/New_York\n", ""))


def test_windows_of_one_calendar_keep_their_own_zones(load: Load) -> None:
    """orca has one zone for the whole server."""
    calendar = load(
        _window("02:00", "04:00", more="    systems: [here]\n")
        + "  sydney:\n    timezone: Australia/Sydney\n    rrule: FREQ=WEEKLY;BYDAY=SU\n"
        '    start: "02:00"\n    end: "04:00"\n    systems: [there]\n'
    )
    [here] = calendar.slots(
        utc("2026-06-06T00:00:00"), utc("2026-06-08T00:00:00"), systems=["here"]
    )
    [there] = calendar.slots(
        utc("2026-06-06T00:00:00"), utc("2026-06-08T00:00:00"), systems=["there"]
    )
    assert here.local == "Sun 7 Jun 2026 02:00–04:00 EDT"
    assert there.local == "Sun 7 Jun 2026 02:00–04:00 AEST"


def test_a_freeze_in_the_future_does_not_close_today(load: Load) -> None:
    """Octopus: a freeze that begins later blocked deployments at once."""
    calendar = load(
        _window("00:00", "00:00", "FREQ=DAILY", "blackouts:\n  later:\n    reason: later\n"
                "    start: 2026-12-19T00:00\n    end: 2027-01-04T00:00\n")
    )  # fmt: skip
    assert calendar.state(local("2026-12-18T23:59:59")).open
    assert not calendar.state(local("2026-12-19T00:00:00")).open


def test_a_freeze_on_weekdays_recurs(load: Load) -> None:
    """Octopus: a freeze that recurs on weekdays was not active."""
    calendar = load(
        _window("00:00", "00:00", "FREQ=DAILY", "blackouts:\n  clinic:\n    reason: clinic hours\n"
                "    rrule: FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR\n"
                '    start: "07:00"\n    end: "19:00"\n')
    )  # fmt: skip
    for week in range(60):
        monday = local("2026-01-05T12:00:00") + timedelta(weeks=week)
        states = [calendar.state(monday + timedelta(days=day)).open for day in range(7)]
        assert states == [False] * 5 + [True] * 2


def test_a_schedule_never_goes_back_or_stands_still_at_a_transition(load: Load) -> None:
    """Octopus: a trigger fired in a loop for up to an hour when the clocks changed."""
    calendar = load(_window("01:30", "01:45", "FREQ=DAILY"))
    at, starts = utc("2026-10-30T00:00:00"), []
    for _ in range(5):
        opening = calendar.next(needs=timedelta(minutes=1), not_before=at)
        assert opening is not None
        assert opening.start >= at
        starts.append(opening.start.astimezone(NEW_YORK).date())
        at = opening.end
    assert starts == sorted(set(starts))


def test_the_third_saturday_and_single_dates_can_be_said(load: Load) -> None:
    """Asked for in Octopus and GitLab, whose cron expressions cannot."""
    third = load(_window("02:00", "04:00", "FREQ=MONTHLY;BYDAY=3SA"))
    days = [
        slot.start.astimezone(NEW_YORK).day
        for slot in third.slots(utc("2026-01-01T05:00:00"), utc("2027-01-01T05:00:00"))
    ]
    assert len(days) == 12
    assert all(15 <= day <= 21 for day in days)
    single = load(_window("02:00", "04:00").replace(
        "rrule: FREQ=WEEKLY;BYDAY=SU", "dates: [2026-12-05, 2027-01-16]"
    ))  # fmt: skip
    slots = single.slots(utc("2026-01-01T00:00:00"), utc("2028-01-01T00:00:00"))
    assert [slot.local for slot in slots] == [
        "Sat 5 Dec 2026 02:00–04:00 EST", "Sat 16 Jan 2027 02:00–04:00 EST",
    ]  # fmt: skip


def test_a_calendar_without_windows_is_closed(load: Load) -> None:
    """Argo CD without a matching window, and ServiceNow without planned dates, are open."""
    calendar = load("timezone: America/New_York\nwindows: {}\n")
    state = calendar.state(local("2026-11-28T02:30:00"))
    assert not state.open
    assert state.next_transition is None
    assert [reason.code for reason in state.reasons] == ["outside_window"]


def test_a_weekly_window_keeps_its_wall_time_and_not_its_168_hours(
    standard: ChangeCalendar,
) -> None:
    """ServiceNow's hourly repetition drifts by an hour after a transition."""
    slots = standard.slots(utc("2026-10-30T00:00:00"), utc("2026-11-09T00:00:00"))
    assert [slot.local for slot in slots] == [
        "Sat 31 Oct 2026 02:00–04:00 EDT", "Sat 7 Nov 2026 02:00–04:00 EST",
    ]  # fmt: skip
    assert slots[1].start - slots[0].start == timedelta(hours=169)


def test_the_length_of_a_night_is_real_time(load: Load) -> None:
    """Subtracting wall times says six hours for both nights."""
    calendar = load(_window("22:00", "04:00", "FREQ=WEEKLY;BYDAY=SA"))
    lengths = [
        slot.end - slot.start
        for day in ("2026-03-07", "2026-10-31", "2026-11-07")
        for slot in calendar.slots(local(f"{day}T23:00:00"), local(f"{day}T23:01:00"))
    ]
    assert lengths == [timedelta(hours=5), timedelta(hours=7), timedelta(hours=6)]
