"""The record of an act by hand says which task instances it touched, and whose votes they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.api_fastapi import app as airflow_app
from airflow.listeners.listener import get_listener_manager
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from release_control.access.api_writes import ApiWrites
from release_control.access.touched import MOST, note
from release_control.listeners import manual_states
from tests.dags.train.test_refused_writes import Tokens
from tests.integration.train.paper import Station

DAG = "/api/v2/dags/release_train"
RUN = f"{DAG}/dagRuns/run-1"
VOTE = f"{RUN}/taskInstances/cab.approve_cab"


class Airflow:
    """Answers as Airflow's API does, and calls the listeners as it does."""

    def __init__(self) -> None:
        self.answer: Any = {}
        self.sets: list[dict[str, Any]] = []
        self.state = "success"

    def app(self) -> Any:
        # A function, not a coroutine: Airflow's endpoints run in a thread of the pool.
        def endpoint(request: Request) -> JSONResponse:
            for given in self.sets:
                hook = get_listener_manager().hook
                instance = SimpleNamespace(dag_id="release_train", run_id="run-1", **given)
                if self.state == "success":
                    hook.on_task_instance_success(previous_state=None, task_instance=instance)
                else:
                    hook.on_task_instance_failed(
                        previous_state=None, task_instance=instance, error="by hand"
                    )
            return JSONResponse(self.answer)

        methods = ["POST", "PATCH", "DELETE"]
        return ApiWrites(Starlette(routes=[Route("/{path:path}", endpoint, methods=methods)]))


@pytest.fixture
def airflow(
    aboard: Callable[[Station], Station], decided: Station, monkeypatch: pytest.MonkeyPatch
) -> Airflow:
    aboard(decided)
    monkeypatch.setattr(airflow_app, "get_auth_manager", Tokens)
    return Airflow()


@pytest.fixture
def client(airflow: Airflow) -> Iterator[TestClient]:
    manager = get_listener_manager()
    if not manager.pm.is_registered(manual_states):
        manager.add_listener(manual_states)
    with TestClient(airflow.app()) as made:
        made.headers["authorization"] = "Bearer token-of-admin"
        yield made


def done(station: Station) -> dict[str, Any]:
    (record,) = station.bodies("api_write.done")
    return record


def test_a_vote_marked_by_hand_is_named_by_its_seat(
    client: TestClient, airflow: Airflow, decided: Station
) -> None:
    airflow.sets = [{"task_id": "cab.approve_cab", "map_index": 2}]
    client.patch(f"{VOTE}/2", json={"new_state": "success"})
    record = done(decided)
    assert record["details"]["tasks"] == [
        {
            "dag_id": "release_train",
            "run_id": "run-1",
            "task_id": "cab.approve_cab",
            "map_index": 2,
            "state": "success",
            "seat": "security_officer",
        }
    ]
    assert record["release"] == "hims-api-2.3.0"
    assert record["change"].startswith("CHG-")
    assert "the vote of security officer" in record["message"]
    (asked,) = decided.bodies("api_write.requested")
    assert asked["details"]["tasks"][0]["seat"] == "security_officer"


def test_tasks_that_were_cleared_are_those_that_airflow_lists(
    client: TestClient, airflow: Airflow, decided: Station
) -> None:
    airflow.answer = {
        "task_instances": [
            {
                "dag_id": "release_train",
                "dag_run_id": "run-1",
                "task_id": "cab.approve_cab",
                "map_index": index,
                "rendered_map_index": title,
            }
            for index, title in enumerate(["Technical Lead", "Product Manager"])
        ]
        + [{"dag_id": "release_train", "dag_run_id": "run-1", "task_id": "cab.tally_votes",
            "map_index": -1, "rendered_map_index": None}],
        "total_entries": 3,
    }  # fmt: skip
    body = {"dry_run": False, "dag_run_id": "run-1", "task_ids": [["cab.approve_cab", 0]]}
    client.post(f"{DAG}/clearTaskInstances", json=body)
    found = [
        (task["task_id"], task.get("map_index"), task.get("seat"))
        for task in done(decided)["details"]["tasks"]
    ]
    assert found == [
        ("cab.approve_cab", 0, "technical_lead"),
        ("cab.approve_cab", 1, "product_manager"),
        ("cab.tally_votes", None, None),
    ]
    (asked,) = decided.bodies("api_write.requested")
    assert [task["map_index"] for task in asked["details"]["tasks"]] == [0]
    assert asked["release"] == "hims-api-2.3.0"


