"""Windows that may not overlap: as they are written, and told from those that cannot in no time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import process_time

import pytest

from include.errors import ConfigError
from tests.unit.calendar.conftest import Load

MINUTE = timedelta(minutes=1)


def daily(*entries: str) -> str:
    """Return a calendar with one window a day for each `ZONE HH:MM HH:MM`."""
    text = "timezone: America/New_York\nwindows:\n"
    for number, entry in enumerate(entries):
        zone, start, end = entry.split()
        hours = f'rrule: FREQ=DAILY, start: "{start}", end: "{end}", timezone: {zone}'
        text += f"  x{number}: {{{hours}}}\n"
    return text


def refused(load: Load, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(text)
    return str(caught.value)


HALF_HOURS = [f"America/New_York {hour:02}:00 {hour:02}:30" for hour in range(1, 24)]


@pytest.mark.parametrize(
    "entries",
    [
        [*HALF_HOURS, "America/New_York 00:30 01:00"],
        [*HALF_HOURS[:-1], "America/New_York 23:30 01:00"],  # past midnight
        # By New York's clocks from 06:15 or 07:15 to 12:00 or 13:00: the others are over.
        [*HALF_HOURS[:5], *(f"Asia/Kathmandu {hour}:00 {hour}:45" for hour in range(17, 23))],
    ],
)
def test_any_number_of_windows_whose_hours_never_meet_is_loaded_at_once(
    load: Load, entries: list[str]
) -> None:
    begun = process_time()
    assert len(load(daily(*entries)).windows) == len(entries)
    assert process_time() - begun < 0.25


def test_windows_of_other_dates_may_have_the_same_hours(load: Load) -> None:
    text = "timezone: America/New_York\nwindows:\n" + "".join(
        f'  d{day}: {{rrule: FREQ=MONTHLY;BYMONTHDAY={day}, start: "22:00", end: "02:00"}}\n'
        for day in range(1, 32)
    )
    begun = process_time()
    assert len(load(text).windows) == 31
    assert process_time() - begun < 1
    said = refused(load, text + '  d: {dates: [2030-05-06], start: "01:59", end: "02:30"}\n')
    assert "windows.d: overlaps windows.d5 " in said
    assert "on Mon 6 May 2030 01:59–02:00 EDT" in said


def test_windows_that_open_too_often_to_be_compared_are_refused(load: Load) -> None:
    """Where clocks change on different days, times of day do not tell whether hours meet."""
    entries = [
        entry
        for hour in range(12)
        for entry in (
            f"America/New_York {hour:02}:00 {hour:02}:30",
            f"Europe/London {hour:02}:30 {hour + 1:02}:00",
        )
    ]
    said = refused(load, daily(*entries))
    assert "windows: windows that may overlap open more than 150,000 times" in said


ADJOINING = """
timezone: America/New_York
windows:
  early: {rrule: FREQ=WEEKLY;BYDAY=SU, start: "02:00", end: "03:00", max_changes: 1}
  late: {rrule: FREQ=WEEKLY;BYDAY=SU, start: "03:00", end: "05:00", cutoff: 30m}
"""


def test_hours_that_adjoin_are_accepted_though_a_gap_shifts_them_together(load: Load) -> None:
    calendar = load(ADJOINING)
    at = datetime(2027, 3, 14, 7, tzinfo=UTC)  # 03:00 EDT: there is no hour from two to three
    closes = at + 120 * MINUTE
    slots = calendar.slots(at, closes)
    assert [(slot.window, slot.local) for slot in slots] == [
        ("early", "Sun 14 Mar 2027 03:00–04:00 EDT"),
        ("late", "Sun 14 Mar 2027 03:00–05:00 EDT"),
    ]
    state = calendar.state(at)
    assert state.windows == ("early", "late")
    assert state.closes == state.next_transition == closes
    assert state.latest_start == at + 90 * MINUTE
    found = calendar.next(needs=60 * MINUTE, not_before=at)
    assert found is not None
    assert (found.window, found.start, found.end) == ("late", at, closes)


@pytest.mark.parametrize(
    "other",
    [
        # It is swallowed at seven in UTC, when the other opens or is still to open.
        '{rrule: FREQ=YEARLY;BYMONTH=3;BYDAY=2SU, start: "07:00", end: "09:00", timezone: UTC}',
        '{rrule: FREQ=YEARLY;BYMONTH=3;BYDAY=2SU, start: "07:30", end: "09:00", timezone: UTC}',
    ],
)
def test_hours_that_a_gap_swallows_meet_nobody_who_opens_behind_it(load: Load, other: str) -> None:
    early = '{rrule: FREQ=YEARLY;BYMONTH=3;BYDAY=2SU, start: "02:00", end: "03:00"}'
    text = f"timezone: America/New_York\nwindows:\n  early: {early}\n  other: {other}\n"
    assert len(load(text).windows) == 2
    during = text.replace("07:00", "06:00").replace("07:30", "06:30")
    assert "overlaps windows.early" in refused(load, during)


@pytest.mark.parametrize(
    ("late", "when"),
    [
        # On every other night too.
        (
            'rrule: FREQ=WEEKLY;BYDAY=SU, start: "02:59", end: "05:00"',
            "31 Dec 2023 02:59–03:00 EST",
        ),
        # Both are swallowed, and were written for one time.
        ('dates: [2023-03-12], start: "02:30", end: "02:45"', "12 Mar 2023 03:00–03:15 EDT"),
        ('dates: [2023-03-12], start: "01:00", end: "04:00"', "12 Mar 2023 03:00–04:00 EDT"),
    ],
)
def test_hours_that_are_written_for_one_time_overlap(load: Load, late: str, when: str) -> None:
    text = ADJOINING.replace('rrule: FREQ=WEEKLY;BYDAY=SU, start: "03:00", end: "05:00"', late)
    assert f"on Sun {when}" in refused(load, text.replace(", cutoff: 30m", ""))
