"""What is done to Airflow by hand is on record, through whichever door it comes."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from typing import Any

import httpx

from include.access.sweep import sweep
from include.ledger import Actor, Source
from include.ledger.connection import open_ledger
from include.people import load_people
from include.rehearsal.sample import add_work, next_version
from include.stack.airflow import Airflow
from include.stack.secrets import load_secrets
from tests.e2e.station import Station, conf, wait_for

SEATS = ["technical_lead", "product_manager", "security_officer", "operations_manager"]


def test_forced_and_cleared_votes_are_named_by_dag_run_task_index_and_seat(
    station: Station,
) -> None:
    rita, admin, quinn = (station.person(name) for name in ("rita", "admin", "quinn"))
    add_work(station.repository.path)
    version = next_version(station.repository.path)
    release = f"hims-api-{version}"
    run_id = rita.trigger(conf(version))
    base = f"/api/v2/dags/release_train/dagRuns/{run_id}/taskInstances"

    def parked(task: str) -> Any:
        answer = admin.request("GET", f"{base}/{task}/listMapped").json()
        found = [item["map_index"] for item in answer.get("task_instances", [])
                 if item["state"] == "awaiting_input"]  # fmt: skip
        return len(found) == len(SEATS)

    uat = "staging.approve_uat"
    wait_for(
        lambda: quinn.request("GET", f"{base}/{uat}").json().get("state") == "awaiting_input",
        seconds=240,
    )
    assert quinn.answer(run_id, uat, -1, "Approve", "for MRN 00123456").status_code == 200
    wait_for(lambda: parked("cab.approve_cab"), seconds=90)
    forced = admin.request("PATCH", f"{base}/cab.approve_cab/2", {"new_state": "success"})
    assert forced.status_code == 200
    clear = {
        "dry_run": False,
        "dag_run_id": run_id,
        "task_ids": [["cab.approve_cab", 1]],
        "only_failed": False,
    }
    cleared = admin.request("POST", "/api/v2/dags/release_train/clearTaskInstances", clear)
    assert cleared.status_code == 200, cleared.text
    run = f"/api/v2/dags/release_train/dagRuns/{run_id}"
    # Airflow's own transactions may deadlock over a run that the scheduler is looking at: a 500.
    wait_for(
        lambda: admin.request("PATCH", run, {"state": "failed"}).status_code == 200, seconds=20
    )

    done = [
        record
        for record in station.records(release=release, event="api_write.done")
        if record["details"]["tasks"][0]["run_id"] == run_id
    ]
    assert [record["actor"]["user"] for record in done] == ["admin"] * 3
    one, two, three = (record["details"]["tasks"] for record in done)
    assert (one[0]["task_id"], one[0]["map_index"], one[0]["seat"], one[0]["state"]) == (
        "cab.approve_cab",
        2,
        "security_officer",
        "success",
    )
    assert [(task["map_index"], task["seat"]) for task in two] == [(1, "product_manager")]
    assert {task.get("seat") for task in three} >= {"technical_lead", "operations_manager"}
    status, out, _ = station.run("audit", "list", "--release", release)
    assert status == 0
    line = "cab.approve_cab[2], security officer’s vote → success"
    assert f"{line}  (release_train · {run_id})" in out
    assert "00123456" not in json.dumps(station.records(release=release))


def test_a_flood_from_outside_is_counted_and_not_piled_up(station: Station) -> None:
    before = len(station.records(event="api_write.denied"))
    url = f"{station.settings.ui_url}/api/v2/dags/release_train/dagRuns/x"
    with httpx.Client() as client:
        for _ in range(120):
            assert client.patch(url, json={"state": "success"}).status_code == 401
    new = station.records(event="api_write.denied")[before:]
    assert [record["details"].get("count", 1) for record in new] == [1, 10, 100]


def test_what_the_command_line_does_is_found_by_the_sweep(station: Station) -> None:
    secrets = load_secrets(station.settings.state_dir)
    assert secrets is not None
    airflow = Airflow(station.settings, secrets)
    subprocess.run(
        [*airflow.argv(), "dags", "pause", "deliver_notices"],
        env=airflow.environment(), check=True, capture_output=True, timeout=300,
    )  # fmt: skip

    def look() -> list[str]:
        swept = sweep(
            open_ledger(station.settings),
            station.person("watch"),
            load_people(station.settings),
            Actor.service("audit_sweep"),
            Source(kind="test"),
            datetime.now(UTC),
        )
        return [item.event for item in swept.added]

    first = look()
    assert [name for name in first if "pause" in name], first
    assert look() == []
    found = station.records(event="api_write.found")
    assert {record["outcome"] for record in found} == {"unknown"}
    assert all(record["details"]["event"].startswith("cli_") for record in found), found
    admin = station.person("admin")
    admin.request("PATCH", "/api/v2/dags/deliver_notices", {"is_paused": False})
    assert look() == [], "what went through the API is on record already"


def test_the_sweep_runs_by_itself_in_airflow(station: Station) -> None:
    rita, admin = station.person("rita"), station.person("admin")
    body = {"logical_date": None, "conf": {}}
    started = rita.request("POST", "/api/v2/dags/audit_sweep/dagRuns", body)
    assert started.status_code == 200, started.text
    run_id = started.json()["dag_run_id"]
    path = f"/api/v2/dags/audit_sweep/dagRuns/{run_id}"
    wait_for(
        lambda: admin.request("GET", path).json()["state"] in ("success", "failed"), seconds=120
    )
    assert admin.request("GET", path).json()["state"] == "success"
    assert station.records(event="policy.loaded")