def test_a_run_marked_failed_names_the_tasks_that_went_with_it(
    client: TestClient, airflow: Airflow, decided: Station
) -> None:
    airflow.state = "failed"
    airflow.sets = [{"task_id": "cab.approve_cab", "map_index": index} for index in range(4)]
    client.patch(RUN, json={"state": "failed"})
    tasks = done(decided)["details"]["tasks"]
    assert [task["seat"] for task in tasks] == [
        "technical_lead", "product_manager", "security_officer", "operations_manager",
    ]  # fmt: skip
    assert {task["state"] for task in tasks} == {"failed"}


def test_a_deleted_run_is_named_though_airflow_answers_nothing(
    client: TestClient, airflow: Airflow, decided: Station
) -> None:
    client.delete(RUN)
    record = done(decided)
    assert record["details"]["tasks"] == [{"dag_id": "release_train", "run_id": "run-1"}]
    assert record["message"] == "Alex Admin did: delete release_train/run-1"
    assert record["release"] == "hims-api-2.3.0"


def test_several_in_one_request_are_all_named(
    client: TestClient, airflow: Airflow, decided: Station
) -> None:
    entities = [
        {"task_id": "cab.approve_cab", "map_index": 1, "new_state": "success"},
        {"task_id": "close.conclude", "new_state": "failed"},
    ]
    actions = [{"action": "update", "entities": entities}, {"action": "delete", "entities": ["x"]}]
    client.patch(f"{RUN}/taskInstances", json={"actions": actions})
    tasks = done(decided)["details"]["tasks"]
    assert [(task["task_id"], task.get("seat")) for task in tasks] == [
        ("cab.approve_cab", "product_manager"),
        ("close.conclude", None),
        ("x", None),
    ]


@pytest.mark.parametrize("index", [-1, 4, 99, True, "2", None])
def test_an_index_that_is_no_seat_is_given_none(
    client: TestClient, airflow: Airflow, decided: Station, index: Any
) -> None:
    body = {"dry_run": False, "dag_run_id": "run-1", "task_ids": [["cab.approve_cab", index]]}
    client.post(f"{DAG}/clearTaskInstances", json=body)
    wanted = "product_manager" if index is True else None
    assert done(decided)["details"]["tasks"][0].get("seat") == wanted


def test_a_clear_of_thousands_keeps_the_first_and_says_that_there_are_more(
    client: TestClient, airflow: Airflow, decided: Station
) -> None:
    airflow.answer = {
        "task_instances": [
            {"dag_id": "d", "dag_run_id": "r", "task_id": f"t{number}"} for number in range(999)
        ]
    }
    client.post(f"{DAG}/clearTaskInstances", json={"dry_run": False})
    details = done(decided)["details"]
    assert len(details["tasks"]) == MOST
    assert details["tasks_left_out"] is True


def test_outside_of_a_write_a_state_is_nobodys_act() -> None:
    note({"dag_id": "d", "run_id": "r", "task_id": "t"})
    instance = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1)
    manual_states.on_task_instance_success(previous_state=None, task_instance=instance)


def test_the_audit_shows_dag_run_task_index_and_seat(
    client: TestClient,
    airflow: Airflow,
    decided: Station,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from include.cli import main

    airflow.sets = [{"task_id": "cab.approve_cab", "map_index": 2}]
    client.patch(f"{VOTE}/2", json={"new_state": "success"})
    url = decided.ledger._engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_CONTROL_DB", url.replace("+psycopg2", ""))
    assert main(["audit", "list", "--event", "api_write.done"]) == 0
    out = capsys.readouterr().out
    assert "→ cab.approve_cab[2], security officer’s vote → success  (release_train · run-1)" in out
