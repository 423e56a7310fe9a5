"""Acts by hand that only Airflow's event log knows are added to the ledger, once, as unknown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.access.sweep import CLOSE, LogEvent, read_event, sweep, unseen
from include.errors import StackError
from include.instants import format_instant
from include.ledger import Actor, Ledger, Outcome, Source, Subject
from include.ledger.clock import check_clocks
from include.people import People, load_people
from include.settings import load_settings

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
SWEEPER = Actor.service("audit_sweep")
DAG = Source(kind="dag", dag_id="audit_sweep", run_id="r", task_id="sweep_event_log")


class Log:
    """Airflow's event log as its API gives it."""

    def __init__(self, *lines: Mapping[str, Any]) -> None:
        self.lines = list(lines)
        self.asked: list[datetime] = []

    def event_logs(self, after: datetime) -> Sequence[Mapping[str, Any]]:
        self.asked.append(after)
        return [line for line in self.lines if line["when"] > format_instant(after)]


def line(
    number: int, event: str, at: datetime, owner: str = "admin", **rest: Any
) -> dict[str, Any]:
    extra = rest.pop("extra", {"method": "PATCH"})
    return {
        "event_log_id": number,
        "event": event,
        "owner": owner,
        "when": format_instant(at),
        "dag_id": "release_train",
        "run_id": "run-1",
        "task_id": None,
        "map_index": None,
        "extra": json.dumps(extra),
        **rest,
    }


@pytest.fixture
def people() -> People:
    return load_people(load_settings())


def recorded(ledger: Ledger, at: datetime, user: str = "admin", **source: Any) -> None:
    """Write what the api-server's middleware writes before an act."""
    where = Source(kind="api", **{"dag_id": "release_train", "run_id": "run-1", **source})
    actor = Actor(user=user, name=user, auth="airflow-token")
    with ledger.write(actor, where, at) as unit:
        unit.append(
            "api_write.requested", Subject(kind="airflow", id="x"), message="x",
            outcome=Outcome.UNKNOWN,
        )  # fmt: skip


def run(ledger: Ledger, log: Log, people: People, now: datetime = NOW) -> list[int]:
    return [item.id for item in sweep(ledger, log, people, SWEEPER, DAG, now).added]


def found(ledger: Ledger) -> list[dict[str, Any]]:
    return [json.loads(row["body"]) for row in ledger.records(event="api_write.found")]


def test_what_the_api_server_recorded_is_not_added_and_what_it_missed_is(
    ledger: Ledger, people: People
) -> None:
    at = NOW - timedelta(minutes=5)
    recorded(ledger, at)
    log = Log(
        line(1, "patch_task_instance", at + timedelta(seconds=2), task_id="cab.approve_cab"),
        line(2, "patch_task_instance", at + timedelta(seconds=3), task_id="cab.approve_cab"),
        line(3, "cli_task_clear", at, owner="root", extra={"full_command": "airflow tasks clear"}),
        line(4, "update_hitl_detail", at, owner="sam"),
        line(5, "running", at, owner="release-control", extra={}),
        line(6, "cli_scheduler", at, owner="root", extra={}),
    )
    assert run(ledger, log, people) == [3, 2]
    clear, patch = found(ledger)
    assert (clear["outcome"], clear["actor"]) == (
        "unknown",
        {"user": "root", "name": "root", "auth": "shell"},
    )
    assert "on Airflow's command line" in clear["message"]
    assert patch["actor"] == {"user": "admin", "name": "Alex Admin", "auth": "airflow-event-log"}
    assert patch["details"]["tasks"][0]["task_id"] == "cab.approve_cab"
    assert patch["details"]["event_log_id"] == 2


def test_asked_again_it_adds_nothing_twice_and_finds_what_came_late(
    ledger: Ledger, people: People
) -> None:
    at = NOW - timedelta(minutes=5)
    log = Log(line(7, "delete_dag_run", at))
    assert run(ledger, log, people) == [7]
    assert run(ledger, log, people, NOW + timedelta(minutes=1)) == []
    # A line that became visible after the first look, though it is older than that look.
    log.lines.append(line(6, "clear_dag_run", at))
    assert run(ledger, log, people, NOW + timedelta(minutes=2)) == [6]
    assert len(found(ledger)) == 2


