"""Every write through Airflow's API is on record: before it happens, and with how it ended."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.api_fastapi import app as airflow_app
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from include.ledger import Ledger
from release_control.access.api_writes import ApiWrites
from release_control.access.write import MAX_BODY, Write
from tests.dags.access_app import Inner
from tests.integration.conftest import PostgresServer

RUN = "/api/v2/dags/release_train/dagRuns/run-1"
TASK = f"{RUN}/taskInstances/cab.approve_cab"
FORCE = {"new_state": "success"}


class Tokens:
    """Stands for Airflow's auth manager: a token is `token-of-<user>`."""

    async def get_user_from_token(self, token: str) -> Any:
        user = token.removeprefix("token-of-")
        if user == token:
            raise PermissionError(token)
        return SimpleNamespace(get_id=lambda: user)


@pytest.fixture(scope="module")
def url(postgres: PostgresServer, ledger_template: str) -> Iterator[str]:
    """Return one ledger for all of these tests; each looks at what it has added."""
    name = postgres.create_database(template=ledger_template, owner="ledger_owner")
    yield postgres.url(name, "ledger_app")
    postgres.drop_database(name)


@pytest.fixture
def inner(monkeypatch: pytest.MonkeyPatch, url: str) -> Inner:
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_CONTROL_DB", url)
    monkeypatch.setattr(airflow_app, "get_auth_manager", Tokens)
    return Inner()


@pytest.fixture
def client(inner: Inner) -> Iterator[TestClient]:
    with TestClient(inner.app(ApiWrites), raise_server_exceptions=False) as made:
        made.headers["authorization"] = "Bearer token-of-admin"
        yield made


@pytest.fixture
def texts(url: str) -> Callable[[], list[str]]:
    """Return a function that returns the records of this test as they are stored."""
    ledger = Ledger(url)
    before = len(ledger.records())
    return lambda: [row["body"] for row in ledger.records()[before:]]


@pytest.fixture
def records(texts: Callable[[], list[str]]) -> Callable[[], list[dict[str, Any]]]:
    return lambda: [json.loads(text) for text in texts()]


Records = Callable[[], list[dict[str, Any]]]


def test_a_forced_state_is_recorded_before_and_after_with_who_forced_it(
    client: TestClient, inner: Inner, records: Records
) -> None:
    seen: list[int] = []

    async def looking(request: Any) -> Any:
        seen.append(len(records()))
        return await inner.answer(request)

    with TestClient(_app(looking)) as watched:
        watched.headers["authorization"] = "Bearer token-of-admin"
        answer = watched.patch(f"{TASK}/2", json=FORCE)
    assert answer.status_code == 200
    assert seen == [1], "the record stands before Airflow does anything"
    before, after = records()
    assert (before["event"], before["outcome"]) == ("api_write.requested", "unknown")
    assert (after["event"], after["outcome"]) == ("api_write.done", "success")
    for record in (before, after):
        assert record["actor"] == {
            "user": "admin",
            "name": "Alex Admin",
            "auth": "airflow-token",
        }
        assert record["source"] == {
            "kind": "api",
            "dag_id": "release_train",
            "run_id": "run-1",
            "task_id": "cab.approve_cab",
            "map_index": 2,
        }
        assert "state success" in record["message"]
        assert record["details"]["body"] == json.dumps(FORCE)
    assert after["details"]["status"] == 200


def _app(endpoint: Any) -> Any:
    from starlette.applications import Starlette
    from starlette.routing import Route

    async def call(request: Any) -> Any:
        return await endpoint(request)

    return ApiWrites(Starlette(routes=[Route("/{path:path}", call, methods=["PATCH"])]))


@pytest.mark.parametrize(
    ("status", "event", "outcome"),
    [
        (401, "api_write.denied", "denied"),
        (403, "api_write.denied", "denied"),
        (404, "api_write.failed", "failure"),
        (409, "api_write.failed", "failure"),
        (422, "api_write.failed", "failure"),
        (500, "api_write.failed", "failure"),
    ],
)
def test_how_it_ended_is_recorded(
    client: TestClient, inner: Inner, records: Records, status: int, event: str, outcome: str
) -> None:
    inner.status = status
    assert client.patch(TASK, json=FORCE).status_code == status
    assert [(item["event"], item["outcome"]) for item in records()][1:] == [(event, outcome)]


