"""What is said of work that waits for an opening."""

from __future__ import annotations

from datetime import datetime, timedelta

from include.calendar.waiting import opens_text
from tests.unit.calendar.conftest import STANDARD, Load

NOW = datetime.fromisoformat("2026-11-24T22:00:00-05:00")
NEEDS = timedelta(minutes=55)


def test_it_says_when_it_opens_and_what_has_to_fit_by_when(load: Load) -> None:
    calendar = load(STANDARD)
    opening = calendar.next(needs=NEEDS, not_before=NOW)
    assert opening is not None
    assert opens_text(calendar, opening, now=NOW, needs=NEEDS) == (
        "opens Sat 02:00 EST, in 3 d 4 h; needs 55 min before the 03:40 cutoff"
    )


def test_of_several_systems_the_longest_cutoff_counts(load: Load) -> None:
    calendar = load("""
timezone: America/New_York
windows:
  api: {rrule: FREQ=WEEKLY;BYDAY=SA, start: "02:00", end: "04:00", cutoff: 10m, systems: [api]}
  portal: {rrule: FREQ=WEEKLY;BYDAY=SA, start: "02:00", end: "04:00", cutoff: 45m,
           systems: [portal]}
""")
    both = ("api", "portal")
    opening = calendar.next(needs=timedelta(minutes=5), not_before=NOW, systems=both)
    assert opening is not None
    assert opening.latest_start == opening.end - timedelta(minutes=45)
    said = opens_text(calendar, opening, now=NOW, needs=timedelta(minutes=5), systems=both)
    assert said.endswith("needs 5 min before the 03:15 cutoff")
