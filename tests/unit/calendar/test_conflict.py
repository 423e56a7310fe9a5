"""What stands against work at a time, rule by rule, and how it is explained."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from include.calendar import ChangeCalendar, Extension, Span
from include.calendar.conflict import WAIVERS, Finding, Rule, Severity, find_conflicts
from include.calendar.explanation import explain
from include.calendar.proposal import Booking, OpenIncident, Proposal, ReleaseFreeze, Surroundings
from include.errors import RequestError
from tests.unit.calendar.conftest import STANDARD, Load


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


SLOT = Span(utc("2026-11-28T07:00:00"), utc("2026-11-28T08:00:00"))
DURING = Span(utc("2026-11-28T07:30:00"), utc("2026-11-28T12:00:00"))
BEFORE = Span(utc("2026-11-28T06:00:00"), utc("2026-11-28T07:00:00"))
WORK = Proposal(id="CHG-1", span=SLOT, systems=("api",), people=frozenset({"ann"}))
CALENDAR = (
    STANDARD
    + """
  extended: {kind: extended, longest: 8h}
  emergency: {kind: emergency}
blackouts:
  year-end: {start: 2026-12-19T00:00, end: 2027-01-04T00:00, reason: Year-end}
holidays: {country: US, policy: warn, systems: {billing: block}}
"""
)


@pytest.fixture
def calendar(load: Load) -> ChangeCalendar:
    return load(CALENDAR)


def told(found: tuple[Finding, ...]) -> list[tuple[str, str, str | None]]:
    return [(item.code.value, item.severity.value, item.other) for item in found]


def at(start: str, hours: float = 1) -> Proposal:
    begin = utc(start)
    return replace(WORK, span=Span(begin, begin + timedelta(hours=hours)))


def test_work_inside_an_open_slot_with_nothing_around_it_meets_nothing(
    calendar: ChangeCalendar,
) -> None:
    assert find_conflicts(calendar, WORK, Surroundings()) == ()


def test_a_blackout_blocks_and_says_who_may_lift_it(calendar: ChangeCalendar) -> None:
    [finding] = find_conflicts(calendar, at("2026-12-26T07:00:00"))
    assert (finding.code, finding.severity, finding.other) == ("blackout", "block", "year-end")
    assert (finding.start, finding.end) == (utc("2026-12-19T05:00:00"), utc("2027-01-04T05:00:00"))
    assert finding.waiver == WAIVERS[Rule.BLACKOUT]
    assert finding.subject == "CHG-1"


@pytest.mark.parametrize(
    ("start", "hours", "codes"),
    [
        ("2026-11-28T06:59:00", 1, ["outside_window"]),
        ("2026-11-28T07:00:00", 2, []),
        ("2026-11-28T07:00:01", 2, ["outside_window", "cutoff"]),
        ("2026-11-28T09:00:00", 1, ["outside_window"]),
        ("2026-11-27T07:00:00", 1, ["outside_window"]),
        ("2026-11-28T08:41:00", 0.1, ["cutoff"]),
    ],
)
def test_work_must_lie_inside_one_slot_and_start_before_its_cutoff(
    calendar: ChangeCalendar, start: str, hours: float, codes: list[str]
) -> None:
    found = find_conflicts(calendar, replace(at(start, hours), systems=()))
    # The day after Thanksgiving is a holiday in no federal calendar, so only the windows count.
    assert [item.code.value for item in found] == codes


def test_the_way_back_must_fit_as_well(calendar: ChangeCalendar) -> None:
    fits = replace(WORK, rollback=timedelta(hours=1))
    assert find_conflicts(calendar, fits) == ()
    [finding] = find_conflicts(calendar, replace(WORK, rollback=timedelta(hours=1, seconds=1)))
    assert finding.code is Rule.CUTOFF
    assert "the latest start was Sat 28 Nov 2026 01:59:59 EST" in finding.message


def test_an_extension_is_a_slot_of_its_change(calendar: ChangeCalendar) -> None:
    long = at("2026-11-28T07:00:00", 5)
    extension = Extension(
        window="extended", change="CHG-1", start=long.span.start, end=long.span.end
    )
    longer = calendar.including(extensions=[extension])
    assert [item.code for item in find_conflicts(calendar, long)] == ["outside_window", "cutoff"]
    assert find_conflicts(longer, long) == ()
    assert find_conflicts(longer, replace(long, id="CHG-2")) != ()


def test_another_change_on_a_shared_system_blocks_and_one_beside_it_warns(
    calendar: ChangeCalendar,
) -> None:
    def around(**more: object) -> Surroundings:
        booking = Booking(id="CHG-2", span=DURING, **more)  # type: ignore[arg-type]
        return Surroundings(
            bookings=(booking,),
            dependencies={"api": frozenset({"db"}), "db": frozenset({"disk"})},
        )

    busy = find_conflicts(calendar, WORK, around(systems=("api", "db")))
    assert told(busy) == [("system_busy", "block", "CHG-2")]
    for neighbour in ("db", "disk"):
        found = find_conflicts(calendar, WORK, around(systems=(neighbour,)))
        assert told(found) == [("system_busy", "warn", "CHG-2")]
    upstream = replace(WORK, systems=("disk",))
    assert told(find_conflicts(calendar, upstream, around(systems=("api",)))) == [
        ("system_busy", "warn", "CHG-2")
    ]
    assert find_conflicts(calendar, WORK, around(systems=("mail",))) == ()
    assert told(find_conflicts(calendar, WORK, around())) == [("system_busy", "block", "CHG-2")]


def test_a_change_that_ends_when_the_work_starts_is_no_conflict_nor_is_the_work_itself(
    calendar: ChangeCalendar,
) -> None:
    bookings = (
        Booking(id="CHG-2", span=BEFORE, systems=("api",), people=frozenset({"ann"})),
        Booking(id="CHG-1", span=DURING, systems=("api",), people=frozenset({"ann"})),
    )
    assert find_conflicts(calendar, WORK, Surroundings(bookings=bookings)) == ()


def test_people_at_two_changes_are_a_warning(calendar: ChangeCalendar) -> None:
    booking = Booking(id="CHG-2", span=DURING, systems=("mail",), people=frozenset({"ann", "bob"}))
    [finding] = find_conflicts(calendar, WORK, Surroundings(bookings=(booking,)))
    assert told((finding,)) == [("people_busy", "warn", "CHG-2")]
    assert finding.message.startswith("ann is at CHG-2")


@pytest.mark.parametrize(
    ("types", "refused", "blocked"),
    [
        ({"fix"}, {"feat"}, False),
        ({"fix", "feat"}, {"feat"}, True),
        ({"fix"}, None, True),
        (set(), None, False),
        (None, {"feat"}, True),
    ],
)
def test_a_release_freeze_stops_the_types_of_commits_it_refuses(
    calendar: ChangeCalendar, types: set[str] | None, refused: set[str] | None, *, blocked: bool
) -> None:
    """Commits that nobody knows are read as the worst."""
    freeze = ReleaseFreeze(
        release="hims-2.4.0", span=DURING, systems=("api",),
        refused=None if refused is None else frozenset(refused),
    )  # fmt: skip
    work = replace(WORK, commit_types=None if types is None else frozenset(types))
    found = find_conflicts(calendar, work, Surroundings(freezes=(freeze,)))
    assert told(found) == ([("release_freeze", "block", "hims-2.4.0")] if blocked else [])


def test_an_open_p1_or_p2_blocks_all_but_the_work_that_mends_it(calendar: ChangeCalendar) -> None:
    def around(severity: str) -> Surroundings:
        incident = OpenIncident(id="INC-3", severity=severity, span=DURING, systems=("api",))
        return Surroundings(incidents=(incident,))

    for severity in ("P1", "P2"):
        assert told(find_conflicts(calendar, WORK, around(severity))) == [
            ("open_incident", "block", "INC-3")
        ]
    assert find_conflicts(calendar, WORK, around("P3")) == ()
    assert find_conflicts(calendar, replace(WORK, incident="INC-3"), around("P1")) == ()
    assert find_conflicts(calendar, replace(WORK, systems=("mail",)), around("P1")) == ()


def test_a_holiday_warns_or_blocks_as_the_system_minds(calendar: ChangeCalendar) -> None:
    fourth = at("2026-07-04T06:00:00")
    [warned] = find_conflicts(calendar, fourth)
    assert told((warned,)) == [("holiday", "warn", "Independence Day")]
    [blocked] = find_conflicts(calendar, replace(fourth, systems=("billing",)))
    assert blocked.severity is Severity.BLOCK


def test_an_emergency_needs_no_window_and_stops_at_a_hard_blackout(
    calendar: ChangeCalendar,
) -> None:
    noon = replace(at("2026-11-25T12:00:00"), incident="INC-3")
    assert find_conflicts(calendar, noon) == ()
    assert [item.code for item in find_conflicts(calendar, replace(noon, incident=None))] == [
        "outside_window"
    ]
    shut = replace(at("2026-12-24T12:00:00"), incident="INC-3")
    assert [item.code for item in find_conflicts(calendar, shut)] == ["blackout"]
    late = replace(at("2026-12-19T04:30:00"), incident="INC-3")
    assert [item.code for item in find_conflicts(calendar, late)] == ["blackout", "cutoff"]


def test_two_systems_need_a_slot_each(load: Load) -> None:
    calendar = load("""
