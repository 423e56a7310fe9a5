"""Going back, and dying on the way there, on a running stack.

The cells are a few of the matrix that `make faults` runs whole.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from include.deploy.targets.factory import open_target
from include.rehearsal.airflow_api import AirflowApi
from include.rehearsal.sample import add_work, next_version
from tests.e2e.station import Station, wait_for
from tests.faults.matrix import Cell, run_train

pytestmark = pytest.mark.timeout(900)


def production(station: Station) -> str:
    """Return the address at which people are served."""
    service = station.settings.service("hims-api")
    return open_target(service, "production", station.settings).frontend()


def released(station: Station) -> tuple[str, str]:
    """Return the version that a train has put into production, and the one before it."""
    served = str(station.served()["version"])
    if station.records(release=f"hims-api-{served}", event="release.released"):
        target = open_target(station.settings.service("hims-api"), "production", station.settings)
        (standby,) = [slot for slot, weight in target.weights().items() if weight == 0]
        return served, str(target.health(standby).version)
    add_work(station.repository.path)
    version = next_version(station.repository.path)
    assert station.train(version).outcome == "released"
    return version, served


def trigger(person: AirflowApi, dag: str, conf: dict[str, Any]) -> Any:
    body = {"logical_date": None, "conf": conf}
    return person.request("POST", f"/api/v2/dags/{dag}/dagRuns", body)


def test_a_rollback_with_its_database_takes_six_steps_and_two_people(station: Station) -> None:
    version, before = released(station)
    booking = {
        "patient": 7, "clinic": "C01", "day": "2027-03-01", "time": "09:30", "minutes": 20,
    }  # fmt: skip
    frontend = production(station)
    assert httpx.post(f"{frontend}/appointments", json=booking).status_code == 201
    conf = {
        "service": "hims-api",
        "version": None,
        "reason": "patients are missing",
        "restore_database": True,
    }
    assert trigger(station.person("devi"), "rollback", conf).status_code == 403
    tomas = station.person("tomas")
    answer = trigger(tomas, "rollback", conf)
    assert answer.status_code == 200, answer.text
    run = f"/api/v2/dags/rollback/dagRuns/{quote(answer.json()['dag_run_id'])}"

    def waiting() -> list[Any]:
        found = tomas.request("GET", f"{run}/hitlDetails?response_received=false").json()
        asked = [
            item
            for item in found.get("hitl_details", [])
            if item["task_instance"]["state"] == "awaiting_input"
        ]
        return asked if len(asked) == 2 else []

    questions = wait_for(waiting, seconds=120)
    # The booking; and where the release had a migration, that it wrote down that it was there.
    assert re.search(r"\b[12] rows? written or changed since the backup", questions[0]["body"])
    assert station.served()["version"] == before
    for question, user in zip(questions, ("olga", "rita"), strict=True):
        index = question["task_instance"]["map_index"]
        path = f"{run}/taskInstances/approve_database_restore/{index}/hitlDetails"
        body = {"chosen_options": ["Approve"], "params_input": {"comment": "agreed"}}
        assert tomas.request("PATCH", path, body).status_code == 403
        assert station.person(user).request("PATCH", path, body).status_code == 200
    state = wait_for(
        lambda: (s := tomas.request("GET", run).json()["state"]) in ("success", "failed") and s,
        seconds=180,
    )
    assert state == "success"
    assert station.served()["version"] == before
    left = httpx.get(f"{frontend}/appointments?day=2027-03-01").json()["appointments"]
    assert left == [], "what was booked since is the price that two people agreed to"
    events = [item["event"] for item in station.records(release=f"hims-api-{version}")]
    for step in (
        "stop_new_deployment", "restore_previous_version", "restore_database",
        "restore_configuration", "invalidate_caches", "verify",
    ):  # fmt: skip
        assert events.count(f"rollback.{step}") == 1, step
    assert events.count("rollback.voted") == 2
    station.unlock()


@pytest.mark.parametrize(
    "cells",
    [
        [Cell(strategy="canary", moment="deploy.traffic_shifted", part="haproxy")],
        [
            Cell(strategy="blue_green", moment="deploy.switch_began", part="worker"),
            Cell(strategy="blue_green", moment="watch.began", part="postgres"),
        ],
    ],
    ids=lambda cells: ", ".join(f"{cell.part} after {cell.moment}" for cell in cells),
)
def test_a_part_that_is_killed_costs_time_and_nothing_else(
    station: Station, cells: list[Cell]
) -> None:
    found = run_train(station, cells)
    assert found.problems == []