def test_a_crash_behind_us_is_recorded_as_failed(
    client: TestClient, inner: Inner, records: Records
) -> None:
    inner.error = RuntimeError("boom")
    assert client.patch(TASK, json=FORCE).status_code == 500
    assert [item["event"] for item in records()] == ["api_write.requested", "api_write.failed"]


def test_without_a_ledger_nothing_is_forced(
    client: TestClient, inner: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    for url in ("postgres://x:y@127.0.0.1:1/ledger", "no url at all", ""):
        monkeypatch.setenv("AIRFLOW_CONN_RELEASE_CONTROL_DB", url)
        answer = client.patch(TASK, json=FORCE)
        assert answer.status_code == 503
        assert "The ledger cannot record this act" in answer.json()["detail"]
    assert inner.calls == []


def test_without_a_ledger_people_still_look_and_answer(
    client: TestClient, inner: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_CONTROL_DB", "postgres://x:y@127.0.0.1:1/ledger")
    assert client.get(TASK).status_code == 200
    assert client.patch(f"{TASK}/0/hitlDetails", json={}).status_code == 200
    assert client.post("/api/v2/dags/release_train/dagRuns", json={}).status_code == 200
    inner.status = 403
    assert client.patch(f"{TASK}/0/hitlDetails", json={}).status_code == 403


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", TASK, None),
        ("HEAD", TASK, None),
        ("OPTIONS", TASK, None),
        ("POST", "/auth/token", {}),
        ("POST", "/ui/auth/token", {}),
        ("POST", "/api/v2/dags/~/dagRuns/list", {}),
        ("POST", "/api/v2/dags/~/dagRuns/~/taskInstances/list", {}),
        ("PATCH", f"{TASK}/dry_run", FORCE),
        ("PATCH", f"{TASK}/3/dry_run", FORCE),
        ("PATCH", f"{RUN}/taskGroupInstances/cab/dry_run", FORCE),
        ("POST", "/api/v2/backfills/dry_run", {}),
        ("POST", "/api/v2/dags/release_train/clearTaskInstances", {"dry_run": True}),
        ("POST", "/api/v2/dags/release_train/clearDagRuns", {"dry_run": True}),
        ("POST", f"{RUN}/clear", {"dry_run": True}),
        ("POST", "/api/v2/dags/release_train/favorite", {}),
        ("POST", "/api/v2/dags/release_train/unfavorite", {}),
        # The train's own records say who answered, and who started it.
        ("PATCH", f"{TASK}/0/hitlDetails", {"chosen_options": ["Approve"]}),
        ("POST", "/api/v2/dags/release_train/dagRuns", {"conf": {}}),
    ],
)
def test_looks_rehearsals_and_what_others_record_are_let_through_without_a_line(
    client: TestClient, inner: Inner, records: Records, method: str, path: str, body: Any
) -> None:
    assert client.request(method, path, json=body).status_code == 200
    assert records() == []
    assert len(inner.calls) == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", TASK, FORCE),
        ("PATCH", f"{TASK}/0", FORCE),
        ("PATCH", RUN, {"state": "success"}),
        ("PATCH", "/api/v2/dags/release_train/dagRuns", {"actions": []}),
        ("DELETE", RUN, None),
        ("DELETE", TASK, None),
        ("POST", f"{RUN}/clear", {"dry_run": False}),
        ("POST", f"{RUN}/clear", {}),
        ("POST", "/api/v2/dags/release_train/clearTaskInstances", {"dry_run": "yes"}),
        ("PATCH", f"{RUN}/taskGroupInstances/cab", FORCE),
        ("POST", f"{TASK}/xcomEntries", {"key": "return_value", "value": "x"}),
        ("DELETE", f"{TASK}/xcomEntries/dry_run", None),
        ("PATCH", f"{TASK}/xcomEntries/a/list", {"value": 1}),
        ("PATCH", "/api/v2/dags/release_train", {"is_paused": True}),
        ("DELETE", "/api/v2/dags/release_train", None),
        ("POST", "/api/v2/backfills", {"dag_id": "release_train"}),
        ("DELETE", "/api/v2/pools/dry_run", None),
        ("PATCH", "/api/v2/connections/release_control_db", {"password": "x"}),
        ("PUT", "/api/v2/parseDagFile/x", None),
        # Runs and tasks may bear any name, also one that sounds harmless.
        ("PATCH", "/api/v2/dags/release_train/dagRuns/dry_run", {"state": "success"}),
        ("PATCH", "/api/v2/dags/release_train/dagRuns/list", {"state": "success"}),
        ("PATCH", "/api/v2/dags/release_train/dagRuns/hitlDetails", {"state": "success"}),
        ("PATCH", f"{RUN}/taskInstances/dry_run", FORCE),
        ("PATCH", f"{RUN}/taskInstances/hitlDetails", FORCE),
        ("DELETE", "/api/v2/dags/favorite", None),
        # Saying that it is a rehearsal makes none of what Airflow does not rehearse.
        ("PATCH", TASK, {**FORCE, "dry_run": True}),
        ("PATCH", RUN, {"state": "success", "dry_run": True}),
        ("DELETE", RUN, {"dry_run": True}),
    ],
)
def test_whatever_else_changes_something_is_recorded(
    client: TestClient, inner: Inner, records: Records, method: str, path: str, body: Any
) -> None:
    client.request(method, path, json=body)
    assert [item["event"] for item in records()] == ["api_write.requested", "api_write.done"]