def test_a_quiet_log_adds_a_line_an_hour(ledger: Ledger, people: People) -> None:
    log = Log(line(1, "running", NOW - timedelta(minutes=1), extra={}))
    for minutes in range(0, 241, 15):
        log.lines.append(line(minutes + 2, "success", NOW + timedelta(minutes=minutes), extra={}))
        run(ledger, log, people, NOW + timedelta(minutes=minutes))
    assert len(ledger.records(event="airflow.swept")) == 5


def test_a_log_that_was_cut_is_said(ledger: Ledger, people: People) -> None:
    run(ledger, Log(line(100, "delete_dag_run", NOW - timedelta(minutes=1))), people)
    after = Log(line(3, "delete_dag_run", NOW + timedelta(minutes=20)))
    assert sweep(ledger, after, people, SWEEPER, DAG, NOW + timedelta(minutes=21)).cut
    record = json.loads(ledger.records(event="airflow.swept")[-1]["body"])
    assert (record["outcome"], record["reason"]) == ("unknown", "log_was_cut")


def test_an_api_that_does_not_answer_moves_nothing(ledger: Ledger, people: People) -> None:
    class Away:
        def event_logs(self, after: datetime) -> Sequence[Mapping[str, Any]]:
            raise StackError("Airflow does not answer")

    with pytest.raises(StackError):
        sweep(ledger, Away(), people, SWEEPER, DAG, NOW)
    assert ledger.records() == []
    assert run(ledger, Log(line(1, "delete_dag", NOW - timedelta(hours=20))), people) == [1]


@pytest.mark.parametrize(
    "changed",
    [{"owner": None}, {"extra": None}, {"extra": "not json"}, {"extra": "[1]"}, {"event": None},
     {"dag_id": None, "run_id": None}, {"map_index": "x"}],
)  # fmt: skip
def test_a_strange_line_is_read_as_far_as_it_goes(changed: dict[str, Any]) -> None:
    assert read_event({**line(1, "delete_dag", NOW), **changed}) is not None


TIMES = st.integers(0, 300)


@given(st.lists(TIMES, max_size=12), st.lists(TIMES, max_size=12))
def test_every_event_beyond_its_records_is_missing_and_no_record_answers_twice(
    events: list[int], records: list[int]
) -> None:
    lines = [
        LogEvent(
            id=number, event="delete_dag", owner="admin", when=NOW + timedelta(seconds=second),
            dag_id="d", run_id="r", task_id=None, map_index=None, extra={"method": "DELETE"},
        )
        for number, second in enumerate(events)
    ]  # fmt: skip
    bodies = [
        {
            "event": "api_write.requested",
            "time": format_instant(NOW + timedelta(seconds=second)),
            "actor": {"user": "admin"},
            "source": {"dag_id": "d", "run_id": "r"},
        }
        for second in records
    ]
    missing = unseen(lines, bodies)
    answered = [item for item in lines if item not in missing]
    assert len(answered) <= len(records)
    near = [
        item
        for item in lines
        if any(abs(NOW + timedelta(seconds=at) - item.when) <= CLOSE for at in records)
    ]
    assert all(item in near for item in answered)
    assert all(item not in near or len(near) > len(answered) for item in missing)


@pytest.mark.parametrize("seconds", [-3600, -2, 2, 86400])
def test_a_clock_that_is_off_is_on_record(ledger: Ledger, seconds: int) -> None:
    skew = check_clocks(
        ledger, SWEEPER, DAG, lambda: datetime.now(UTC) + timedelta(seconds=seconds)
    )
    assert skew.too_much
    record = json.loads(ledger.records(event="clock.skewed")[0]["body"])
    assert abs(record["details"]["milliseconds"] + seconds * 1000) < 1000
    assert record["reason"] == ("behind" if seconds > 0 else "ahead")


def test_clocks_that_agree_are_not_worth_a_record(ledger: Ledger) -> None:
    assert not check_clocks(ledger, SWEEPER, DAG, lambda: datetime.now(UTC)).too_much
    assert ledger.records() == []
