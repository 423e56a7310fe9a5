"""Every opening, whoever it is for, in the order in which they open."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from time import process_time

import pytest

from include.calendar import ChangeCalendar
from include.calendar.openings import Openings
from tests.unit.calendar.conftest import STANDARD, Load

AT = datetime(2026, 12, 13, tzinfo=UTC)
EXCEPTION = "{owner: o, reason: r, control: c, end: 2026-12-26T12:00"


def denied(*exceptions: str) -> str:
    """Return a calendar shut on two Saturdays, by one blackout for each of `exceptions`."""
    text = STANDARD + "blackouts:\n"
    for number, exception in enumerate(exceptions):
        text += f"  b{number}: {{start: 2026-12-19T00:00, end: 2027-01-04T00:00, reason: x,"
        text += f" exceptions: [{EXCEPTION}, {exception}}}]}}\n"
    return text


def days(calendar: ChangeCalendar) -> list[str]:
    return [f"{found.start:%m-%d}" for found in islice(Openings(calendar).after(AT), 3)]


@pytest.mark.parametrize(
    ("exceptions", "open_then"),
    [
        (["systems: [api]"], True),
        (["changes: [CHG-000007]"], True),
        (["systems: [api], changes: [CHG-000007]"], True),
        # One blackout lets the system in, the other the change: the change on that system is.
        (["systems: [api]", "changes: [CHG-000007]"], True),
        (["systems: [api], changes: [CHG-000007]", "changes: [CHG-000007]"], True),
        (["systems: [api], changes: [CHG-000007]", "systems: [api]"], True),
        (["systems: [api]", "systems: [db]"], False),
        (["changes: [CHG-000007]", "changes: [CHG-000008]"], False),
        (["systems: [api], changes: [CHG-000007]", "systems: [db]"], False),
    ],
)
def test_it_is_an_opening_where_the_exceptions_let_one_change_of_one_system_in(
    load: Load, exceptions: list[str], open_then: bool
) -> None:
    expected = ["12-19", "12-26", "01-09"] if open_then else ["01-09", "01-16", "01-23"]
    assert days(load(denied(*exceptions))) == expected


def test_many_exceptions_do_not_multiply(load: Load) -> None:
    own = ", ".join(
        f"{EXCEPTION}, systems: [s{number}], changes: [CHG-{number:06}]}}" for number in range(200)
    )
    calendar = load(
        f"{STANDARD}blackouts:\n  shut: {{start: 2026-12-19T00:00, end: 2027-01-04T00:00,"
        f" reason: x, exceptions: [{own}]}}\n"
    )
    begun = process_time()
    assert days(calendar) == ["12-19", "12-26", "01-09"]
    assert process_time() - begun < 0.4