def test_below_a_prefix_the_same_holds(inner: Inner, records: Records) -> None:
    with TestClient(inner.app(ApiWrites), root_path="/airflow") as prefixed:
        prefixed.headers["authorization"] = "Bearer token-of-admin"
        prefixed.patch(f"/airflow{TASK}", json=FORCE)
        prefixed.patch(f"/airflow{TASK}/dry_run", json=FORCE)
        prefixed.get(f"/airflow{TASK}")
    assert len(records()) == 2
    assert records()[0]["source"]["task_id"] == "cab.approve_cab"


def test_a_denied_answer_is_recorded_and_a_given_one_is_not_recorded_twice(
    client: TestClient, inner: Inner, records: Records
) -> None:
    inner.status = 403
    client.patch(f"{TASK}/0/hitlDetails", json={"chosen_options": ["Approve"]})
    (record,) = records()
    assert (record["event"], record["actor"]["user"]) == ("api_write.denied", "admin")


def test_who_it_was_comes_from_the_token_or_the_sign_in_cookie(
    client: TestClient, records: Records
) -> None:
    client.patch(TASK, json=FORCE)
    del client.headers["authorization"]
    client.cookies.set("_token", "token-of-rita")
    client.patch(TASK, json=FORCE)
    client.headers["authorization"] = "Bearer forged"
    assert client.patch(TASK, json=FORCE).status_code == 401
    client.headers["authorization"] = "Basic cml0YTp4"
    client.patch(TASK, json=FORCE)
    client.cookies.clear()
    client.patch(TASK, json=FORCE)
    actors = [item["actor"] for item in records() if item["event"] == "api_write.requested"]
    assert [(actor["user"], actor["auth"]) for actor in actors] == [
        ("admin", "airflow-token"),
        ("rita", "airflow-cookie"),
        ("rita", "airflow-cookie"),
    ]
    refused = [item["actor"] for item in records() if item["event"] == "api_write.denied"]
    assert refused == [{"user": "anonymous", "name": "anonymous", "auth": "none"}]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/v2/connections", {"connection_id": "x", "password": "hunter2"}),
        ("PATCH", "/api/v2/connections/x?password=hunter2", {"extra": '{"token": "hunter2"}'}),
        ("PATCH", "/api/v2/connections", {"actions": [{"entities": [{"password": "hunter2"}]}]}),
        ("POST", "/api/v2/connections/test", {"password": "hunter2"}),
        ("POST", "/api/v2/variables", {"key": "x", "value": "hunter2"}),
        ("PATCH", "/api/v2/variables/a/dags/b", {"value": "hunter2"}),
        ("PATCH", "/api/v2/pools/x", {"description": "hunter2"}),
    ],
)
def test_secrets_are_never_recorded(
    client: TestClient,
    inner: Inner,
    texts: Callable[[], list[str]],
    method: str,
    path: str,
    body: Any,
) -> None:
    client.request(method, path, json=body)
    assert len(texts()) == 2
    assert "hunter2" not in "".join(texts())
    assert b"hunter2" in inner.calls[0][2]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"{" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"new_state": {"deep": [1]}}',
        b'{"new_state": 7}',
        b"[1, 2]",
        b"7",
        b'"\\ud800\\u0000"',
        b'{"new_state": "\\ud800\\u0000"}',
        b'{"n": NaN, "m": 1e999, "big": ' + b"9" * 4000 + b"}",
        b"\xff\xfe\x00",
    ],
)
def test_a_body_that_makes_no_sense_is_recorded_as_a_write_and_passed_on_as_it_came(
    client: TestClient, inner: Inner, records: Records, body: bytes
) -> None:
    assert client.patch(TASK, content=body).status_code == 200
    assert [item["event"] for item in records()] == ["api_write.requested", "api_write.done"]
    assert inner.calls[0][2] == body


