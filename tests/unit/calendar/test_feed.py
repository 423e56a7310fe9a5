"""The feed, read back by icalendar, which knows nothing of ours."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import icalendar
import pytest

from include.calendar import ChangeCalendar, Span
from include.calendar.feed import FeedEntry, calendar_feed
from tests.unit.calendar.conftest import STANDARD, Load

STAMP = datetime(2026, 1, 1, tzinfo=UTC)
BEGIN, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 3, 1, tzinfo=UTC)
MIXED = (
    STANDARD
    + """
  night: {rrule: FREQ=WEEKLY;BYDAY=SU, start: "01:15", end: "01:45", systems: [night]}
  far: {rrule: FREQ=DAILY, start: "01:50", end: "02:20", timezone: Australia/Lord_Howe,
        systems: [far]}
blackouts:
  year-end: {start: 2026-12-19T00:00, end: 2027-01-04T00:00, reason: "Year-end; reporting, closing"}
  clinic: {rrule: "FREQ=WEEKLY;BYDAY=SA", start: "03:30", end: "05:00", reason: Clinic}
  utc: {start: 2026-11-01T06:30Z, end: 2026-11-01T06:45Z, reason: Ends in the second hour}
holidays: {country: US, policy: warn}
"""
)


def read(calendar: ChangeCalendar, **more: object) -> tuple[str, icalendar.Calendar]:
    text = calendar_feed(calendar, BEGIN, END, stamp=STAMP, **more)  # type: ignore[arg-type]
    return text, icalendar.Calendar.from_ical(text)


def spans(parsed: icalendar.Calendar, category: str) -> dict[str, tuple[datetime, datetime]]:
    return {
        str(event["UID"]): (event["DTSTART"].dt, event["DTEND"].dt)
        for event in parsed.walk("VEVENT")
        if event["CATEGORIES"].to_ical().decode() == category
    }


def test_every_slot_comes_back_at_the_very_instants_it_has(load: Load) -> None:
    calendar = load(MIXED)
    _, parsed = read(calendar)
    expected = {
        (slot.start, slot.end) for slot in calendar.slots(BEGIN, END, systems=["night", "far"])
    }
    found = {
        (start.astimezone(UTC), end.astimezone(UTC))
        for start, end in spans(parsed, "WINDOW").values()
    }
    assert found == expected
    assert len(expected) > 500


def test_every_blackout_comes_back_at_its_instants(load: Load) -> None:
    _, parsed = read(load(MIXED))
    found = spans(parsed, "BLACKOUT")
    start, end = found["blackout-year-end@release-control"]
    assert start.astimezone(UTC) == datetime(2026, 12, 19, 5, tzinfo=UTC)
    assert end.astimezone(UTC) == datetime(2027, 1, 4, 5, tzinfo=UTC)
    assert found["blackout-utc@release-control"] == (
        datetime(2026, 11, 1, 6, 30, tzinfo=UTC),
        datetime(2026, 11, 1, 6, 45, tzinfo=UTC),
    )
    assert "blackout-clinic-20261128@release-control" in found


def test_the_time_zones_of_the_feed_tell_the_offsets_without_help(load: Load) -> None:
    """Read the VTIMEZONEs themselves, as a reader must that knows no zone names."""
    _, parsed = read(load(MIXED))
    zones = {str(zone["TZID"]): zone for zone in parsed.walk("VTIMEZONE")}
    assert set(zones) == {"America/New_York", "Australia/Lord_Howe"}
    for name, zone in zones.items():
        changes = sorted(
            (part["DTSTART"].dt - part["TZOFFSETFROM"].td, part["TZOFFSETTO"].td)
            for part in zone.subcomponents
        )
        at = BEGIN
        while at < END:
            told = [offset for since, offset in changes if since <= at.replace(tzinfo=None)][-1]
            assert told == at.astimezone(ZoneInfo(name)).utcoffset(), at
            at += timedelta(hours=1)


def test_uids_are_unique_and_the_same_in_every_reading(load: Load) -> None:
    calendar = load(MIXED)
    _, parsed = read(calendar)
    uids = [str(event["UID"]) for event in parsed.walk("VEVENT")]
    assert len(uids) == len(set(uids))
    later = calendar_feed(calendar, BEGIN + timedelta(days=90), END, stamp=END)
    again = {str(event["UID"]) for event in icalendar.Calendar.from_ical(later).walk("VEVENT")}
    assert again < set(uids)


def test_a_blocked_slot_is_cancelled_and_a_cut_one_says_what_is_left(load: Load) -> None:
    _, parsed = read(load(MIXED))
    events = {str(event["UID"]): event for event in parsed.walk("VEVENT")}
    blocked = events["window-standard-20261226@release-control"]
    assert (blocked["STATUS"], blocked["SUMMARY"]) == (
        "CANCELLED", "Change window standard – blocked",
    )  # fmt: skip
    cut = events["window-standard-20261128@release-control"]
    assert "Open only Sat 28 Nov 2026 02:00–03:30 EST." in cut["DESCRIPTION"]


def test_a_feed_for_one_system_holds_only_its_windows(load: Load) -> None:
    calendar = load(MIXED)
    _, parsed = read(calendar, systems=("night",))
    names = {uid.split("-")[1] for uid in spans(parsed, "WINDOW")}
    assert names == {"standard", "night"}
    _, whole = read(calendar)
    titles = {str(event["SUMMARY"]) for event in whole.walk("VEVENT")}
    assert {"Change window standard", "Change window night (night)"} <= titles


def test_holidays_are_whole_days(load: Load) -> None:
    _, parsed = read(load(MIXED))
    found = spans(parsed, "HOLIDAY")
    assert found["holiday-20260704@release-control"] == (date(2026, 7, 4), date(2026, 7, 5))
    assert "holiday-20260703@release-control" in found


@pytest.mark.parametrize(
    "title",
    [
        "Release 2.4.0; api, db",
        "Back\\slash and\nnew line\r\nand more",
        "München: " + "ü" * 200,
        "BEGIN:VEVENT\r\nUID:forged",
        "\x07 bell",
        "rub\x7fbed out",
    ],
)
def test_text_of_releases_and_changes_comes_back_as_it_was(
    standard: ChangeCalendar, title: str
) -> None:
    span = Span(datetime(2026, 11, 28, 7, tzinfo=UTC), datetime(2026, 11, 28, 8, tzinfo=UTC))
    entry = FeedEntry(uid="release/hims@2.4.0", category="RELEASE", title=title, span=span)
    text, parsed = read(standard, entries=[entry])
    [event] = [item for item in parsed.walk("VEVENT") if "RELEASE" in str(item["CATEGORIES"].cats)]
    plain = title.replace("\r\n", "\n").replace("\x07", "").replace("\x7f", "")
    assert str(event["SUMMARY"]) == plain
    assert str(event["UID"]) == "release%2Fhims%402.4.0@release-control"
    assert event["DTSTART"].dt == span.start
    assert max(len(line) for line in text.encode().split(b"\r\n")) <= 75
    assert "\n" not in text.replace("\r\n", "")


def test_a_window_that_opens_every_two_minutes_is_one_event_a_day(load: Load) -> None:
    calendar = load("""
timezone: America/New_York
windows:
  rehearsal: {rrule: FREQ=DAILY, start: "00:00", end: "00:00", every: 2m, open_for: 1m45s}
""")
    _, parsed = read(calendar)
    assert len(spans(parsed, "WINDOW")) == 425
    [first, *_] = parsed.walk("VEVENT")
    assert first["DESCRIPTION"] == "Opens every 2m for 1m45s."
