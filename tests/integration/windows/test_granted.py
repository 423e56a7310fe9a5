"""Windows that were granted to one change are attended, though no schedule knows of them."""

from __future__ import annotations

from datetime import datetime, timedelta

from include.calendar import Span, load_calendar
from include.windows.granted import granted_openings
from tests.integration.entries.office import HOUR, SATURDAY, Office, put

AHEAD = timedelta(minutes=10)
MINUTE = timedelta(minutes=1)
SUNDAY = SATURDAY + 24 * HOUR
ALL = (SATURDAY, SATURDAY + 2 * HOUR)


def found(office: Office, at: datetime) -> list[Span]:
    with office.ledger.read() as connection:
        calendar = load_calendar(office.calendar_file)
        return [
            item.opening.span for item in granted_openings(connection, calendar, at, ahead=AHEAD)
        ]


def test_what_was_granted_is_attended_from_shortly_before_until_its_end(office: Office) -> None:
    change = office.change(slot=ALL)
    asked = office.extend(change, SUNDAY, SUNDAY + 4 * HOUR)
    assert found(office, SUNDAY) == []
    assert office.decide(asked.id).ok
    granted = [Span(SUNDAY, SUNDAY + 4 * HOUR)]
    assert found(office, SUNDAY - AHEAD - MINUTE) == []
    assert found(office, SUNDAY - AHEAD) == granted
    assert found(office, SUNDAY + 4 * HOUR - MINUTE) == granted
    assert found(office, SUNDAY + 4 * HOUR) == []


def test_it_has_one_run_whenever_it_is_asked_and_another_window_another(office: Office) -> None:
    runs = set()
    for day in (SUNDAY, SUNDAY + 24 * HOUR):
        change = office.change(slot=ALL, systems=(f"s{day:%d}",))
        assert office.decide(office.extend(change, day, day + HOUR).id).ok
        with office.ledger.read() as connection:
            calendar = load_calendar(office.calendar_file)
            for at in (day - MINUTE, day + MINUTE):
                items = granted_openings(connection, calendar, at, ahead=AHEAD)
                runs |= {item.run_id for item in items}
    assert runs == {
        "granted__20261129T070000Z__20261129T080000Z",
        "granted__20261130T070000Z__20261130T080000Z",
    }


def test_a_change_under_way_is_attended_to_the_end_of_its_extension_and_no_longer(
    office: Office,
) -> None:
    change = office.change(slot=ALL, state="implementing")
    closes = SATURDAY + 2 * HOUR
    assert office.decide(office.extend(change, closes, closes + HOUR).id).ok
    assert found(office, closes) == [Span(closes, closes + HOUR)]
    with office.unit("service") as unit:
        put(unit, change, "closed")
    assert found(office, closes) == []
