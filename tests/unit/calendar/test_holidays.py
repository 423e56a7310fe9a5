"""Public holidays: observed days, policies per system, adjacent days."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from include.errors import ConfigError
from tests.unit.calendar.conftest import STANDARD, Load

# The fourth of July 2026 is a Saturday, so it is observed on Friday the third.
FOURTH = datetime(2026, 7, 4, 6, 30, tzinfo=UTC)
NIGHTLY = STANDARD.replace("FREQ=WEEKLY;BYDAY=SA", "FREQ=DAILY")
OBSERVED = datetime(2026, 7, 3, 6, 30, tzinfo=UTC)


def test_a_holiday_warns_beside_an_open_window(load: Load) -> None:
    state = load(STANDARD + "holidays: {country: US, policy: warn}\n").state(FOURTH)
    assert state.open
    [reason] = state.reasons
    assert reason.code == "holiday"
    assert "Independence Day, Sat 4 Jul 2026" in reason.message


def test_a_holiday_blocks_its_whole_local_day_where_that_is_the_policy(load: Load) -> None:
    calendar = load(STANDARD + "holidays: {country: US, policy: block}\n")
    state = calendar.state(FOURTH)
    assert not state.open
    assert [reason.code for reason in state.reasons] == ["holiday"]
    assert state.next_transition == datetime(2026, 7, 11, 6, tzinfo=UTC)
    [slot] = calendar.slots(FOURTH, FOURTH.replace(minute=31))
    assert slot.state == "blocked"


def test_a_holiday_means_nothing_where_it_is_ignored(load: Load) -> None:
    state = load(STANDARD + "holidays: {country: US, policy: ignore}\n").state(FOURTH)
    assert state.open
    assert state.reasons == ()


def test_the_observed_day_is_a_holiday_unless_it_is_switched_off(load: Load) -> None:
    observed = load(NIGHTLY + "holidays: {country: US, policy: block}\n")
    assert not observed.state(OBSERVED).open
    strict = load(NIGHTLY + "holidays: {country: US, policy: block, observed: false}\n")
    assert strict.state(OBSERVED).open
    assert not strict.state(FOURTH).open


def test_a_new_year_on_saturday_is_observed_in_the_old_year(load: Load) -> None:
    calendar = load(NIGHTLY + "holidays: {country: US, policy: block}\n")
    assert not calendar.state(datetime(2027, 12, 31, 7, 30, tzinfo=UTC)).open


def test_the_strictest_policy_of_the_systems_asked_about_holds(load: Load) -> None:
    calendar = load(
        STANDARD
        + "holidays: {country: US, policy: warn, systems: {billing: block, wards: ignore}}\n"
    )
    assert calendar.state(FOURTH, systems=["wards"]).reasons == ()
    assert calendar.state(FOURTH, systems=["api"]).open
    assert not calendar.state(FOURTH, systems=["billing"]).open
    assert not calendar.state(FOURTH, systems=["wards", "billing"]).open


def test_adjacent_days_count_where_they_are_asked_for(load: Load) -> None:
    text = NIGHTLY + "holidays: {country: US, policy: warn, observed: false, adjacent: 1}\n"
    messages = [
        load(text).state(FOURTH.replace(day=day)).reasons[0].message.split(",")[0]
        for day in (3, 4, 5)
    ]
    assert messages == [
        "day before Independence Day",
        "Independence Day",
        "day after Independence Day",
    ]
    assert load(text).state(FOURTH.replace(day=6)).reasons == ()


def test_a_subdivision_has_its_own_holidays(load: Load) -> None:
    patriots = datetime(2026, 4, 20, 6, 30, tzinfo=UTC)
    with_state = load(NIGHTLY + "holidays: {country: US, subdivision: MA, policy: block}\n")
    assert not with_state.state(patriots).open
    assert load(NIGHTLY + "holidays: {country: US, policy: block}\n").state(patriots).open


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{policy: warn}", '"country" is required'),
        ("{country: USA}", '"USA" is not a country code; did you mean "US"'),
        ("{country: us}", '"us" is not a country code; did you mean "US"'),
        ("{country: US, subdivision: ZZ}", '"ZZ" is not a subdivision of US'),
        ("{country: US, policy: maybe}", "holidays.policy"),
        ("{country: US, adjacent: -1}", "holidays.adjacent"),
    ],
)
def test_holidays_of_nowhere_are_refused(load: Load, entry: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(STANDARD + f"holidays: {entry}\n")
    assert said in str(caught.value)
