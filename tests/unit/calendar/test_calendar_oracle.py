"""Random calendars in odd zones, against an oracle that looks at every minute.

HIMS_LONG=1 runs many more of them.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, assume, given, reject, settings
from hypothesis import strategies as st

from include.calendar import ChangeCalendar, load_calendar, read_calendar
from include.errors import ConfigError
from include.instants import format_duration
from tests.unit.calendar.minute_oracle import (
    DAYS,
    MINUTE,
    Hours,
    Minutes,
    dates_of,
    either,
    every,
    minutes_of,
    without,
)

LONG = os.environ.get("HIMS_LONG") == "1"
pytestmark = pytest.mark.timeout(6 * 3600 if LONG else 300)
# Zones with an hour, half an hour, two hours or a whole day of transition, at 02:00 or at midnight.
PLACES = [
    ("America/New_York", 2026),
    ("Europe/London", 2026),
    ("Australia/Lord_Howe", 2026),
    ("Asia/Kathmandu", 1985),
    ("America/Sao_Paulo", 2018),
    ("Pacific/Apia", 2011),
    ("Antarctica/Troll", 2026),
]
MORE_PLACES = [
    ("Pacific/Kwajalein", 1993),
    ("Africa/Casablanca", 2026),
    ("America/Nuuk", 2023),
    ("Europe/Dublin", 2027),
    ("Asia/Tehran", 2022),
    ("America/New_York", 2049),
]
SYSTEMS = ["hims-api", "hims-db"]
_odd_times = st.builds(time, st.integers(0, 23), st.integers(0, 59))
# Where transitions happen, and on the hour, more often than chance would have it.
_times = _odd_times | st.sampled_from([time(h, m) for h in (0, 1, 2, 3, 4, 23) for m in (0, 30)])
_scopes = st.sampled_from([("*",), ("*",), (SYSTEMS[0],), (SYSTEMS[1],)])


@dataclass(frozen=True)
class Item:
    """One window or blackout: what the file says, and what the oracle reads in it."""

    entry: dict[str, Any]
    systems: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    cutoff: int = 0
    # Of a window: its hours, and the spans that they have on the wall too.
    hours: Hours | None = None
    written: tuple[tuple[int, int], ...] = ()

    def concerns(self, system: str) -> bool:
        return "*" in self.systems or system in self.systems


@st.composite
def rules(draw: st.DrawFn, year: int) -> tuple[str, date | None]:
    days = ",".join(draw(st.lists(st.sampled_from(DAYS), min_size=1, max_size=3, unique=True)))
    nth = draw(st.sampled_from(["1", "2", "3", "-1"]))
    rule = draw(
        st.sampled_from(
            [
                "FREQ=DAILY",
                f"FREQ=WEEKLY;BYDAY={days}",
                f"FREQ=WEEKLY;BYDAY={days};WKST=SU",
                f"FREQ=MONTHLY;BYDAY={nth}SA",
                f"FREQ=MONTHLY;BYDAY={days};BYMONTH=3,10,11",
                f"FREQ=MONTHLY;BYMONTHDAY=1,15,{nth}",
                f"FREQ=YEARLY;BYMONTH=4,12;BYMONTHDAY=30,{nth}",
            ]
        )
    )
    first = None
    if draw(st.booleans()):
        first = date(year - 2, 1, 1) + timedelta(days=draw(st.integers(0, 900)))
        rule += draw(st.sampled_from(["", ";INTERVAL=2", ";INTERVAL=3"]))
        rule += draw(st.sampled_from(["", ";COUNT=200", f";UNTIL={year}0901"]))
    return rule, first


@st.composite
def date_lists(draw: st.DrawFn, minutes: Minutes) -> tuple[date, ...]:
    """Return dates, mostly those of transitions and the days beside them."""
    begin = minutes.begin.date()
    anywhere = st.builds(begin.__add__, st.builds(timedelta, st.integers(10, 400)))
    odd = sorted({wall.date() for wall in minutes.odd}) or [begin + timedelta(days=40)]
    near = st.builds(date.__add__, st.sampled_from(odd), st.builds(timedelta, st.integers(-1, 1)))
    days = draw(st.lists(near | near | anywhere, min_size=1, max_size=12, unique=True))
    return tuple(sorted(day for day in days if day > begin + timedelta(days=3)))


@st.composite
def recurring(draw: st.DrawFn, minutes: Minutes, *, window: bool) -> Item:
    times = _times
    if minutes.odd:
        times |= st.sampled_from([wall.time() for wall in minutes.odd])
    start, end = draw(times), draw(times)
    days = 0 if end > start else 1
    shift = draw(st.booleans())
    systems = draw(_scopes)
    entry: dict[str, Any] = {
        "start": start.isoformat("minutes"),
        "end": end.isoformat("minutes"),
        "systems": list(systems),
        "dst_gap": "shift" if shift else "skip",
    }
    first = None
    if draw(st.booleans()):
        dates = draw(date_lists(minutes))
        entry["dates"] = list(dates)
    else:
        rule, first = draw(rules(minutes.begin.year))
        dates = dates_of(
            rule, first, minutes.begin.date() + timedelta(days=3), minutes.at(minutes.count).date()
        )
        entry["rrule"] = rule
    # A rule that never happens, or not any more, is refused at load; that has its own tests.
    assume(dates)
    if first is not None:
        entry["from"] = first
    length = (end.hour * 60 + end.minute) - (start.hour * 60 + start.minute) + days * 1440
    cutoff = draw(st.sampled_from([0, 1, 20, 45])) if window else 0
    if cutoff >= length:
        cutoff = 0
    if window:
        entry["cutoff"] = format_duration(cutoff * MINUTE)
    else:
        entry["reason"] = "because"
    hours = Hours(dates, start, end, days, shift)
    written = tuple(minutes.spans(hours, swallowed=False))
    return Item(entry, systems, tuple(minutes.spans(hours)), cutoff, hours, written)


@st.composite
def once(draw: st.DrawFn, minutes: Minutes, windows: list[Item]) -> Item:
    """Return a one-off blackout, given in wall time or in UTC, mostly across a window's edge."""
    systems = draw(_scopes)
    edges = [edge for window in windows for span in window.spans for edge in span]
    beside = st.builds(int.__add__, st.sampled_from(edges or [minutes.first]), st.integers(-90, 90))
    start = draw(beside | beside | st.integers(0, minutes.last))
    start = min(max(start, 3 * 24 * 60), minutes.last)
    length = draw(st.integers(1, 90) | st.integers(1, 60 * 24 * 30))
    entry: dict[str, Any] = {"reason": "because", "systems": list(systems)}
    if draw(st.booleans()):
        first, last = minutes.at(start), minutes.at(start + length)
        entry |= {"start": first.isoformat(), "end": last.isoformat()}
        return Item(entry, systems, ((start, start + length),))
    opens = minutes.at(start).replace(tzinfo=None)
    closes = opens + length * MINUTE
    entry |= {"start": opens.isoformat("T", "minutes"), "end": closes.isoformat("T", "minutes")}
    first_minute, last_minute = minutes.resolve(opens), minutes.resolve(closes)
    if first_minute == last_minute:
        last_minute = first_minute + length
    return Item(entry, systems, ((first_minute, last_minute),))


