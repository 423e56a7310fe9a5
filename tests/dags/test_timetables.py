"""When runs begin: at every opening of a window, and before each release of the cadence."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pendulum
import pytest
import time_machine
from airflow.exceptions import AirflowTimetableInvalid
from airflow.serialization.decoders import decode_timetable
from airflow.serialization.encoders import encode_timetable
from airflow.timetables.base import DagRunInfo, TimeRestriction, Timetable

from include.calendar import read_calendar
from include.calendar.cadence import lay_year
from include.errors import ConfigError
from include.releases.policy import read_policy
from include.settings import ROOT
from release_control.timetables.change_window import ChangeWindowTimetable
from release_control.timetables.release_cadence import ReleaseCadenceTimetable

STANDARD = """
timezone: America/New_York
windows:
  standard:
    rrule: FREQ=WEEKLY;BYDAY=SA
    start: "02:00"
    end: "04:00"
"""


def windows(text: str = STANDARD) -> ChangeWindowTimetable:
    return ChangeWindowTimetable("calendar.yaml", text=text)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def runs(
    timetable: Timetable, start: str, end: str | None = None, *, catchup: bool = True
) -> Iterator[DagRunInfo]:
    """Yield the runs as the scheduler would make them, one after the other."""
    restriction = TimeRestriction(
        pendulum.instance(utc(start)), pendulum.instance(utc(end)) if end else None, catchup
    )
    last = None
    while True:
        info = timetable.next_dagrun_info(
            last_automated_data_interval=last, restriction=restriction
        )
        if info is None:
            return
        last = info.data_interval
        yield info


def test_every_opening_until_2050_has_its_run_on_time_and_120_minutes() -> None:
    found = list(runs(windows(), "2026-01-01T00:00Z", "2050-01-01T00:00Z"))
    assert len(found) == 1252  # the Saturdays of those 24 years
    zone = read_calendar(STANDARD, name="x").zone
    for info in found:
        local = info.run_after.astimezone(zone)
        assert (local.weekday(), local.hour, local.minute) == (5, 2, 0)
        assert info.data_interval.start == info.run_after
        assert info.data_interval.end - info.data_interval.start == timedelta(hours=2)


def test_on_nights_that_change_the_clocks_it_opens_and_once() -> None:
    text = STANDARD.replace("FREQ=WEEKLY;BYDAY=SA", "FREQ=DAILY").replace("04:00", "03:00")
    spring = list(runs(windows(text), "2027-03-13T00:00-05:00", "2027-03-16T00:00-04:00"))
    assert [(str(info.run_after), str(info.data_interval.end)) for info in spring] == [
        ("2027-03-13 07:00:00+00:00", "2027-03-13 08:00:00+00:00"),
        ("2027-03-14 07:00:00+00:00", "2027-03-14 08:00:00+00:00"),  # 03:00 EDT: 02:00 is skipped
        ("2027-03-15 06:00:00+00:00", "2027-03-15 07:00:00+00:00"),
    ]
    text = text.replace("02:00", "01:00").replace("03:00", "02:00")
    autumn = list(runs(windows(text), "2027-11-06T00:00-04:00", "2027-11-08T23:00-05:00"))
    assert [str(info.run_after) for info in autumn] == [
        "2027-11-06 05:00:00+00:00",
        "2027-11-07 05:00:00+00:00",  # the first of two 01:00
        "2027-11-08 06:00:00+00:00",
    ]


@pytest.mark.parametrize(
    "extra",
    [
        "",
        "  other:\n    rrule: FREQ=MONTHLY;BYDAY=2SU\n    start: '22:00'\n    end: '03:00'\n",
        "  more:\n    rrule: FREQ=DAILY\n    start: '05:00'\n    end: '06:00'\n"
        "    every: 20m\n    open_for: 7m\n    systems: [reports]\n",
    ],
)
def test_runs_are_the_slots_that_the_calendar_lists(extra: str) -> None:
    text = (
        STANDARD
        + extra
        + (
            "blackouts:\n"
            "  whole: {start: 2027-02-06T00:00, end: 2027-02-21T00:00, reason: x}\n"
            "  part: {start: 2027-03-06T00:00, end: 2027-03-06T03:00, reason: x}\n"
            "  some: {start: 2027-04-01T00:00, end: 2027-04-20T00:00, systems: [api], reason: x}\n"
        )
    )
    begin, end = utc("2027-01-01T00:00Z"), utc("2027-06-01T00:00Z")
    found = [
        (info.run_after, info.data_interval.start, info.data_interval.end)
        for info in runs(windows(text), begin.isoformat(), end.isoformat())
    ]
    calendar = read_calendar(text, name="x")
    expected: dict[datetime, tuple[datetime, datetime]] = {}
    for systems in ([], ["reports"]):
        for slot in calendar.slots(begin, end, systems=systems):
            if slot.open and begin <= slot.open[0].start:
                opens, ends = expected.get(slot.start, (slot.open[0].start, slot.end))
                expected[slot.start] = min(opens, slot.open[0].start), max(ends, slot.end)
    assert found == sorted((opens, start, ends) for start, (opens, ends) in expected.items())


def test_windows_that_open_together_have_one_run() -> None:
    text = (
        "timezone: UTC\nwindows:\n"
        "  a: {rrule: FREQ=DAILY, start: '02:00', end: '03:00', systems: [a]}\n"
        "  b: {rrule: FREQ=DAILY, start: '02:00', end: '05:00', systems: [b]}\n"
    )
    (info,) = runs(windows(text), "2027-01-01T00:00Z", "2027-01-01T23:00Z")
    assert info.data_interval.end == utc("2027-01-01T05:00Z")


def test_a_window_that_an_exception_keeps_open_for_one_change_has_its_run() -> None:
    text = STANDARD + (
        "blackouts:\n  year-end:\n    start: 2026-12-19T00:00\n    end: 2027-01-04T00:00\n"
        "    reason: x\n    exceptions:\n"
        "    - {owner: o, reason: r, control: c, end: 2026-12-26T12:00, changes: [CHG-000007]}\n"
    )
    found = [
        f"{info.run_after:%m-%d}"
        for info in runs(windows(text), "2026-12-13T00:00Z", "2027-01-12T00:00Z")
    ]
    assert found == ["12-19", "12-26", "01-09"]


def next_run(timetable: Timetable, now: str, last: Any = None) -> DagRunInfo | None:
    with time_machine.travel(utc(now), tick=False):
        return timetable.next_dagrun_info(
            last_automated_data_interval=last,
            restriction=TimeRestriction(pendulum.datetime(2026, 1, 1), None, catchup=False),
        )


def test_without_catchup_an_opening_that_was_slept_through_is_made_up_for_while_it_is_open() -> (
    None
):
    late = next_run(windows(), "2026-11-28T07:40Z")
    assert late is not None
    assert late.run_after == utc("2026-11-28T07:00Z")
    over = next_run(windows(), "2026-11-28T09:00Z")
    assert over is not None
    assert over.run_after == utc("2026-12-05T07:00Z")
    again = next_run(windows(), "2026-11-28T07:41Z", late.data_interval)
    assert again is not None
    assert again.run_after == utc("2026-12-05T07:00Z")


def test_a_run_by_hand_is_about_the_window_that_is_open_or_the_next() -> None:
    inside = windows().infer_manual_data_interval(run_after=pendulum.datetime(2026, 11, 28, 8))
    before = windows().infer_manual_data_interval(run_after=pendulum.datetime(2026, 11, 24, 8))
    assert inside == before
    assert (inside.start, inside.end) == (utc("2026-11-28T07:00Z"), utc("2026-11-28T09:00Z"))


HELD_BACK = """
timezone: America/New_York
windows:
  a: {rrule: FREQ=DAILY, start: "02:00", end: "06:00", systems: [a]}
  b: {rrule: FREQ=DAILY, start: "03:00", end: "04:00", systems: [b]}
