"""Refused writes: none is lost, and nobody floods the ledger with them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.api_fastapi import app as airflow_app
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from include.ledger import Actor, Ledger
from release_control.access import api_writes
from release_control.access.api_writes import ApiWrites
from release_control.access.denials import SIGNED_IN_APART, WINDOW, Denials
from tests.dags.access_app import Inner

TASK = "/api/v2/dags/release_train/dagRuns/run-1/taskInstances/cab.approve_cab"
FORCE = {"new_state": "success"}
START = datetime(2026, 12, 1, 12, tzinfo=UTC)


class Tokens:
    """Stands for Airflow's auth manager: a token is `token-of-<user>`."""

    async def get_user_from_token(self, token: str) -> Any:
        user = token.removeprefix("token-of-")
        if user == token:
            raise PermissionError(token)
        return SimpleNamespace(get_id=lambda: user)


@pytest.fixture
def inner(monkeypatch: pytest.MonkeyPatch, ledger_url: str) -> Inner:
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_CONTROL_DB", ledger_url)
    monkeypatch.setattr(airflow_app, "get_auth_manager", Tokens)
    return Inner()


@pytest.fixture
def client(inner: Inner) -> Iterator[TestClient]:
    with TestClient(inner.app(ApiWrites), raise_server_exceptions=False) as made:
        yield made


@pytest.fixture
def records(ledger: Ledger) -> Callable[[], list[dict[str, Any]]]:
    return lambda: [json.loads(row["body"]) for row in ledger.records()]


Records = Callable[[], list[dict[str, Any]]]


def total(records: list[dict[str, Any]]) -> int:
    """Count the anonymous attempts that the records speak of, however many windows they fell into:
    each window has one record of its own, and counts that grow."""
    windows: dict[str, int] = {}
    for item in records:
        if "count" in item["details"]:
            since = item["details"]["since"]
            windows[since] = max(windows.get(since, 0), item["details"]["count"])
    apart = sum(item["reason"] == "denied" for item in records)
    return sum(windows.values()) + apart - len(windows)


def test_a_flood_from_outside_leaves_a_handful_of_records_and_the_whole_count(
    inner: Inner, records: Records
) -> None:
    with TestClient(inner.app(ApiWrites)) as client:
        for number in range(1234):
            answer = client.patch(f"{TASK}/{number}", json=FORCE)
            assert answer.status_code == 401
        assert [item["details"].get("count", 1) for item in records()] == [1, 10, 100, 1000]
    # The api-server stops: what was still only counted is told.
    found = records()
    assert [item["details"].get("count", 1) for item in found] == [1, 10, 100, 1000, 1234]
    assert {item["outcome"] for item in found} == {"denied"}
    assert {item["actor"]["user"] for item in found} == {"anonymous"}
    assert "refused 1,234 times" in found[-1]["message"]
    assert sum(found[-1]["details"]["acts"].values()) == 1234
    assert len(found[-1]["details"]["acts"]) <= 21
    assert inner.calls == [], "who is not signed in does not even get through to Airflow"


def test_the_count_is_told_when_its_minute_is_over(
    client: TestClient, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_writes, "WINDOW", timedelta(milliseconds=40))
    monkeypatch.setattr("release_control.access.denials.WINDOW", timedelta(milliseconds=40))
    for _ in range(5):
        client.patch(TASK, json=FORCE)

    async def wait() -> None:
        for _ in range(100):
            await asyncio.sleep(0.05)
            if total(await asyncio.to_thread(records)) == 5:
                break

    client.portal.call(wait)  # type: ignore[union-attr]
    assert total(records()) == 5


def test_what_the_ledger_could_not_take_is_told_once_it_is_back(
    inner: Inner, records: Records, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TestClient(inner.app(ApiWrites)) as client:
        monkeypatch.setenv("AIRFLOW_CONN_RELEASE_CONTROL_DB", "postgres://x:y@127.0.0.1:1/x")
        for _ in range(3):
            assert client.patch(TASK, json=FORCE).status_code == 401
        monkeypatch.setenv("AIRFLOW_CONN_RELEASE_CONTROL_DB", ledger_url)
    (record,) = records()
    assert record["details"]["count"] == 3


def test_somebody_who_is_signed_in_is_named_for_each_refusal_and_then_no_longer_heard(
    client: TestClient, inner: Inner, records: Records
) -> None:
    inner.status = 403
    client.headers["authorization"] = "Bearer token-of-audra"
    answers = [client.patch(TASK, json=FORCE).status_code for _ in range(SIGNED_IN_APART + 30)]
    assert answers == [403] * SIGNED_IN_APART + [429] * 30
    assert len(inner.calls) == SIGNED_IN_APART
    denied = [item for item in records() if item["event"] == "api_write.denied"]
    assert [item["reason"] for item in denied] == ["denied"] * SIGNED_IN_APART
    # Others are heard as before, and so is an answer to a human task.
    inner.status = 200
    assert client.patch(f"{TASK}/0/hitlDetails", json={}).status_code == 200
    client.headers["authorization"] = "Bearer token-of-admin"
    assert client.patch(TASK, json=FORCE).status_code == 200


def test_a_sign_in_that_fails_is_recorded_without_what_was_typed(
    client: TestClient, inner: Inner, records: Records
) -> None:
    inner.status = 401
    for user in ("rita", "hunter2"):
        body = {"username": user, "password": "hunter2"}
        assert client.post("/auth/token", json=body).status_code == 401
    client.post("/auth/token/cli", content=b"\xff")
    (first,) = records()
    assert first["event"] == "api_write.denied"
    assert first["message"] == "anonymous was denied: sign in as rita"
    assert "hunter2" not in json.dumps(records())


def test_a_sign_in_that_succeeds_and_a_look_are_nobodys_business(
    client: TestClient, inner: Inner, records: Records
) -> None:
    assert client.post("/auth/token", json={"username": "rita"}).status_code == 200
    assert client.get(TASK).status_code == 200
    assert records() == []
    assert len(inner.calls) == 2


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "anonymous"]), st.integers(0, 90)), max_size=200)
)
@settings(max_examples=60, deadline=None)
def test_every_refusal_is_told_and_told_once(attempts: list[tuple[str, int]]) -> None:
    """Whatever the order and the pauses, what is told adds up to what was tried."""
    denials, now = Denials(), START
    tried: dict[str, int] = {}
    told: dict[str, int] = {}

    def end(counts: list[Any]) -> None:
        for count in counts:
            told[count.actor.user] = told.get(count.actor.user, 0) + count.total - count.told

    for user, pause in attempts:
        now += timedelta(seconds=pause)
        end(denials.over(now))
        auth = "none" if user == "anonymous" else "airflow-token"
        actor = Actor(user=user, name=user, auth=auth)
        count = denials.count(actor, "act", "1.2.3.4", now)
        tried[user] = tried.get(user, 0) + 1
        if denials.stands_alone(count) or denials.is_round(count):
            told[user] = told.get(user, 0) + count.total - count.told
            count.told = count.total
        assert count.total <= count.apart or denials.impatient(actor, count.since)
    end(denials.over(now + WINDOW))
    assert denials.empty
    assert told == tried