@dataclass(frozen=True, repr=False)
class Case:
    minutes: Minutes
    windows: list[Item]
    blackouts: list[Item]
    systems: tuple[str, ...]
    calendar: ChangeCalendar

    def __repr__(self) -> str:
        text = _yaml(str(self.minutes.zone), self.windows, self.blackouts)
        return f"Case(systems={self.systems}):\n{text}"

    @property
    def tracks(self) -> tuple[str, ...]:
        return self.systems or ("*",)

    def expected(self) -> bytearray:
        """Return for every minute whether production is open."""
        count = self.minutes.count
        lines = []
        for system in self.tracks:
            allowed, denied = (
                either([self.minutes.paint(list(x.spans)) for x in xs if x.concerns(system)], count)
                for xs in (self.windows, self.blackouts)
            )
            lines.append(without(allowed, denied))
        return every(lines)


def _yaml(zone: str, windows: list[Item], blackouts: list[Item]) -> str:
    return yaml.safe_dump(
        {
            "timezone": zone,
            "windows": {f"w{index}": item.entry for index, item in enumerate(windows)},
            "blackouts": {f"b{index}": item.entry for index, item in enumerate(blackouts)},
        }
    )


def _overlapping(windows: list[set[tuple[int, int]]]) -> bool:
    spans = sorted((*span, index) for index, item in enumerate(windows) for span in item)
    return any(a[1] > b[0] and a[2] != b[2] for a, b in pairwise(spans))


