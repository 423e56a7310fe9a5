"""Rules on dates, against dateutil walked from DTSTART and against asking every date."""

from __future__ import annotations

import re
import time
from datetime import date, datetime, timedelta

import pytest
from dateutil.rrule import rrulestr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from include.calendar.recurrence import written_dates
from include.calendar.rrule import parse_rrule
from include.errors import RequestError
from tests.unit.calendar.minute_oracle import DAYS, dates_of

_days = st.lists(st.sampled_from(DAYS), min_size=1, max_size=3, unique=True).map(",".join)
_nth_days = st.builds(
    "{}{}".format, st.sampled_from(["1", "2", "3", "4", "-1", "-2", ""]), st.sampled_from(DAYS)
)
_months = st.lists(st.integers(1, 12).map(str), min_size=1, max_size=3, unique=True).map(",".join)
# With 29 to 31 some months would have none, and dateutil looks for those until the year 9999.
_monthdays = st.lists(
    (st.integers(1, 28) | st.integers(-28, -1)).map(str), min_size=1, max_size=3, unique=True
).map(",".join)


@st.composite
def simple_rules(draw: st.DrawFn) -> str:
    freq = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    parts = [f"FREQ={freq}"]
    if draw(st.booleans()):
        parts.append(f"INTERVAL={draw(st.integers(1, 5))}")
    if freq == "WEEKLY":
        parts.append(f"BYDAY={draw(_days)}")
        if draw(st.booleans()):
            parts.append(f"WKST={draw(st.sampled_from(DAYS))}")
    if freq == "MONTHLY":
        by_day = draw(st.booleans())
        parts.append(f"BYDAY={draw(_nth_days)}" if by_day else f"BYMONTHDAY={draw(_monthdays)}")
    if freq == "YEARLY":
        parts += [f"BYMONTH={draw(_months)}", f"BYMONTHDAY={draw(_monthdays)}"]
    # Every second month and one certain month may never meet.
    elif draw(st.integers(0, 3)) == 0 and not (freq == "MONTHLY" and "INTERVAL" in parts[-2]):
        parts.append(f"BYMONTH={draw(_months)}")
    ending = draw(st.sampled_from(["", "", "COUNT", "UNTIL"]))
    if ending == "COUNT":
        parts.append(f"COUNT={draw(st.integers(1, 400))}")
    if ending == "UNTIL":
        parts.append(f"UNTIL={draw(st.dates(date(2021, 1, 1), date(2030, 1, 1))):%Y%m%d}")
    return ";".join(parts)


_starts = st.dates(date(2015, 1, 1), date(2022, 12, 31))


@settings(max_examples=150, deadline=None)
@given(simple_rules(), _starts, st.dates(date(2014, 1, 1), date(2029, 1, 1)), st.integers(0, 900))
def test_a_rule_gives_the_dates_that_belong_to_it_when_each_is_asked(
    rule: str, first: date, begin: date, length: int
) -> None:
    end = begin + timedelta(days=length)
    until = re.search(r"UNTIL=(\d{8})", rule)
    # Within three years each of these happens; a rule that ends before is refused.
    assume(until is None or until[1] > f"{first + timedelta(days=5 * 366):%Y%m%d}")
    expected = dates_of(rule, first, max(begin, first), end + timedelta(days=1))
    assert tuple(parse_rrule(rule, first=first).between(begin, end)) == expected


@settings(max_examples=150, deadline=None)
@given(
    simple_rules() | st.sampled_from([
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
        "FREQ=MONTHLY;INTERVAL=2;BYDAY=SA,SU;BYSETPOS=2,-1",
        "FREQ=YEARLY;BYDAY=20SA",
        "FREQ=YEARLY;BYYEARDAY=1,100,-1",
        "FREQ=YEARLY;INTERVAL=3;BYDAY=SA;BYMONTH=11",
        "FREQ=YEARLY;BYWEEKNO=20;BYDAY=SA",
        "FREQ=YEARLY;BYWEEKNO=1,53,-1;BYDAY=MO,SU;WKST=SU",
        "FREQ=YEARLY;BYDAY=-1SU,2MO",
        "FREQ=WEEKLY;BYDAY=FR,SA,SU;BYMONTH=12,1",
        "FREQ=YEARLY;BYDAY=SA;BYSETPOS=1,-1",
        "FREQ=DAILY;INTERVAL=3;BYDAY=SA,SU",
        "FREQ=WEEKLY;INTERVAL=2",
        "FREQ=MONTHLY",
        "FREQ=YEARLY",
        "FREQ=YEARLY;BYMONTH=3",
    ]),
    _starts,
    st.dates(date(2020, 1, 1), date(2031, 1, 1)),
)  # fmt: skip
def test_a_rule_gives_what_dateutil_gives_when_it_walks_from_the_first_date(
    rule: str, first: date, begin: date
) -> None:
    start = datetime.combine(first, datetime.min.time())
    low = datetime.combine(begin, datetime.min.time())
    assume("UNTIL" not in rule)
    walked = rrulestr(rule, dtstart=start)
    expected = [at.date() for at in walked.between(low, low + timedelta(days=700), inc=True)]
    found = parse_rrule(rule, first=first).between(begin, begin + timedelta(days=700))
    assert list(found) == expected


