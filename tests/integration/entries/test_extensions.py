"""Extended windows: asked for by one person, granted to one change by another."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import select

from include.errors import LedgerError, RequestError
from include.ledger import schema
from tests.integration.entries.office import HOUR, SATURDAY, Office

SUNDAY = SATURDAY + timedelta(days=1)


def slots(office: Office, change: str) -> list[tuple[Any, Any]]:
    table = schema.slot
    with office.ledger.read() as connection:
        rows = connection.execute(
            select(table.c.during).where(table.c.change_id == change, table.c.released_at.is_(None))
        )
        return sorted((row.during.lower, row.during.upper) for row in rows)


def test_asking_opens_nothing_and_granting_opens_it_for_that_change_alone(office: Office) -> None:
    change, other = office.change(), office.change(systems=("frontend",))
    asked = office.extend(change, SUNDAY, SUNDAY + 4 * HOUR)
    assert asked.ok
    assert not office.state(SUNDAY, change=change.id).open
    assert office.decide(asked.id).ok
    assert office.state(SUNDAY, change=change.id).open
    assert not office.state(SUNDAY, change=other.id).open
    assert not office.state(SUNDAY).open
    assert not office.state(SUNDAY + 4 * HOUR, change=change.id).open
    found = office.next(3 * HOUR, change=change.id)
    assert found is not None
    assert (found.start, found.window) == (SUNDAY, "extended")
    (record,) = office.records("extension.granted")
    assert record["meaning"].startswith(f"granted extended window {asked.id} for {change.id}")


def test_a_running_window_grows_with_the_slot_that_is_booked_in_it(office: Office) -> None:
    change = office.change(slot=(SATURDAY, SATURDAY + 2 * HOUR), state="implementing")
    office.now = SATURDAY + HOUR
    asked = office.extend(change, SATURDAY, SATURDAY + 5 * HOUR)
    assert office.decide(asked.id).ok
    state = office.state(SATURDAY + HOUR, change=change.id)
    assert state.closes == SATURDAY + 5 * HOUR
    assert slots(office, change.id) == [(SATURDAY, SATURDAY + 5 * HOUR)]


def test_a_scheduled_change_moves_into_what_it_was_granted(office: Office) -> None:
    change = office.change(slot=(SATURDAY, SATURDAY + 2 * HOUR))
    asked = office.extend(change, SUNDAY, SUNDAY + 4 * HOUR)
    assert office.decide(asked.id).ok
    assert slots(office, change.id) == [(SUNDAY, SUNDAY + 4 * HOUR)]


def test_it_is_not_granted_over_what_another_change_has_booked(office: Office) -> None:
    office.change(slot=(SUNDAY + HOUR, SUNDAY + 2 * HOUR))
    change = office.change(slot=(SATURDAY, SATURDAY + 2 * HOUR))
    asked = office.extend(change, SUNDAY, SUNDAY + 4 * HOUR)
    refused = office.decide(asked.id)
    assert (refused.ok, refused.reason) == (False, "slot_taken")
    assert not office.state(SUNDAY, change=change.id).open
    assert slots(office, change.id) == [(SATURDAY, SATURDAY + 2 * HOUR)]


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        ("mei", "not_eligible"),
        ("sam", "not_eligible"),
        ("rita", "same_person"),  # asked for it
        ("tomas", "same_person"),  # implements it
    ],
)
def test_only_a_second_person_with_the_right_role_grants(
    office: Office, user: str, reason: str
) -> None:
    change = office.change(implementers=["tomas"])
    asked = office.extend(change, SUNDAY, SUNDAY + HOUR, user="rita")
    refused = office.decide(asked.id, user=user)
    assert (refused.ok, refused.reason) == (False, reason)
    assert not office.state(SUNDAY, change=change.id).open
    (record,) = office.records("extension.decision_refused")
    assert record["outcome"] == "denied"


def test_the_database_holds_to_two_people_as_well(office: Office, ledger_url: str) -> None:
    asked = office.extend(office.change(), SUNDAY, SUNDAY + HOUR, user="rita")
    statement = (
        "UPDATE calendar_extension SET state = 'granted', decided_by = requested_by,"
        " decided_at = now() WHERE id = %s"
    )
    with psycopg.connect(ledger_url) as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(statement, [asked.id])


def test_what_was_decided_stands(office: Office) -> None:
    change = office.change()
    asked = office.extend(change, SUNDAY, SUNDAY + HOUR)
    assert office.decide(asked.id, grant=False).reason == "refused"
    assert office.decide(asked.id, grant=False).ok
    late = office.decide(asked.id, user="tomas")
    assert (late.ok, late.reason) == (False, "ended")
    assert not office.state(SUNDAY, change=change.id).open


def test_a_change_that_was_edited_has_to_ask_again(office: Office, ledger_url: str) -> None:
    change = office.change()
    asked = office.extend(change, SUNDAY, SUNDAY + HOUR)
    assert office.decide(asked.id).ok
    assert office.state(SUNDAY, change=change.id).open
    with psycopg.connect(ledger_url) as connection:
        connection.execute("UPDATE change SET content_hash = 'sha256:other'")
    assert not office.state(SUNDAY, change=change.id).open


def test_a_freeze_beats_an_extension(office: Office) -> None:
    change = office.change()
    assert office.decide(office.extend(change, SUNDAY, SUNDAY + HOUR).id).ok
    office.freeze(SUNDAY, SUNDAY + HOUR)
    assert not office.state(SUNDAY, change=change.id).open


@pytest.mark.parametrize(
    ("window", "hours", "said"),
    [
        ("standard", 1, "of kind standard"),
        ("extended", 9, "is longer than extended may be"),
        ("extended", 0, "ends before it starts"),
        ("extnded", 1, 'did you mean "extended"'),
    ],
)
def test_it_goes_under_an_extended_window_and_is_no_longer_than_that_may_be(
    office: Office, window: str, hours: int, said: str
) -> None:
    change = office.change()
    with pytest.raises(RequestError, match=said):
        office.extend(change, SUNDAY, SUNDAY + hours * HOUR, window=window)


def test_a_change_that_is_over_or_unknown_gets_none(office: Office) -> None:
    change = office.change(state="closed")
    refused = office.extend(change, SUNDAY, SUNDAY + HOUR)
    assert (refused.ok, refused.reason) == (False, "ended")
    unknown = replace(change, id="CHG-999999")
    with pytest.raises(LedgerError, match="has no change CHG-999999"):
        office.extend(unknown, SUNDAY, SUNDAY + HOUR)