def test_a_huge_body_is_recorded_without_it_and_passed_on_whole(
    client: TestClient, inner: Inner, records: Records
) -> None:
    body = b'{"dry_run": true, "x": "' + b"y" * (3 * MAX_BODY) + b'"}'
    client.post("/api/v2/dags/release_train/clearTaskInstances", content=body)
    assert len(records()) == 2
    assert "body" not in records()[0]["details"]
    assert inner.calls[0][2] == body


def test_a_body_in_pieces_passes_through_intact(
    client: TestClient, inner: Inner, records: Records
) -> None:
    pieces = [b'{"new_state": ', b"", b'"suc', b'cess"}']
    client.patch(TASK, content=iter(pieces))
    assert inner.calls[0][2] == b"".join(pieces)
    assert "state success" in records()[0]["message"]
    many = [bytes([number % 256]) * 5000 for number in range(400)]
    client.patch(TASK, content=iter(many))
    assert inner.calls[1][2] == b"".join(many)


def test_long_and_strange_paths_are_recorded_as_far_as_they_fit(
    client: TestClient, inner: Inner, records: Records
) -> None:
    client.patch("/api/v2/dags/release_train/dagRuns/" + "x" * 5000, json={})
    client.patch("/api/v2/dags/%00%ff/dagRuns/%F0%9F%9A%82", json={})
    assert len(records()) == 4
    assert all(len(item["subject"]["id"]) <= 500 for item in records())


HARMLESS = {
    "POST /api/v2/dags/{dag_id}/dagRuns/list",
    "POST /api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/list",
    "PATCH /api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/dry_run",
    "PATCH /api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/dry_run",
    "PATCH /api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskGroupInstances/{group_id}/dry_run",
    "POST /api/v2/backfills/dry_run",
    "POST /api/v2/dags/{dag_id}/favorite",
    "POST /api/v2/dags/{dag_id}/unfavorite",
    "POST /ui/auth/token",
}
INSTANCE = "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}"
NOT_FORCING = {
    f"PATCH {INSTANCE}/hitlDetails",
    "POST /api/v2/dags/{dag_id}/dagRuns",
}


def test_of_all_that_this_airflow_can_write_only_these_are_let_through_without_a_record() -> None:
    from airflow.api_fastapi.core_api.routes.public import public_router
    from airflow.api_fastapi.core_api.routes.ui import ui_router

    harmless, forcing, other = set(), set(), set()
    for route in (*public_router.routes, *ui_router.routes):
        for method in getattr(route, "methods", set()) - {"GET", "HEAD", "OPTIONS"}:
            name = f"{method} {route.path}"  # type: ignore[attr-defined]
            path = re.sub(r"\{map_index\}", "0", route.path)  # type: ignore[attr-defined]
            path = re.sub(r"\{[a-z_]+(:path)?\}", "x", path)
            write = Write({"method": method, "path": path}, b"{}")
            (harmless if write.harmless else forcing if write.forcing else other).add(name)
    assert harmless == HARMLESS
    assert other == NOT_FORCING
    assert len(forcing) > 40


NAMES = st.sampled_from(
    ["dry_run", "list", "hitlDetails", "favorite", "dagRuns", "clear", "0", "x"]
)


@given(st.lists(NAMES, min_size=3, max_size=3))
@settings(max_examples=100)
def test_no_name_of_a_run_or_task_makes_a_forced_state_pass_for_harmless(names: list[str]) -> None:
    dag, run, task = names
    for path in (
        f"/api/v2/dags/{dag}/dagRuns/{run}",
        f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/{task}",
        f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/{task}/0",
    ):
        for method in ("PATCH", "DELETE"):
            write = Write({"method": method, "path": path}, b'{"dry_run": true}')
            assert not write.harmless, (method, path)
            assert write.forcing, (method, path)


@pytest.mark.parametrize(("index", "named"), [("-1", "approve_uat"), ("2", "approve_uat[2]")])
def test_a_task_that_is_not_mapped_is_named_without_an_index(index: str, named: str) -> None:
    path = f"{RUN}/taskInstances/approve_uat/{index}/hitlDetails"
    write = Write({"type": "http", "method": "PATCH", "path": path}, b"{}")
    assert write.describe() == f"answer release_train/run-1/{named}"