def test_dates_two_hundred_years_ahead_cost_what_those_of_this_year_cost() -> None:
    rule = parse_rrule("FREQ=WEEKLY;INTERVAL=2;BYDAY=SA", first=date(2020, 1, 4))
    begun = time.perf_counter()
    found = list(rule.between(date(2199, 1, 1), date(2199, 3, 1)))
    assert time.perf_counter() - begun < 0.05
    assert all((day - date(2020, 1, 4)).days % 14 == 0 for day in found)
    assert len(found) in {4, 5}


def test_the_bound_until_is_exclusive_and_the_part_of_the_rule_inclusive() -> None:
    rule = "FREQ=WEEKLY;BYDAY=SA"
    bounded = parse_rrule(rule, first=date(2026, 11, 1), until=date(2026, 11, 21))
    assert list(bounded.between(date(2026, 1, 1), date(2027, 1, 1))) == [
        date(2026, 11, 7), date(2026, 11, 14),
    ]  # fmt: skip
    within = parse_rrule(rule + ";UNTIL=20261121", first=date(2026, 11, 1))
    assert list(within.between(date(2026, 1, 1), date(2027, 1, 1)))[-1] == date(2026, 11, 21)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("", "is not an RRULE"),
        ("every saturday", "is not KEY=VALUE"),
        ("BYDAY=SA", "FREQ is missing"),
        ("FREQ=WEEKLI;BYDAY=SA", 'did you mean "WEEKLY"'),
        ("FREQ=HOURLY", "`every` with `open_for`"),
        ("FREQ=WEEKLY;BYDAY=SAT", "is not a weekday"),
        ("FREQ=WEEKLY;BYDAY=2SA", "nth weekday"),
        ("FREQ=MONTHLY;BYDAY=6SA", "at most 5"),
        ("FREQ=MONTHLY;BYDAY=0SA", "at most 5"),
        ("FREQ=WEEKLY", "which day of the week"),
        ("FREQ=MONTHLY", "which day of the month"),
        ("FREQ=WEEKLY;BYDAY=SA;BYDAY=SU", "given twice"),
        ("FREQ=WEEKLY;BYDAY=SA;BYHOUR=2", "`start` and `end`"),
        ("FREQ=WEEKLY;BYDAI=SA", 'did you mean "BYDAY"'),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=SA", "give it as `from`"),
        ("FREQ=WEEKLY;COUNT=2;BYDAY=SA", "give it as `from`"),
        ("FREQ=WEEKLY;INTERVAL=0;BYDAY=SA", "INTERVAL=0"),
        ("FREQ=WEEKLY;INTERVAL=-1;BYDAY=SA", "INTERVAL=-1"),
        ("FREQ=WEEKLY;BYDAY=SA;UNTIL=20270101T000000Z", "write UNTIL=20271231"),
        ("FREQ=WEEKLY;BYDAY=SA;UNTIL=20270231", "is not a date"),
        ("FREQ=WEEKLY;BYDAY=SA;COUNT=3;UNTIL=20270101", "exclude each other"),
        ("FREQ=WEEKLY;BYMONTHDAY=3", "does not go with"),
        ("FREQ=MONTHLY;BYWEEKNO=3;BYDAY=SA", "only with FREQ=YEARLY"),
        ("FREQ=YEARLY;BYWEEKNO=3", "add BYDAY"),
        ("FREQ=YEARLY;BYMONTH=13;BYMONTHDAY=1", "is not 1 to 12"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "is not 1 to 31"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "never happens"),
        ("DTSTART:20260101\nRRULE:FREQ=DAILY", "is not an RRULE"),
        ("FREQ=DAILY;BYSETPOS=1", "add one"),
    ],
)
def test_a_rule_that_says_something_else_than_dates_is_refused_with_the_remedy(
    rule: str, said: str
) -> None:
    with pytest.raises(RequestError) as caught:
        parse_rrule(rule)
    assert said in str(caught.value)


def test_a_rule_whose_bounds_leave_nothing_is_refused() -> None:
    with pytest.raises(RequestError, match="never happens"):
        parse_rrule("FREQ=WEEKLY;BYDAY=SA", first=date(2026, 12, 1), until=date(2026, 12, 4))
    with pytest.raises(RequestError, match="never happens"):
        written_dates([date(2026, 12, 5)], first=date(2027, 1, 1), until=None)


def test_written_dates_come_in_order_and_none_twice() -> None:
    days = [date(2026, 12, 12), date(2026, 12, 5)]
    found = written_dates(days, first=None, until=None)
    assert list(found.between(date.min, date.max)) == sorted(days)
    with pytest.raises(RequestError, match="2026-12-05 is given twice"):
        written_dates([*days, date(2026, 12, 5)], first=None, until=None)


def test_a_leap_day_on_a_saturday_is_found_across_the_skipped_leap_day_of_2100() -> None:
    rule = parse_rrule("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=SA")
    assert list(rule.between(date(2070, 1, 1), date(2130, 1, 1))) == [
        date(2076, 2, 29),
        date(2116, 2, 29),
    ]
