"""Freezes and blackouts in the ledger: entered, asked about, lifted, excepted."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from include.entries.freeze import Scope, listed
from include.errors import ConfigError, RequestError
from tests.integration.entries.office import HOUR, SATURDAY, Office

WEEK = timedelta(days=7)


def test_a_freeze_closes_the_window_from_the_moment_it_is_entered(office: Office) -> None:
    assert office.state(SATURDAY).open
    entered = office.freeze(SATURDAY - HOUR, SATURDAY + HOUR)
    assert entered.ok
    closed = office.state(SATURDAY)
    assert (closed.open, closed.next_transition) == (False, SATURDAY + HOUR)
    assert [reason.code for reason in closed.reasons] == ["freeze"]
    assert "The audit needs quiet" in closed.reasons[0].message
    following = office.next()
    assert following is not None
    assert following.start == SATURDAY + HOUR
    (record,) = office.records("freeze.entered")
    assert record["actor"]["user"] == "olga"
    assert record["subject"] == {"kind": "freeze", "id": entered.id}


def test_it_holds_for_its_systems_and_environments_alone(office: Office) -> None:
    office.freeze(SATURDAY, SATURDAY + 2 * HOUR, systems=("billing",))
    assert office.state(SATURDAY).open
    assert not office.state(SATURDAY, systems=["billing"]).open
    assert not office.state(SATURDAY, systems=["api", "billing"]).open
    assert office.state(SATURDAY, systems=["billing"], environment="staging").open
    office.freeze(SATURDAY, SATURDAY + 2 * HOUR, environments=("staging",))
    assert office.state(SATURDAY).open
    assert not office.state(SATURDAY, environment="staging").open


def test_emergencies_pass_a_freeze_and_no_blackout(office: Office) -> None:
    office.freeze(SATURDAY, SATURDAY + HOUR)
    assert office.state(SATURDAY, incident="INC-1").open
    office.freeze(SATURDAY, SATURDAY + HOUR, kind="blackout")
    stopped = office.state(SATURDAY, incident="INC-1")
    assert not stopped.open
    assert [reason.code for reason in stopped.reasons] == ["blackout"]


def test_lifted_it_ends_now_and_the_past_stays(office: Office) -> None:
    key = office.freeze(office.now, SATURDAY + WEEK).id
    assert key is not None
    office.now = SATURDAY + HOUR / 2
    assert not office.state(office.now).open
    assert office.lift(key).ok
    assert office.state(office.now).open
    assert not office.state(office.now - timedelta(seconds=1)).open
    again = office.lift(key)
    assert (again.ok, again.reason) == (False, "not_found")
    assert [item["outcome"] for item in office.records("freeze.lift_refused")] == ["denied"]


def test_lifted_before_it_began_it_never_was(office: Office) -> None:
    key = office.freeze(SATURDAY, SATURDAY + HOUR).id
    assert key is not None
    assert office.lift(key).ok
    assert office.state(SATURDAY).open
    with office.ledger.read() as connection:
        (item,) = listed(connection, office.now)
    assert (item["state"], item["lifted_by"]) == ("lifted", "rita")


def test_an_exception_lets_one_change_through_and_nothing_else(office: Office) -> None:
    key = office.freeze(SATURDAY - HOUR, SATURDAY + WEEK).id
    assert key is not None
    assert office.exempt(key, SATURDAY + HOUR, changes=("CHG-000007",)).ok
    assert office.state(SATURDAY, change="CHG-000007").open
    assert not office.state(SATURDAY, change="CHG-000008").open
    assert not office.state(SATURDAY).open
    assert not office.state(SATURDAY + HOUR, change="CHG-000007").open
    (record,) = office.records("freeze.excepted")
    assert record["details"]["control"] == "Two people watch the change"


def test_an_exception_can_be_taken_back(office: Office) -> None:
    key = office.freeze(SATURDAY - HOUR, SATURDAY + WEEK).id
    assert key is not None
    exception = office.exempt(key, SATURDAY + HOUR, systems=("api",)).id
    assert exception is not None
    assert office.state(SATURDAY).open
    assert office.lift(exception, reason="Not needed any more").ok
    assert not office.state(SATURDAY).open


def test_nobody_grants_an_exception_that_they_answer_for(office: Office) -> None:
    key = office.freeze(SATURDAY, SATURDAY + HOUR).id
    assert key is not None
    refused = office.exempt(key, SATURDAY + HOUR, user="tomas", owner="tomas")
    assert (refused.ok, refused.reason) == (False, "same_person")
    assert not office.state(SATURDAY).open


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"user": "mei"}, "not_eligible"),
        ({"user": "audra"}, "not_eligible"),
        ({"reason": "  "}, "incomplete"),
        ({"start": SATURDAY, "end": SATURDAY}, "out_of_order"),
        ({"start": SATURDAY, "end": SATURDAY - HOUR}, "out_of_order"),
        ({"start": SATURDAY - 2 * WEEK, "end": SATURDAY - WEEK}, "ended"),
    ],
)
def test_what_is_refused_changes_nothing_and_is_on_record(
    office: Office, given: dict[str, object], reason: str
) -> None:
    before = office.turn
    start, end = given.pop("start", SATURDAY), given.pop("end", SATURDAY + HOUR)
    refused = office.freeze(start, end, **given)  # type: ignore[arg-type]
    assert (refused.ok, refused.reason) == (False, reason)
    (record,) = office.records("freeze.refused")
    assert (record["outcome"], record["reason"]) == ("denied", reason)
    assert office.turn == before
    assert office.state(SATURDAY).open


@pytest.mark.parametrize("name", ["", "a;b", "x" * 61, "a\nb", "‮api", "--help"])
def test_a_scope_is_made_of_names(name: str) -> None:
    with pytest.raises(RequestError, match="is not a name"):
        Scope(systems=(name,))


def test_what_people_write_is_kept_on_one_line(office: Office) -> None:
    key = office.freeze(SATURDAY, SATURDAY + HOUR, reason="a\nb\x00\udcff\x1b[31m").id
    with office.ledger.read() as connection:
        (item,) = listed(connection, office.now)
    assert item["id"] == key
    assert "\n" not in item["reason"]
    assert "\x1b" not in item["reason"]


def test_every_entry_turns_the_calendar_also_one_made_by_hand(
    office: Office, ledger_url: str
) -> None:
    seen = [office.turn]
    key = office.freeze(SATURDAY, SATURDAY + HOUR).id
    seen.append(office.turn)
    assert key is not None
    office.exempt(key, SATURDAY + HOUR)
    seen.append(office.turn)
    with psycopg.connect(ledger_url) as connection:
        connection.execute("UPDATE calendar_freeze SET ends_at = ends_at + interval '1 hour'")
    seen.append(office.turn)
    assert seen == sorted(set(seen))


def test_an_entry_is_announced_to_whoever_listens(office: Office, ledger_url: str) -> None:
    with psycopg.connect(ledger_url, autocommit=True) as connection:
        connection.execute("LISTEN calendar")
        office.freeze(SATURDAY, SATURDAY + HOUR)
        heard = [item.channel for item in connection.notifies(timeout=5, stop_after=1)]
    assert heard == ["calendar"]


def test_a_broken_file_stays_closed_whatever_was_entered(office: Office, tmp_path: Path) -> None:
    office.calendar_file = tmp_path / "calendar.yaml"
    office.calendar_file.write_text("windows: [")
    with pytest.raises(ConfigError):
        _ = office.calendar
