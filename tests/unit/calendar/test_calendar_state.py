"""What the calendar answers about an instant, a range and a piece of work."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from include.calendar import Blackout, BlackoutException, ChangeCalendar, Extension, Span
from include.errors import RequestError
from tests.unit.calendar.conftest import STANDARD, Load

MINUTE = timedelta(minutes=1)

FREEZE = """
blackouts:
  cut:
    start: 2026-11-28T03:00
    end: 2026-11-28T03:30
    reason: Billing run
"""
REHEARSAL = """
timezone: America/New_York
windows:
  rehearsal:
    rrule: FREQ=DAILY
    start: "00:00"
    end: "00:00"
    every: 2m
    open_for: 1m45s
    cutoff: 5s
"""


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_an_open_state_says_until_when_and_how_late_work_may_start(
    standard: ChangeCalendar,
) -> None:
    state = standard.state(utc("2026-11-28T07:30:00"))
    assert state.open
    assert state.windows == ("standard",)
    assert state.reasons == ()
    assert state.next_transition == state.closes == utc("2026-11-28T09:00:00")
    assert state.latest_start == utc("2026-11-28T08:40:00")


def test_after_the_cutoff_the_window_is_open_and_nothing_more_starts(
    standard: ChangeCalendar,
) -> None:
    state = standard.state(utc("2026-11-28T08:40:01"))
    assert state.open
    assert [reason.code for reason in state.reasons] == ["cutoff"]
    opening = standard.next(needs=MINUTE, not_before=utc("2026-11-28T08:40:00"))
    assert opening is not None
    assert opening.start == utc("2026-11-28T08:40:00")
    opening = standard.next(needs=MINUTE, not_before=utc("2026-11-28T08:40:01"))
    assert opening is not None
    assert opening.start == utc("2026-12-05T07:00:00")


def test_a_closed_state_names_the_reason_and_the_next_opening(standard: ChangeCalendar) -> None:
    state = standard.state(utc("2026-11-25T00:00:00"))
    assert not state.open
    assert (state.closes, state.latest_start, state.windows) == (None, None, ())
    [reason] = state.reasons
    assert reason.code == "outside_window"
    assert "Sat 28 Nov 2026 02:00 EST" in reason.message


def test_a_blackout_cuts_a_slot_and_each_piece_is_an_opening(load: Load) -> None:
    calendar = load(STANDARD + FREEZE)
    [slot] = calendar.slots(utc("2026-11-28T00:00:00"), utc("2026-11-29T00:00:00"))
    assert (slot.start, slot.end) == (utc("2026-11-28T07:00:00"), utc("2026-11-28T09:00:00"))
    assert slot.open == (
        (utc("2026-11-28T07:00:00"), utc("2026-11-28T08:00:00")),
        (utc("2026-11-28T08:30:00"), utc("2026-11-28T09:00:00")),
    )
    assert slot.state == "cut"
    assert [reason.code for reason in slot.reasons] == ["blackout"]
    first = calendar.next(needs=10 * MINUTE, not_before=utc("2026-11-28T07:05:00"))
    assert first is not None
    assert (first.start, first.latest_start, first.end) == (
        utc("2026-11-28T07:05:00"), utc("2026-11-28T07:40:00"), utc("2026-11-28T08:00:00"),
    )  # fmt: skip
    second = calendar.next(needs=10 * MINUTE, not_before=utc("2026-11-28T07:41:00"))
    assert second is not None
    assert second.start == utc("2026-11-28T08:30:00")
    too_long = calendar.next(needs=65 * MINUTE, not_before=utc("2026-11-28T07:00:00"))
    assert too_long is not None
    assert too_long.start == utc("2026-12-05T07:00:00")


def test_a_state_in_a_blackout_names_both_it_and_the_window_it_closes(load: Load) -> None:
    state = load(STANDARD + FREEZE).state(utc("2026-11-28T08:00:00"))
    assert not state.open
    assert state.windows == ("standard",)
    [reason] = state.reasons
    assert reason.code == "blackout"
    assert "Billing run" in reason.message
    assert state.next_transition == utc("2026-11-28T08:30:00")


def test_work_longer_than_any_window_fits_nowhere(standard: ChangeCalendar) -> None:
    needs = timedelta(hours=2, seconds=1)
    assert standard.next(needs=needs, not_before=utc("2026-11-25T00:00:00")) is None
    exact = standard.next(needs=timedelta(hours=2), not_before=utc("2026-11-25T00:00:00"))
    assert exact is not None
    assert exact.latest_start == exact.start


def test_a_slot_that_only_touches_the_range_is_not_in_it(standard: ChangeCalendar) -> None:
    start, end = utc("2026-11-28T07:00:00"), utc("2026-11-28T09:00:00")
    instant = timedelta(microseconds=1)
    assert standard.slots(end, end + MINUTE) == []
    assert standard.slots(start - MINUTE, start) == []
    assert len(standard.slots(start - MINUTE, start + instant)) == 1
    [slot] = standard.slots(end - instant, end + MINUTE)
    assert (slot.start, slot.end) == (start, end)
    assert standard.slots(start, start) == []


def test_several_systems_are_open_where_each_of_them_is(load: Load) -> None:
    calendar = load("""