blackouts:
  x: {start: 2026-12-05T00:00, end: 2026-12-05T05:00, systems: [a], reason: why}
"""


@pytest.mark.parametrize("catchup", [True, False])
def test_a_slot_that_a_blackout_holds_back_does_not_hold_back_the_others(catchup: bool) -> None:
    begun = {"catchup": catchup, "start": "2026-12-05T00:00Z", "end": "2026-12-06T08:00Z"}
    with time_machine.travel(utc("2026-12-05T00:00Z"), tick=False) as clock:
        found = []
        for info in runs(windows(HELD_BACK), **begun):
            found.append(info)
            # The scheduler asks for the next run once this one has begun.
            clock.move_to(info.run_after)
    assert [(f"{info.run_after:%dT%H}", f"{info.data_interval.start:%dT%H}") for info in found] == [
        ("05T08", "05T08"),
        ("05T10", "05T07"),  # a's, once the blackout is over
        ("06T07", "06T07"),
        ("06T08", "06T08"),
    ]


def test_the_run_of_slots_that_start_together_is_not_made_again_once_one_of_them_is_over() -> None:
    more = '  c: {rrule: FREQ=DAILY, start: "02:30", end: "03:30", systems: [c]}\nblackouts:'
    text = HELD_BACK.replace('"03:00"', '"02:00"').replace("blackouts:", more)
    found = []
    last = None
    for now in ("2026-12-05T07:00Z", "2026-12-05T07:30Z", "2026-12-05T09:30Z"):
        info = next_run(windows(text), now, last)
        assert info is not None
        found.append(f"{info.run_after:%dT%H:%M}")
        last = info.data_interval
    # At 09:30 b is over and a, which started with it, has still to open.
    assert found == ["05T07:00", "05T07:30", "06T07:00"]


@pytest.mark.parametrize(
    ("at", "start"),
    [
        ("2026-12-05T07:30Z", "2026-12-05T08:00Z"),  # a is closed until 10:00, b opens sooner
        ("2026-12-05T08:30Z", "2026-12-05T08:00Z"),
        ("2026-12-05T09:00Z", "2026-12-05T07:00Z"),
        ("2026-12-05T10:30Z", "2026-12-05T07:00Z"),
        ("2026-12-06T08:30Z", "2026-12-06T07:00Z"),  # both are open
    ],
)
def test_a_run_by_hand_is_not_about_a_window_that_is_closed_while_another_is_open(
    at: str, start: str
) -> None:
    found = windows(HELD_BACK).infer_manual_data_interval(run_after=pendulum.instance(utc(at)))
    assert found.start == utc(start)


@pytest.mark.parametrize("text", ["windows: [", "timezone: EST\nwindows: {}", "", "\x00"])
def test_a_calendar_that_cannot_be_used_opens_nothing(text: str) -> None:
    with pytest.raises(ConfigError):
        list(runs(windows(text), "2026-01-01T00:00Z"))


def test_a_calendar_that_is_not_there_is_an_import_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HIMS_CONFIG", str(tmp_path))
    with pytest.raises(AirflowTimetableInvalid, match=r"calendar\.yaml cannot be read"):
        ChangeWindowTimetable()


def test_a_calendar_without_openings_ahead_has_no_runs() -> None:
    text = "timezone: UTC\nwindows:\n  once: {dates: [2026-12-05], start: '02:00', end: '03:00'}\n"
    assert len(list(runs(windows(text), "2026-01-01T00:00Z"))) == 1
    assert next_run(windows(text), "2027-01-01T00:00Z") is None


@pytest.mark.parametrize("timetable", [windows(), ReleaseCadenceTimetable()])
def test_it_survives_the_metadata_database(timetable: Timetable) -> None:
    again = decode_timetable(encode_timetable(timetable))
    assert type(again) is type(timetable)
    assert again == timetable
    found = [list(zip(range(20), runs(item, "2026-01-01T00:00Z"), strict=False))
             for item in (timetable, again)]  # fmt: skip
    assert found[0] == found[1]


def test_the_cadence_plans_each_train_a_week_before_its_feature_freeze() -> None:
    calendar = read_calendar((ROOT / "config/calendar.yaml").read_text(), name="x")
    policy = read_policy((ROOT / "config/releases.yaml").read_text(), name="x")
    year = lay_year(
        calendar,
        utc("2027-01-01T12:00Z").date(),
        cadence={str(kind): str(word) for kind, word in policy.cadence.items()},
        feature_lead=policy.leads.feature_freeze,
        code_lead=policy.leads.code_freeze,
        needs=timedelta(hours=1),
    )
    expected = [
        (train.dates.feature_freeze, train.dates.slot.end)
        for train in year.trains
        if train.dates is not None
    ]
    every = runs(ReleaseCadenceTimetable(), "2026-12-01T00:00Z", "2028-01-01T00:00Z")
    found = [info for info in every if info.data_interval.end < utc("2028-01-01T00:00Z")]
    spans = [(info.data_interval.start, info.data_interval.end) for info in found]
    assert spans == expected
    assert len(expected) == 12
    for info in found:
        wall = info.data_interval.start.astimezone(calendar.zone).replace(tzinfo=None)
        due = info.run_after.astimezone(calendar.zone).replace(tzinfo=None)
        assert wall - due == timedelta(days=7)


def test_a_train_whose_freeze_has_begun_is_not_planned_any_more() -> None:
    first = next_run(ReleaseCadenceTimetable(), "2027-02-10T00:00Z")
    assert first is not None
    begun = first.data_interval.start
    late = next_run(ReleaseCadenceTimetable(), (begun - timedelta(hours=1)).isoformat())
    assert late is not None
    assert late.data_interval == first.data_interval
    over = next_run(ReleaseCadenceTimetable(), begun.isoformat())
    assert over is not None
    assert over.data_interval.start > begun
