"""Whole release trains through a real scheduler, answered over REST as the people in question.

The trains build on each other, as they do in life: 2.3.0 is released first, and 2.4.0 is tried and
refused in several ways before it is released.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from include.deploy.target import Colour
from include.rehearsal.work import add_work
from include.stack.inspection import inspect
from tests.e2e.station import Station, conf, wait_for, yes

pytestmark = pytest.mark.timeout(900)

BLUE_ONLY = {Colour.BLUE: 100, Colour.GREEN: 0}
GREEN_ONLY = {Colour.BLUE: 0, Colour.GREEN: 100}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": "2.3.0; rm -rf /"}, "2.3.0; rm -rf /"),
        ({"version": "../../etc"}, "../../etc"),
        ({"version": "v2.3.0"}, "v2.3.0"),
        ({"version": "2.3.0\n"}, "three numbers"),
        ({"service": "hims-apu"}, "hims-apu"),
        ({"release_type": "huge"}, "huge"),
        ({"strategy": "yolo"}, "yolo"),
        ({"target_window": "tomorrow"}, "tomorrow"),
        ({"rehearsal": "yes"}, "yes"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_the_form_refuses_a_bad_value_before_a_run_exists(
    station: Station, changes: dict[str, Any], said: str
) -> None:
    answer = station.person("rita").request(
        "POST",
        "/api/v2/dags/release_train/dagRuns",
        {"logical_date": None, "conf": {**conf("2.3.0"), **changes}},
    )
    assert answer.status_code == 400
    assert said in answer.text


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "exists": ({"version": "2.2.0"}, "has been released already"),
    "backwards": ({"version": "2.1.0"}, "2.1.0"),
    "skips": ({"version": "2.5.0"}, "leaves out versions"),
    "target not here": ({"service": "hims-web", "version": "1.0.0"}, "kubernetes"),
    "past": ({"target_window": "2026-01-03T07:00:00Z"}, "in the past"),
}


@pytest.fixture(scope="module")
def refused_runs(station: Station) -> dict[str, str]:
    """Return the runs of all requests that make no sense, under way side by side."""
    rita = station.person("rita")
    return {
        name: rita.trigger({**conf("2.3.0"), **changes}) for name, (changes, _) in REFUSALS.items()
    }


@pytest.mark.parametrize("name", REFUSALS)
def test_a_request_that_makes_no_sense_is_refused_with_its_reason(
    station: Station, refused_runs: dict[str, str], name: str
) -> None:
    run_id = refused_runs[name]
    rita = station.person("rita")
    wait_for(lambda: rita.run_state(run_id) == "failed", seconds=120)
    (refused,) = [
        record
        for record in station.records(event="release.refused")
        if record["source"]["run_id"] == run_id
    ]
    assert REFUSALS[name][1] in refused["message"]
    assert refused["outcome"] == "denied"
    assert refused["actor"]["user"] == "rita"


def test_only_a_release_manager_starts_a_release(station: Station) -> None:
    before = len(station.records(event="api_write.denied"))
    for user in ("sam", "olga", "audra", "steve"):
        answer = station.person(user).request(
            "POST",
            "/api/v2/dags/release_train/dagRuns",
            {"logical_date": None, "conf": conf("2.3.0")},
        )
        assert answer.status_code == 403, user
    denied = station.records(event="api_write.denied")[before:]
    assert [record["actor"]["user"] for record in denied] == ["sam", "olga", "audra", "steve"]


def test_a_release_goes_from_feature_freeze_to_production(station: Station) -> None:
    assert station.served()["version"] == "2.2.0"
    # Slack is slow to take the first notices; none is lost and none comes twice.
    station.slack.faults.extend(["429:1", "500", "500"])
    with station.watched_traffic() as traffic:
        result = station.json("rehearse")
    assert result["outcome"] == "released", result
    assert result["served_version"] == "2.3.0"
    assert station.served()["version"] == "2.3.0"
    assert traffic == [BLUE_ONLY, GREEN_ONLY]

    steps = [step["name"] for step in result["steps"]]
    assert all(step["verdict"] == "go" for step in result["steps"])
    for earlier, later in [
        ("cut_release_branch", "pin_commit"),
        ("pin_commit", "run_release_tests"),
        ("run_release_tests", "tag_candidate"),
        ("tag_candidate", "deploy_staging"),
        ("answer_uat", "open_change"),
        ("tally_votes", "answer_go_no_go"),
        ("enter_window", "take_backup"),
        ("prove_backup", "deploy_green"),
        ("smoke_test", "switch_traffic"),
        ("watch_release", "tag_release"),
    ]:
        assert steps.index(earlier) < steps.index(later)

    records = station.records(release="hims-api-2.3.0")
    events = [record["event"] for record in records]
    assert events.index("permit.issued") < events.index("deploy.staged")
    assert events.index("permit.confirmed") < events.index("deploy.switched")
    voters = {r["actor"]["user"] for r in records if r["event"] == "vote.cast"}
    assert voters == {"tomas", "priya", "sam", "olga"}
    hashes = {r["subject"]["content_hash"] for r in records if r["event"] == "vote.cast"}
    issued = next(r for r in records if r["event"] == "permit.issued")
    assert {issued["subject"]["content_hash"]} == hashes

    tags = {tag.name: tag.sha for tag in station.repository.tags()}
    assert tags["v2.3.0"] == tags["v2.3.0-rc.1"]
    assert station.repository.branch("main") == tags["v2.3.0"]
    assert station.repository.is_ancestor(tags["v2.3.0"], "develop")
    assert b"2.3.0" in station.repository.read_file("v2.3.0", "VERSION")

    notices = station.json("notices", "--release", "hims-api-2.3.0")["notices"]
    assert {notice["state"] for notice in notices} == {"delivered"}
    assert {notice["channel"] for notice in notices} == {"slack:#releases"}
    name = "hims-api-2.3.0"
    titles = station.slack.titles()
    said = [title[title.index(name) :] for title in titles if name in title]
    assert said == [notice["title"] for notice in notices]
    assert len({message.get("thread_ts") for message in station.slack.taken}) == 2
    asked = [n for n in notices if n["event"] == "checkpoint.asks"]
    assert len(asked) == 6
    assert all(n["link"].endswith("/required_actions") for n in asked)

    status, out, _ = station.run("why", "hims-api-2.3.0", "--json")
    assert status == 1
    assert '"release"' in out


def test_a_retry_of_a_done_step_does_nothing_twice(station: Station) -> None:
    """Clear a finished switch as an administrator: the journal answers, traffic does not move."""
    before = len(station.repository.tags())
    result = station.records(release="hims-api-2.3.0", event="release.planned")[-1]
    run_id = result["source"]["run_id"]
    answer = station.person("admin").request(
        "POST",
        "/api/v2/dags/release_train/clearTaskInstances",
        {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": ["close.tag_release"],
            "only_failed": False,
            "include_downstream": False,
            "reset_dag_runs": True,
        },
    )
    assert answer.status_code == 200, answer.text
    rita = station.person("rita")
    wait_for(lambda: rita.run_state(run_id) == "success", seconds=60)
    assert len(station.repository.tags()) == before
    tagged = station.records(release="hims-api-2.3.0", event="release.tagged")
    assert len(tagged) == 1
    done = station.records(event="api_write.done")[-1]
    assert done["actor"]["user"] == "admin"
    assert "clearTaskInstances" in done["details"]["path"]


def test_a_rejection_by_one_seat_ends_the_train(station: Station) -> None:
    path = station.settings.path(station.settings.service("hims-api").repository.path)
    add_work(path)

    def one_no(task_id: str, question: Mapping[str, Any]) -> tuple[str, str]:
        if "Security Officer" in str(question["subject"]):
            return "Reject", "the scan has a finding"
        return yes(task_id, question)

    with station.watched_traffic() as traffic:
        ended = station.train("2.4.0", answers=one_no)
    assert ended.outcome == "rejected"
    assert "the scan has a finding" in ended.message
    assert station.person("rita").run_state(ended.run_id) == "failed"
    assert traffic == [GREEN_ONLY]
    assert station.served()["version"] == "2.3.0"
    assert not station.records(release="hims-api-2.4.0", event="permit.issued")


def test_a_failing_smoke_test_leaves_the_traffic_where_it_is(station: Station) -> None:
    with station.watched_traffic() as traffic:
        result = station.json("rehearse", "--fault", "smoke")
    assert result["outcome"] == "failed", result
    assert "smoke tests" in result["message"]
    assert traffic == [GREEN_ONLY]
    assert station.served()["version"] == "2.3.0"
    target = inspect(station.settings)
    blue = next(c for c in target.components if c.name == "slot-hims-api-production-blue")
    assert blue.state == "empty"


def test_an_administrator_who_marks_every_approval_deploys_nothing(station: Station) -> None:
    rita, admin = station.person("rita"), station.person("admin")
    run_id = rita.trigger(conf("2.4.0"))
    base = f"/api/v2/dags/release_train/dagRuns/{run_id}/taskInstances"

    def state(task: str) -> str | None:
        return str(admin.request("GET", f"{base}/{task}").json().get("state"))

    def force(task: str, who: Any = admin) -> int:
        return int(who.request("PATCH", f"{base}/{task}", {"new_state": "success"}).status_code)

    wait_for(lambda: state("staging.approve_uat") == "awaiting_input", seconds=240)
    assert force("staging.approve_uat", station.person("sam")) == 403
    for task in ("cab.tally_votes", "window.decide_go_no_go", "staging.approve_uat"):
        assert force(task) == 200, task
    seats = wait_for(lambda: _parked(admin, base), seconds=60)
    for index in seats:
        assert force(f"cab.approve_cab/{index}") == 200
    wait_for(lambda: rita.run_state(run_id) == "failed", seconds=200)

    assert state("cab.tally_votes") == "success"
    assert state("production.deploy_green") == "failed"
    refused = [
        record
        for record in station.records(release="hims-api-2.4.0", event="permit.refused")
        if record["source"]["run_id"] == run_id
    ]
    assert refused
    conditions = {c["code"]: c["verdict"] for c in refused[-1]["details"]["conditions"]}
    assert conditions["votes"] != "go"
    assert conditions["gate.uat"] != "go"
    assert conditions["gate.go_no_go"] != "go"
    assert conditions["backup"] == "go"
    assert station.served()["version"] == "2.3.0"
    assert not [
        record
        for record in station.records(release="hims-api-2.4.0", event="deploy.staged")
        if record["source"]["run_id"] == run_id
    ]
    forced = [
        r for r in station.records(event="api_write.done") if r["source"].get("run_id") == run_id
    ]
    assert {r["actor"]["user"] for r in forced} == {"admin"}
    assert len(forced) == 3 + len(seats)
    denied = [
        r for r in station.records(event="api_write.denied") if r["source"].get("run_id") == run_id
    ]
    assert [r["actor"]["user"] for r in denied] == ["sam"]


def test_a_database_killed_in_mid_train_delays_it_and_loses_nothing(station: Station) -> None:
    killed = threading.Event()

    def kill_then_yes(task_id: str, question: Mapping[str, Any]) -> tuple[str, str] | None:
        if task_id == "staging.approve_uat" and not killed.is_set():
            killed.set()
            postgres = next(c for c in inspect(station.settings).components if c.name == "postgres")
            assert postgres.pid
            os.kill(postgres.pid, signal.SIGKILL)
            return None
        return yes(task_id, question)

    # Takes back the defect that an earlier train was refused for.
    add_work(station.settings.path(station.settings.service("hims-api").repository.path))
    ended = station.train("2.4.0", answers=kill_then_yes)
    assert killed.is_set()
    assert ended.outcome == "released", ended.message
    assert station.served()["version"] == "2.4.0"
    attempts = {
        record["subject"]["version"]
        for record in station.records(release="hims-api-2.4.0", event="release.planned")
    }
    assert attempts == {"1", "2", "3", "4"}


def _parked(admin: Any, base: str) -> list[int] | None:
    answer = admin.request("GET", f"{base}/cab.approve_cab/listMapped").json()
    found = [
        int(item["map_index"])
        for item in answer.get("task_instances", [])
        if item["state"] == "awaiting_input"
    ]
    return found if len(found) == 4 else None