timezone: UTC
windows:
  api: {rrule: FREQ=WEEKLY;BYDAY=SA, start: "02:00", end: "06:00", systems: [api], cutoff: 10m}
  db: {rrule: FREQ=WEEKLY;BYDAY=SA, start: "04:00", end: "08:00", systems: [db], cutoff: 30m}
blackouts:
  batch: {start: 2026-11-28T05:00, end: 2026-11-28T05:15, systems: [db], reason: Batch}
""")
    both = ["db", "api", "api"]
    slots = calendar.slots(utc("2026-11-28T00:00:00"), utc("2026-11-29T00:00:00"), systems=both)
    pieces = (
        (utc("2026-11-28T04:00:00"), utc("2026-11-28T05:00:00")),
        (utc("2026-11-28T05:15:00"), utc("2026-11-28T06:00:00")),
    )
    assert [(slot.window, slot.open) for slot in slots] == [("api", pieces), ("db", pieces)]
    assert "no window of db is open" in [reason.message for reason in slots[0].reasons]
    opening = calendar.next(needs=MINUTE, not_before=utc("2026-11-28T00:00:00"), systems=both)
    assert opening is not None
    assert opening.latest_start == utc("2026-11-28T04:30:00")
    assert not calendar.state(utc("2026-11-28T03:00:00"), systems=both).open
    assert calendar.state(utc("2026-11-28T03:00:00"), systems=["api"]).open
    assert not calendar.state(utc("2026-11-28T05:10:00"), systems=both).open
    assert calendar.state(utc("2026-11-28T05:10:00"), systems=["api"]).open


def test_without_systems_only_what_concerns_all_of_them_counts(load: Load) -> None:
    calendar = load(STANDARD.replace("cutoff: 20m", "cutoff: 20m\n    systems: [api]"))
    assert not calendar.state(utc("2026-11-28T07:30:00")).open
    assert calendar.state(utc("2026-11-28T07:30:00"), systems=["api"]).open
    denied = load(STANDARD + FREEZE.replace("reason:", "systems: [api]\n    reason:"))
    assert denied.state(utc("2026-11-28T08:10:00")).open
    assert not denied.state(utc("2026-11-28T08:10:00"), systems=["api"]).open
    assert denied.state(utc("2026-11-28T08:10:00"), systems=["db"]).open


def test_a_blackout_of_another_environment_does_not_close_production(load: Load) -> None:
    calendar = load(STANDARD + FREEZE.replace("reason:", "environments: [staging]\n    reason:"))
    at = utc("2026-11-28T08:10:00")
    assert calendar.state(at).open
    assert not calendar.state(at, environment="staging").open


def test_a_window_is_found_by_its_name_and_by_every_alias(standard: ChangeCalendar) -> None:
    assert standard.window("saturday  2-4 am").name == "standard"
    with pytest.raises(RequestError, match='did you mean "standard"'):
        standard.window("standart")


def test_a_search_can_be_limited_to_one_window(load: Load) -> None:
    calendar = load(
        STANDARD
        + """
  midweek: {rrule: FREQ=WEEKLY;BYDAY=WE, start: "02:00", end: "03:00"}
"""
    )
    at = utc("2026-11-22T00:00:00")
    found = calendar.next(needs=MINUTE, not_before=at)
    limited = calendar.next(needs=MINUTE, not_before=at, window="Saturday 2-4 AM")
    assert found is not None
    assert limited is not None
    assert (found.window, limited.window) == ("midweek", "standard")


def test_a_rehearsal_window_opens_every_two_minutes_for_a_minute_and_three_quarters(
    load: Load,
) -> None:
    calendar = load(REHEARSAL)
    begin = utc("2026-11-01T04:00:00")  # midnight in New York, before a day of 25 hours
    slots = calendar.slots(begin, begin + timedelta(hours=25))
    assert len(slots) == 25 * 30
    assert {slot.end - slot.start for slot in slots} == {timedelta(seconds=105)}
    assert {b.start - a.start for a, b in pairwise(slots)} == {timedelta(minutes=2)}
    state = calendar.state(begin + timedelta(seconds=50))
    assert state.latest_start == begin + timedelta(seconds=100)
    assert not calendar.state(begin + timedelta(seconds=105)).open
    opening = calendar.next(needs=MINUTE, not_before=begin + timedelta(seconds=50))
    assert opening is not None
    assert opening.start == begin + timedelta(minutes=2)


def test_a_whole_day_from_midnight_to_midnight_is_one_day_in_every_length(load: Load) -> None:
    calendar = load("""
