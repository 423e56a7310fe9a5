"""`./hims calendar` with the ledger: what was entered, booked and frozen since the file."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import icalendar
import pytest
from sqlalchemy import insert

from include.cli import main
from include.instants import format_instant
from include.ledger import Actor, Source, Subject, schema
from tests.integration.entries.office import HOUR, SATURDAY, Office

AT = format_instant(SATURDAY)
WEEK = timedelta(weeks=1)


class Shell:
    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def json(self, *arguments: str) -> tuple[int, Any]:
        status = main(["calendar", *arguments, "--json"])
        return status, json.loads(self._capture.readouterr().out)


@pytest.fixture
def shell(
    office: Office,
    ledger_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Shell:
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_CONTROL_DB", ledger_url.replace("+psycopg2", ""))
    return Shell(capsys)


def planned_release(office: Office, name: str = "hims-api-2.3.0") -> None:
    """Write a release under way: its slot is the Saturday's, its freezes lie before it."""
    plan = {
        "release": name,
        "title": "Release HIMS API 2.3.0",
        "feature_freeze": format_instant(SATURDAY - 2 * WEEK),
        "code_freeze": format_instant(SATURDAY - WEEK),
        "slot": {
            "start": AT,
            "end": format_instant(SATURDAY + 2 * HOUR),
            "latest": format_instant(SATURDAY + 2 * WEEK),
        },
        "needs": "55m",
        "service": {"systems": ["api"]},
        "rules": {"commits": {"frozen_types": ["feat"]}},
    }
    with office.ledger.write(
        Actor(user="rita", name="Rita", auth="shell"), Source(kind="cli"), office.now
    ) as unit:
        unit.execute(
            insert(schema.release).values(
                id=name, service="hims-api", version="2.3.0", type="minor", attempt=1,
                state="running", plan=plan, plan_hash="sha256:0", requested_by="rita",
                created_at=office.now, updated_at=office.now,
            )
        )  # fmt: skip
        unit.append("release.planned", Subject(kind="release", id=name), message="planned")


def verdicts(said: Any) -> dict[str, str]:
    return {item["code"]: item["verdict"] for item in said["conditions"]}


def test_a_freeze_that_was_entered_closes_what_the_file_alone_opens(
    office: Office, shell: Shell
) -> None:
    office.freeze(SATURDAY - HOUR, SATURDAY + HOUR)
    assert shell.json("state", "--at", AT)[0] == 0
    status, said = shell.json("state", "--at", AT, "--ledger")
    assert (status, said["open"]) == (1, False)
    assert said["next_transition"] == format_instant(SATURDAY + HOUR)
    _, slots = shell.json("list", "--from", AT, "--to", format_instant(SATURDAY + HOUR), "--ledger")
    assert [slot["state"] for slot in slots["slots"]] == ["cut"]


def test_explain_knows_a_change_of_the_ledger_by_its_id(office: Office, shell: Shell) -> None:
    change = office.change(slot=(SATURDAY, SATURDAY + HOUR))
    other = office.change(systems=("db",), slot=(SATURDAY, SATURDAY + HOUR), requester="tomas")
    status, said = shell.json("explain", change.id)
    assert (status, said["id"], said["at"], said["allowed"]) == (0, change.id, AT, True)
    assert set(verdicts(said).values()) == {"pass"}
    status, said = shell.json("explain", change.id, "--system", "db", "--system", "api")
    assert (status, verdicts(said)["system_busy"]) == (1, "block")
    assert other.id in json.dumps(said)


def test_explain_knows_a_release_and_does_not_stop_it_by_its_own_freeze(
    office: Office, shell: Shell
) -> None:
    planned_release(office)
    status, said = shell.json("explain", "hims-api-2.3.0")
    assert (status, said["at"], verdicts(said)["release_freeze"]) == (0, AT, "pass")
    change = office.change(scope={"commits": ["a" * 40]})
    at = format_instant(SATURDAY - WEEK)
    status, said = shell.json("explain", change.id, "--at", at, "--needs", "10m")
    assert (status, verdicts(said)["release_freeze"]) == (1, "block")


def test_a_name_that_the_ledger_does_not_know_is_answered_and_said(
    office: Office, shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calendar", "explain", "CHG-999999", "--at", AT]) == 0
    assert "the ledger knows no change or release CHG-999999" in capsys.readouterr().err


def test_the_feed_shows_releases_their_freezes_and_changes(office: Office, shell: Shell) -> None:
    planned_release(office)
    change = office.change(slot=(SATURDAY + HOUR, SATURDAY + 2 * HOUR))
    office.freeze(SATURDAY + WEEK, SATURDAY + WEEK + HOUR)
    asked = ["ics", "--from", format_instant(SATURDAY - 3 * WEEK), "--to",
             format_instant(SATURDAY + 3 * WEEK)]  # fmt: skip
    _, plain = shell.json(*asked)
    _, whole = shell.json(*asked, "--ledger")
    events = {
        str(event["UID"]): event
        for event in icalendar.Calendar.from_ical(whole["ics"]).walk("VEVENT")
    }
    release = events["release-hims-api-2.3.0@release-control"]
    assert release["DTSTART"].dt == SATURDAY
    assert str(release["SUMMARY"]) == "Release HIMS API 2.3.0"
    frozen = events["release-hims-api-2.3.0-code-freeze@release-control"]
    assert (frozen["DTSTART"].dt, frozen["DTEND"].dt) == (SATURDAY - WEEK, SATURDAY)
    booked = events[f"change-{change.id}@release-control"]
    assert booked["DTSTART"].dt == SATURDAY + HOUR
    assert sum(1 for uid in events if uid.startswith("freeze-")) == 1
    assert "release-hims" not in plain["ics"]
