"""A change in the real Airflow: handed in by the form, voted on, edited, and voted on again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.e2e.station import Station, wait_for

FOUR = {
    "technical_lead": "tomas",
    "product_manager": "priya",
    "security_officer": "sam",
    "operations_manager": "olga",
}


def form(**changed: Any) -> dict[str, Any]:
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    return {
        "title": "Implement Patient Portal Redesign",
        "type": "normal",
        "description": "Redesign patient portal for improved usability",
        "affected_systems": ["frontend"],
        "risk_level": "medium",
        "downtime_required": False,
        "rollback_plan": "Revert to previous version",
        "planned_start": str(tomorrow),
        "planned_end": str(tomorrow + timedelta(days=80)),
        "change_window": "Saturday 2-4 AM",
        **changed,
    }


def trigger(station: Station, dag: str, conf: dict[str, Any], user: str = "rita") -> str:
    with station.person(user) as session:
        made = session.request(
            "POST", f"/api/v2/dags/{dag}/dagRuns", {"logical_date": None, "conf": conf}
        ).json()
    return str(made["dag_run_id"])


def ended(station: Station, dag: str, run: str) -> str:
    def state() -> str | None:
        with station.person("rita") as session:
            found = str(session.request("GET", f"/api/v2/dags/{dag}/dagRuns/{run}").json()["state"])
        return found if found in ("success", "failed") else None

    return str(wait_for(state, seconds=240, every=1))


def questions(station: Station, run: str) -> list[dict[str, Any]]:
    with station.person("rita") as session:
        found = session.request(
            "GET",
            f"/api/v2/dags/cab_ballot/dagRuns/{run}/hitlDetails?response_received=false&limit=100",
        ).json()
    return list(found["hitl_details"])


def answer(station: Station, run: str, user: str, seat: str, option: str, comment: str) -> None:
    def asked() -> dict[str, Any] | None:
        title = seat.replace("_", " ").title()
        return next(
            (item for item in questions(station, run) if item["subject"].startswith(title)), None
        )

    found = wait_for(asked, seconds=120, every=1)
    index = found["task_instance"]["map_index"]
    with station.person(user) as session:
        session.request(
            "PATCH",
            f"/api/v2/dags/cab_ballot/dagRuns/{run}/taskInstances/approve_change/{index}/hitlDetails",
            {"chosen_options": [option], "params_input": {"comment": comment}},
        )


def test_a_change_from_the_form_to_its_slot(station: Station) -> None:
    run = trigger(station, "change_request", form())
    assert ended(station, "change_request", run) == "success"
    listed = station.json("change", "list")["changes"]
    (change,) = [item for item in listed if item["title"] == form()["title"]]
    assert (change["state"], change["requester"]) == ("authorizing", "rita")

    refused = len(station.records(event="vote.refused"))
    ballot = trigger(station, "cab_ballot", {})
    # A rejection without its reason does not use up the seat's question.
    answer(station, ballot, "sam", "security_officer", "Reject", "")
    wait_for(lambda: station.records(event="vote.refused")[refused:], seconds=60)
    for seat, user in FOUR.items():
        answer(station, ballot, user, seat, "Approve", "seen")
    assert ended(station, "cab_ballot", ballot) == "success"
    shown = station.json("change", "show", change["id"])
    assert shown["state"] == "scheduled", station.json("change", "why", change["id"])
    assert shown["slot"]["systems"] == ["frontend"]
    assert [vote["counts"] for vote in shown["votes"]] == [True] * 4
    minutes = station.records(event="meeting.closed")[-1]
    assert "security officer: sam approve" in minutes["details"]["minutes"]


def test_a_request_that_is_wrong_is_told_and_not_written(station: Station) -> None:
    before = station.json("change", "list")["changes"]
    run = trigger(station, "change_request", form(affected_systems=["frontnd"]))
    assert ended(station, "change_request", run) == "failed"
    assert station.json("change", "list")["changes"] == before


def test_an_edit_voids_the_votes_and_they_are_given_again(station: Station, tmp_path: Path) -> None:
    run = trigger(station, "change_request", form(title="Second"))
    assert ended(station, "change_request", run) == "success"
    waiting = station.json("change", "list", "--state", "authorizing")["changes"]
    (change,) = [item["id"] for item in waiting if item["title"] == "Second"]
    ballot = trigger(station, "cab_ballot", {"changes": [change]})
    answer(station, ballot, "tomas", "technical_lead", "Approve", "seen")
    wait_for(lambda: station.json("change", "show", change)["votes"], seconds=60)
    edited = station.json(
        "change", "edit", change, "--set", "impact_assessment.rollback_plan=Another way back"
    )
    assert (edited["state"], edited["revision"]) == ("authorizing", 2)
    assert [vote["counts"] for vote in edited["votes"]] == [False]
    again = trigger(station, "cab_ballot", {"changes": [change]})
    for seat, user in FOUR.items():
        answer(station, again, user, seat, "Approve", "seen again")
    assert ended(station, "cab_ballot", again) == "success"
    assert station.json("change", "show", change)["state"] == "scheduled"
