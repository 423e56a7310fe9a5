"""`./hims access review`: what people did with what they may do."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import time_machine

from include.cli import main
from include.ledger import Actor, Outcome, Source, Subject
from tests.integration.train.paper import Station


@pytest.fixture
def review(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs the review at a station's instant."""

    def run(station: Station, *words: str) -> tuple[int, str]:
        url = station.ledger._engine.url.render_as_string(hide_password=False)
        monkeypatch.setenv("HIMS_CONFIG", str(station.settings.directory))
        monkeypatch.setenv("AIRFLOW_CONN_RELEASE_CONTROL_DB", url.replace("+psycopg2", ""))
        with time_machine.travel(station.clock.now + timedelta(seconds=1), tick=False):
            status = main(["access", "review", *words])
        return status, capsys.readouterr().out

    return run


def write(station: Station, user: str, event: str, outcome: Outcome, **details: Any) -> None:
    actor = Actor(user=user, name=user.title(), auth="test")
    with station.ledger.write(actor, Source(kind="api"), station.clock.now) as unit:
        unit.append(
            event, Subject(kind="x", id="1"), message=f"{user} {event}", outcome=outcome,
            reason="x", details=details,
        )  # fmt: skip


def test_a_quiet_week_needs_no_look_and_counts_what_people_did(
    decided: Station, review: Any
) -> None:
    status, out = review(decided, "--json")
    answer = json.loads(out)
    assert (status, answer["ok"], answer["findings"]) == (0, True, [])
    acts = {row["user"]: row["acts"] for row in answer["people"]}
    for user in ("tomas", "priya", "sam"):
        assert acts[user] == 1
    assert acts["rita"] > 0
    assert acts["audra"] == 0
    delegates = {(item["user"], item["seat"]) for item in answer["delegations"]}
    assert ("oscar", "security_officer") in delegates


def test_what_needs_a_look_is_said_of_whom(decided: Station, review: Any) -> None:
    tasks = [{"dag_id": "release_train", "run_id": "run-1", "task_id": "cab.approve_cab"}]
    write(decided, "admin", "api_write.done", Outcome.SUCCESS, tasks=tasks)
    write(decided, "ghost", "thing.done", Outcome.SUCCESS)
    write(decided, "devi", "api_write.denied", Outcome.DENIED)
    write(decided, "anonymous", "api_write.denied", Outcome.DENIED, count=1234)
    status, out = review(decided, "--json")
    answer = json.loads(out)
    assert (status, answer["ok"]) == (1, False)
    assert {(item["code"], item["user"]) for item in answer["findings"]} == {
        ("by_hand", "admin"),
        ("stranger", "ghost"),
        ("refused", "devi"),
        ("refused", "anonymous"),
    }
    assert [item["tasks"] for item in answer["by_hand"]] == [tasks]
    status, text = review(decided)
    assert status == 1
    assert "✗ anonymous: was refused 1,234 times" in text
    assert text.rstrip().endswith("4 to look at")


def test_what_lies_outside_of_the_week_is_not_in_it(decided: Station, review: Any) -> None:
    write(decided, "ghost", "thing.done", Outcome.SUCCESS)
    decided.clock.now += timedelta(days=8)
    status, out = review(decided, "--json")
    assert (status, json.loads(out)["findings"]) == (0, [])
    status, _ = review(decided, "--from", "2026-11-01T00:00:00Z")
    assert status == 1