def _may_overlap(windows: list[Item]) -> bool:
    """Whether two windows that share a system share a time of day: hours of one zone must."""
    return any(
        one.concerns(system)
        and other.concerns(system)
        and one.hours is not None
        and other.hours is not None
        and one.hours.minutes_of_day & other.hours.minutes_of_day
        for one, other in combinations(windows, 2)
        for system in ("*", *SYSTEMS)
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    zone, year = draw(st.sampled_from(PLACES + MORE_PLACES if LONG else PLACES))
    minutes = minutes_of(zone, year)
    windows = draw(st.lists(recurring(minutes, window=True), min_size=1, max_size=3))
    denied = once(minutes, windows) | recurring(minutes, window=False)
    blackouts = draw(st.lists(denied, max_size=5))
    systems = draw(st.sampled_from([(), (SYSTEMS[0],), tuple(SYSTEMS)]))
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(_yaml(zone, windows, blackouts))
        file.flush()
        try:
            calendar = load_calendar(Path(file.name))
        except ConfigError as error:
            # Windows that overlap are refused; a refusal for any other reason is a defect.
            if "overlaps" not in str(error):
                raise
            assert _may_overlap(windows), "windows that never overlap were refused"
            reject()
    for system in ("*", *SYSTEMS):
        spans = [set(window.written) for window in windows if window.concerns(system)]
        assert not _overlapping(spans), "windows that overlap were accepted"
    return Case(minutes, windows, blackouts, systems, calendar)


def _property() -> settings:
    return settings(
        max_examples=2000 if LONG else 50,
        deadline=None,
        derandomize=not LONG,
        # Shrinking a calendar takes minutes; the long run has them.
        phases=list(Phase) if LONG else [Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


@_property()
@given(cases())
def test_the_slots_of_a_calendar_open_exactly_the_minutes_that_the_oracle_opens(case: Case) -> None:
    minutes = case.minutes
    slots = case.calendar.slots(
        minutes.at(minutes.first), minutes.at(minutes.last), systems=case.systems
    )
    opened = [
        (minutes.index(part.start), minutes.index(part.end)) for slot in slots for part in slot.open
    ]
    inside = slice(minutes.first, minutes.last)
    ours, theirs = minutes.paint(opened)[inside], case.expected()[inside]
    wrong = (
        [
            minutes.at(minutes.first + index)
            for index, (our, their) in enumerate(zip(ours, theirs, strict=True))
            if our != their
        ]
        if ours != theirs
        else []
    )
    assert wrong == []
    assert [slot.start for slot in slots] == sorted(slot.start for slot in slots)
    for slot in slots:
        assert all(slot.start <= a < b <= slot.end for a, b in slot.open)


@_property()
@given(cases(), st.data())
def test_the_state_at_any_minute_and_its_next_transition_are_those_of_the_oracle(
    case: Case, data: st.DataObject
) -> None:
    minutes, line = case.minutes, case.expected()
    inside = range(minutes.first, minutes.last)
    edges = sorted({edge for item in case.windows for span in item.spans for edge in span})
    edges = [edge for edge in edges if minutes.first < edge < minutes.last - 1]
    near = st.builds(int.__add__, st.sampled_from(edges or [inside.start]), st.integers(-1, 1))
    anywhere = st.integers(inside.start, inside.stop - 1)
    for index in data.draw(st.lists(near | anywhere, min_size=8, max_size=8)):
        state = case.calendar.state(minutes.at(index), systems=case.systems)
        assert state.open == bool(line[index]), minutes.at(index)
        assert state.open or state.reasons
        denied = any(
            start <= index < end
            for item in case.blackouts
            if any(item.concerns(system) for system in case.tracks)
            for start, end in item.spans
        )
        assert denied == any(reason.code == "blackout" for reason in state.reasons)
        following = line.find(1 - line[index], index)
        if 0 <= following < minutes.last:
            assert state.next_transition == minutes.at(following)
        elif state.next_transition is not None:
            assert state.next_transition >= minutes.at(minutes.last)


@_property()
@given(cases(), st.data())
def test_the_next_opening_is_the_first_minute_at_which_the_oracle_could_start(
    case: Case, data: st.DataObject
) -> None:
    assume(len(case.systems) < 2)  # one system: each opening has one window and one cutoff
    minutes = case.minutes
    line = case.expected()
    for _ in range(4):
        first = data.draw(st.integers(minutes.first, minutes.last))
        needs = data.draw(st.sampled_from([1, 5, 30, 55, 120, 600]))
        found = case.calendar.next(
            needs=needs * MINUTE, not_before=minutes.at(first), systems=case.systems
        )
        expected = _first_start(case, line, first, needs)
        if expected is None:
            assert found is None or found.end >= minutes.at(minutes.last)
            continue
        start, latest, end = (minutes.at(index) for index in expected)
        assert found is not None
        assert (found.start, found.latest_start, found.end) == (start, latest, end)


def _first_start(
    case: Case, line: bytearray, first: int, needs: int
) -> tuple[int, int, int] | None:
    """Walk minute by minute until work of `needs` minutes could start."""
    spans = [
        (start, min(end, following), item.cutoff)
        for item in case.windows
        if item.concerns(case.tracks[0])
        for (start, end), (following, _) in pairwise((*item.spans, (10**9, 10**9)))
    ]
    index = first
    while (index := line.find(1, index, case.minutes.last)) >= 0:
        fits = []
        ends = []
        # Beside each other lie hours of one window and what a transition has shifted into them.
        for _, end, cutoff in (span for span in spans if span[0] <= index < span[1]):
            closes = line.find(0, index, end)
            closes = end if closes < 0 else closes
            ends.append(closes)
            latest = closes - max(cutoff, needs)
            if index <= latest:
                fits.append((index, latest, closes))
        if fits:
            # Beyond the last minutes the oracle knows nothing.
            best = max(fits, key=lambda fit: fit[2])
            return best if best[2] < case.minutes.last else None
        # Later starts have less time left, until another span begins.
        index = min([*ends, *(start for start, _, _ in spans if start > index)])
    return None


@st.composite
def seldom(draw: st.DrawFn) -> tuple[str, dict[str, Any], tuple[date, ...], datetime]:
    """Return a zone, a window that opens once in years, its dates, and an instant before them."""
    zone = draw(st.sampled_from(PLACES))[0]
    at = datetime(draw(st.integers(1990, 2180)), 3, 1, 12, 30, tzinfo=UTC)
    if draw(st.booleans()):
        days = st.dates(at.date(), date(2200, 12, 20))
        found = tuple(sorted(draw(st.lists(days, min_size=1, max_size=2, unique=True))))
        return zone, {"dates": list(found)}, found, at
    month, number = draw(st.sampled_from([(2, 29), (2, 29), (3, 31), (11, 1), (12, 25)]))
    rule = f"FREQ=YEARLY;BYMONTH={month};BYMONTHDAY={number};BYDAY={draw(st.sampled_from(DAYS))}"
    first = None
    if draw(st.booleans()):
        first = date(draw(st.integers(1980, 2190)), 1, 1)
        rule += f";INTERVAL={draw(st.sampled_from([1, 3, 7, 30]))}"
    entry: dict[str, Any] = {"rrule": rule, **({"from": first} if first else {})}
    if draw(st.booleans()):
        entry["until"] = date(draw(st.integers(at.year, 2200)), 7, 1)
    end = min(entry.get("until", date.max), date(2201, 1, 1))
    return zone, entry, dates_of(rule, first, at.date(), end), at


@settings(_property(), max_examples=500 if LONG else 25)
@given(seldom(), _times, _times, st.sampled_from([1, 55, 120, 150]))
def test_an_opening_that_comes_once_in_a_generation_is_found(
    case: tuple[str, dict[str, Any], tuple[date, ...], datetime],
    start: time,
    end: time,
    needs: int,
) -> None:
    zone, entry, dates, at = case
    assume(start < end)
    expected = None
    for day in dates:
        minutes = Minutes(zone, datetime.combine(day, time(), UTC) - timedelta(days=2), 5)
        for opens, closes in minutes.spans(Hours((day,), start, end, 0)):
            first = max(minutes.at(opens), at)
            if expected is None and minutes.at(closes) - first >= needs * MINUTE:
                expected = first
        if expected is not None:
            break
    entry |= {"start": start.isoformat("minutes"), "end": end.isoformat("minutes")}
    text = yaml.safe_dump({"timezone": zone, "windows": {"seldom": entry}})
    try:
        calendar = read_calendar(text, name="seldom.yaml")
    except ConfigError as error:
        # What is refused opens nothing.
        said = str(error)
        assert "never happens" in said or "is not after from" in said
        assert not dates
        return
    found = calendar.next(needs=needs * MINUTE, not_before=at)
    assert (None if found is None else found.start) == expected
    if needs == 1 and not calendar.state(at).open:
        assert calendar.state(at).next_transition == expected


def test_saturday_at_two_in_new_york_is_open_once_and_for_two_hours_every_week_until_2050() -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(
            "timezone: America/New_York\nwindows:\n  standard:\n"
            '    rrule: FREQ=WEEKLY;BYDAY=SA\n    start: "02:00"\n    end: "04:00"\n'
        )
        file.flush()
        calendar = load_calendar(Path(file.name))
    begin, end = datetime(2025, 1, 1, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)
    slots = calendar.slots(begin, end)
    saturdays = [
        date(2025, 1, 4) + timedelta(weeks=week)
        for week in range(1400)
        if date(2025, 1, 4) + timedelta(weeks=week) < date(2050, 1, 1)
    ]
    assert [slot.start.astimezone(calendar.zone).date() for slot in slots] == saturdays
    for slot in slots:
        local = slot.start.astimezone(calendar.zone)
        assert (local.weekday(), local.hour, local.minute) == (5, 2, 0)
        assert slot.end - slot.start == timedelta(minutes=120)
        assert slot.open == ((slot.start, slot.end),)