timezone: America/New_York
windows: {daily: {rrule: FREQ=DAILY, start: "00:00", end: "00:00"}}
""")
    slots = calendar.slots(utc("2026-01-01T05:00:00"), utc("2027-01-01T05:00:00"))
    assert len(slots) == 365
    assert all(a.end == b.start for a, b in pairwise(slots))
    lengths = [slot.end - slot.start for slot in slots]
    assert (min(lengths), max(lengths)) == (timedelta(hours=23), timedelta(hours=25))
    assert calendar.state(utc("2026-06-01T12:00:00")).next_transition is None


def test_a_day_that_a_zone_skipped_does_not_open_the_next_one_twice(load: Load) -> None:
    """Samoa had no 30 December 2011; its hours, moved to the 31st, find those of the 31st."""
    calendar = load("""
timezone: Pacific/Apia
windows: {daily: {rrule: FREQ=DAILY, start: "00:00", end: "20:00"}}
""")
    begin, end = utc("2011-12-28T11:00:00"), utc("2012-01-01T12:00:00")
    assert [slot.local for slot in calendar.slots(begin, end)] == [
        "Wed 28 Dec 2011 00:00–20:00 UTC-10",
        "Thu 29 Dec 2011 00:00–20:00 UTC-10",
        "Sat 31 Dec 2011 00:00–20:00 UTC+14",
        "Sun 1 Jan 2012 00:00–20:00 UTC+14",
        "Mon 2 Jan 2012 00:00–20:00 UTC+14",
    ]
    # What is asked for does not change what a slot is.
    for hour in range(96):
        at = begin + timedelta(hours=hour)
        assert {slot.local for slot in calendar.slots(at, at + MINUTE)} <= {
            slot.local for slot in calendar.slots(begin, end)
        }


def test_an_extension_opens_production_for_the_change_it_was_granted_to_alone(load: Load) -> None:
    calendar = load(STANDARD + "  extended: {kind: extended, longest: 8h, cutoff: 30m}\n")
    start = utc("2026-11-28T07:00:00")
    longer = calendar.including(extensions=[
        Extension(window="extended", change="CHG-1", start=start, end=start + timedelta(hours=6))
    ])  # fmt: skip
    at = start + timedelta(hours=4)
    assert longer.state(at, change="CHG-1").open
    assert not longer.state(at, change="CHG-2").open
    assert not longer.state(at).open
    opening = longer.next(needs=timedelta(hours=5), not_before=start, change="CHG-1")
    assert opening is not None
    assert (opening.window, opening.start) == ("extended", start)
    assert opening.latest_start == start + timedelta(hours=1)
    assert calendar.digest != longer.digest


@pytest.mark.parametrize(
    ("window", "hours", "said"),
    [
        ("extended", 9, "9h is longer"),
        ("standard", 1, "kind standard"),
        ("extended", 0, "ends before"),
    ],
)
def test_an_extension_keeps_to_what_its_window_allows(
    load: Load, window: str, hours: int, said: str
) -> None:
    calendar = load(STANDARD + "  extended: {kind: extended, longest: 8h}\n")
    start = utc("2026-11-28T07:00:00")
    end = start + timedelta(hours=hours)
    with pytest.raises(RequestError, match=said):
        calendar.including(
            extensions=[Extension(window=window, change="CHG-1", start=start, end=end)]
        )


def test_an_emergency_needs_no_window_but_never_passes_a_hard_blackout(load: Load) -> None:
    calendar = load(
        STANDARD
        + "  emergency: {kind: emergency}\n"
        + """
blackouts:
  soft: {start: 2026-11-25T00:00, end: 2026-11-26T00:00, reason: Demo day, hard: false}
  hard: {start: 2026-12-19T00:00, end: 2027-01-04T00:00, reason: Year-end}