timezone: UTC
windows:
  api: {rrule: FREQ=WEEKLY;BYDAY=SA, start: "07:00", end: "09:00", systems: [api]}
""")
    [finding] = find_conflicts(calendar, replace(WORK, systems=("api", "db")))
    assert finding.code is Rule.OUTSIDE_WINDOW
    assert "no one slot of db" in finding.message


def test_work_that_takes_no_time_is_refused(calendar: ChangeCalendar) -> None:
    with pytest.raises(RequestError, match="must end after it starts"):
        find_conflicts(calendar, replace(WORK, span=Span(SLOT.start, SLOT.start)))


def test_an_explanation_names_every_rule_and_passes_none_that_nobody_looked_at(
    calendar: ChangeCalendar,
) -> None:
    unseen = explain(calendar, WORK)
    assert [item.code for item in unseen.conditions] == [rule.value for rule in Rule]
    verdicts = {item.code: item.verdict for item in unseen.conditions}
    ledger = {"system_busy", "people_busy", "release_freeze", "open_incident"}
    assert {code for code, verdict in verdicts.items() if verdict == "unknown"} == ledger
    assert unseen.allowed
    seen = explain(calendar, WORK, Surroundings())
    assert {item.verdict for item in seen.conditions} == {"pass"}


def test_an_explanation_of_closed_work_says_who_may_waive_what(calendar: ChangeCalendar) -> None:
    told_ = explain(calendar, at("2026-12-25T12:00:00"), Surroundings())
    assert not told_.allowed
    against = {item.code: item.who for item in told_.conditions if item.verdict == "block"}
    assert against == {
        "blackout": WAIVERS[Rule.BLACKOUT],
        "outside_window": WAIVERS[Rule.OUTSIDE_WINDOW],
        "cutoff": WAIVERS[Rule.CUTOFF],
    }
    [holiday] = [item for item in told_.conditions if item.code == "holiday"]
    assert holiday.verdict == "warn"


def test_an_explanation_names_the_exception_that_lets_the_work_in(load: Load) -> None:
    calendar = load(CALENDAR.replace(
        "reason: Year-end}",
        "reason: Year-end, exceptions: [{owner: cfo, reason: Tax, control: Two people watch, "
        "end: 2026-12-27T00:00, changes: [CHG-1]}]}",
    ))  # fmt: skip
    work = at("2026-12-26T07:00:00")
    told_ = explain(calendar, work)
    assert told_.allowed
    assert told_.conditions[-1].code == "exception"
    assert "lifted by cfo (Tax); instead: Two people watch" in told_.conditions[-1].message
    assert not explain(calendar, replace(work, id="CHG-2")).allowed