"""
    )
    state = calendar.state(utc("2026-11-25T12:00:00"), incident="INC-1")
    assert state.open
    assert state.windows == ("emergency",)
    assert state.closes == state.next_transition == utc("2026-12-19T05:00:00")
    shut = calendar.state(utc("2026-12-24T12:00:00"), incident="INC-1")
    assert not shut.open
    assert shut.next_transition == utc("2027-01-04T05:00:00")
    assert [reason.code for reason in shut.reasons] == ["blackout"]
    assert not calendar.state(utc("2026-11-25T12:00:00")).open


def test_an_emergency_is_no_way_in_where_the_calendar_declares_none(
    standard: ChangeCalendar,
) -> None:
    state = standard.state(utc("2026-11-25T12:00:00"), incident="INC-1")
    assert not state.open
    assert [reason.code for reason in state.reasons] == ["no_emergency_window"]


def test_a_freeze_entered_elsewhere_closes_the_window_it_covers(standard: ChangeCalendar) -> None:
    at = utc("2026-11-28T07:30:00")
    frozen = standard.including(blackouts=[
        Blackout(name="INC-7", kind="freeze", reason="P1 open", systems=frozenset({"api"}),
                 span=Span(at, at + timedelta(hours=1)))
    ])  # fmt: skip
    assert not frozen.state(at, systems=["api"]).open
    assert [reason.code for reason in frozen.state(at, systems=["api"]).reasons] == ["freeze"]
    assert frozen.state(at, systems=["db"]).open
    assert frozen.digest != standard.digest
    assert standard.state(at, systems=["api"]).open


def test_an_exception_lifts_a_blackout_for_its_systems_its_changes_and_its_time() -> None:
    span = Span(utc("2026-12-19T00:00:00"), utc("2027-01-04T00:00:00"))
    lifted = Span(utc("2026-12-20T00:00:00"), utc("2026-12-21T00:00:00"))
    blackout = Blackout(
        name="year-end",
        reason="Year-end",
        span=span,
        exceptions=(
            BlackoutException(
                owner="cfo", reason="Tax patch", control="Two people watch", start=lifted.start,
                end=lifted.end, systems=frozenset({"billing"}), changes=frozenset({"CHG-1"}),
            ),
        ),
    )  # fmt: skip
    around = [Span(span.start, lifted.start), Span(lifted.end, span.end)]
    assert blackout.holds(span, system="billing", change="CHG-1") == around
    assert blackout.holds(span, system="billing", change="CHG-2") == [span]
    assert blackout.holds(span, system="billing", change=None) == [span]
    assert blackout.holds(span, system="api", change="CHG-1") == [span]


def test_an_exception_for_one_of_two_systems_opens_neither(load: Load) -> None:
    calendar = load(
        STANDARD
        + """
blackouts:
  year-end:
    start: 2026-12-19T00:00
    end: 2027-01-04T00:00
    reason: Year-end
    exceptions:
      - {owner: cfo, reason: Tax, control: Watch, end: 2026-12-27T00:00, systems: [billing]}
"""
    )
    at = utc("2026-12-26T07:30:00")
    assert calendar.state(at, systems=["billing"]).open
    assert not calendar.state(at, systems=["billing", "api"]).open
    assert not calendar.state(at + timedelta(weeks=1), systems=["billing"]).open


def test_the_digest_changes_with_the_meaning_and_not_with_the_layout(load: Load) -> None:
    plain = load(STANDARD + FREEZE)
    assert len(plain.digest) == 64
    assert load("# A comment.\n" + STANDARD + FREEZE).digest == plain.digest
    assert load(
        STANDARD + FREEZE.replace("reason: Billing run", 'reason: "Billing run"')
    ).digest == (plain.digest)
    for old, new in [("03:30", "03:31"), ("Billing run", "Run"), ("20m", "21m"), ("SA", "SU")]:
        assert load((STANDARD + FREEZE).replace(old, new)).digest != plain.digest


@pytest.mark.parametrize(
    "at",
    [datetime(2026, 11, 28, 2, 30), datetime(1500, 1, 1, tzinfo=UTC)],  # noqa: DTZ001
)
def test_an_instant_without_a_zone_or_out_of_all_time_is_refused(
    standard: ChangeCalendar, at: datetime
) -> None:
    for ask in (
        lambda: standard.state(at),
        lambda: standard.slots(at, at),
        lambda: standard.next(needs=MINUTE, not_before=at),
    ):
        with pytest.raises(RequestError):
            ask()


def test_work_longer_than_a_window_ever_stays_open_is_answered_at_once(load: Load) -> None:
    """Walking through its openings one by one would take years of them."""
    blinking = load(
        """
timezone: UTC
windows:
  blinking: {rrule: FREQ=DAILY, start: "00:00", end: "00:00", every: 2s, open_for: 1s}
"""
    )
    at = utc("2026-11-28T07:00:00")
    assert blinking.next(needs=timedelta(minutes=5), not_before=at) is None
    found = blinking.next(needs=timedelta(seconds=1), not_before=at + timedelta(seconds=1))
    assert found is not None
    assert found.start == at + timedelta(seconds=2)
