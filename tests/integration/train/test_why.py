"""`./hims why` and `./hims audit list`: the permit's own list, for people and for scripts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from include.cli import main
from include.ledger import schema
from include.permits.permit import issue
from tests.integration.train.paper import PLANNED_AT, Station

CODES = [
    "release", "content", "votes", "calendar", "incidents", "backup", "gate.commits",
    "gate.release_tests", "gate.staging_tests", "gate.uat", "gate.go_no_go", "lock", "superseded",
    "way_back", "slot", "records", "ledger",
]  # fmt: skip


def test_a_release_that_may_go_says_yes_to_every_condition(permitted: Station, hims: Any) -> None:
    status, out, _ = hims(permitted, "why", "hims-api-2.3.0", "--json")
    answer = json.loads(out)
    assert (status, answer["id"], answer["allowed"]) == (0, "hims-api-2.3.0", True)
    assert [item["code"] for item in answer["conditions"]] == CODES
    assert {item["verdict"] for item in answer["conditions"]} == {"go"}
    assert all(item["message"] and item["who"] for item in answer["conditions"])


def test_asking_changes_nothing(permitted: Station, hims: Any) -> None:
    before = len(permitted.bodies())
    hims(permitted, "why", "hims-api-2.3.0", "--json")
    assert len(permitted.bodies()) == before
    assert permitted.rows(schema.permit) == []


def test_a_change_is_asked_about_by_its_own_number(permitted: Station, hims: Any) -> None:
    change = permitted.change(permitted.train(begin=False)).id
    status, out, _ = hims(permitted, "why", change, "--json")
    assert (status, json.loads(out)["id"]) == (0, change)


def test_a_release_that_may_not_go_says_what_and_who_can_change_it(
    permitted: Station, hims: Any
) -> None:
    permitted.arrange(
        "DELETE FROM vote WHERE voter = 'sam'",
        "DELETE FROM gate WHERE name = 'uat'",
        "UPDATE backup SET proven_at = NULL",
        "INSERT INTO incident VALUES ('INC-7', 'P1', 'Lab results late', '{api}', now(), NULL)",
    )
    status, out, _ = hims(permitted, "why", "hims-api-2.3.0", "--json")
    answer = json.loads(out)
    assert (status, answer["allowed"]) == (1, False)
    said = {
        item["code"]: (item["verdict"], item["message"], item["who"])
        for item in answer["conditions"]
        if item["verdict"] != "go"
    }
    assert said == {
        "votes": (
            "inconclusive",
            "no approval of this content by: security officer",
            "Security Officer",
        ),
        "incidents": ("no_go", "P1 INC-7 is open: Lab results late", "on call"),
        "backup": (
            "inconclusive",
            "BKP-hims-api-2.3.0-1 was taken and never proven by a restore",
            "operations",
        ),
        "gate.uat": (
            "inconclusive",
            "has not spoken on this commit and artefact",
            "qa lead, business representative",
        ),
    }
    # What the command says is what the permit says.
    recorded = {item.code: item.message for item in issue(permitted.train(begin=False)).conditions}
    assert recorded == {item["code"]: item["message"] for item in answer["conditions"]}


def test_people_read_a_list_with_marks(permitted: Station, hims: Any) -> None:
    permitted.arrange("DELETE FROM vote WHERE voter = 'sam'")
    status, out, err = hims(permitted, "why", "hims-api-2.3.0")
    lines = out.splitlines()
    assert (status, err) == (1, "")
    assert lines[0] == "hims-api-2.3.0: no permit now"
    assert sum(line.startswith("  ✓") for line in lines) == len(CODES) - 1
    (open_point,) = [line for line in lines if line.startswith("  ?")]
    assert open_point.endswith("→ Security Officer")


def test_long_before_its_time_a_release_says_what_is_still_to_come(
    station: Station, hims: Any
) -> None:
    station.begin()
    status, out, _ = hims(station, "why", "hims-api-2.3.0", "--json")
    verdicts = {item["code"]: item["verdict"] for item in json.loads(out)["conditions"]}
    assert status == 1
    assert verdicts["release"] == "go"
    for code in ("content", "votes", "backup", "gates", "slot"):
        assert verdicts[code] == "inconclusive", code
    assert verdicts["calendar"] == "no_go"


@pytest.mark.parametrize("wanted", ["hims-api-9.9.9", "CHG-999999", "", "'; --", "x" * 5000])
def test_what_the_ledger_does_not_know_is_a_no(station: Station, hims: Any, wanted: str) -> None:
    status, out, err = hims(station, "why", wanted)
    assert (status, err) == (1, "")
    assert out.startswith("the ledger knows no release or change")
    assert len(out) < 300
    status, out, _ = hims(station, "why", wanted, "--json")
    answer = json.loads(out)
    assert (status, answer["allowed"]) == (1, False)
    assert [item["code"] for item in answer["conditions"]] == ["known"]
    # The same answer as from the list of records.
    assert hims(station, "audit", "list", "--release", wanted)[0] == 1


def test_a_ledger_that_is_away_is_a_sentence(
    station: Station, hims: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("HIMS_CONFIG", str(station.settings.directory))
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_CONTROL_DB", "postgresql://x:y@127.0.0.1:1/ledger")
    assert main(["why", "hims-api-2.3.0"]) == 2
    assert capsys.readouterr().err.startswith("hims: the ledger's database does not answer")


def test_the_audit_lists_a_release_s_records_in_order(permitted: Station, hims: Any) -> None:
    permitted.clock.now = PLANNED_AT
    status, out, _ = hims(permitted, "audit", "list", "--release", "hims-api-2.3.0", "--json")
    records = json.loads(out)["records"]
    assert status == 0
    assert [item["seq"] for item in records] == sorted(item["seq"] for item in records)
    assert records[0]["event"] == "release.planned"
    assert all(item["release"] == "hims-api-2.3.0" for item in records)
    assert all(item["leaf_hash"].startswith("sha256:") for item in records)


def audit(hims: Any, station: Station, *words: str) -> tuple[int, list[dict[str, Any]]]:
    status, out, _ = hims(station, "audit", "list", "--json", *words)
    return status, json.loads(out)["records"]


def test_the_audit_is_read_in_days_and_sentences(permitted: Station, hims: Any) -> None:
    status, out, _ = hims(permitted, "audit", "list", "--event", "vote.cast")
    lines = out.splitlines()
    assert status == 0
    assert lines[0] == "Monday 2 November 2026 (UTC)"
    assert lines[-1] == "4 records: 4 success"
    (sam,) = [line for line in lines if "security_officer" in line]
    assert "✓ vote.cast" in sam
    assert sam.endswith("Sam votes approve for security_officer  — Sam sam (airflow-hitl), t")


def test_a_family_of_events_is_found_and_no_event_that_only_sounds_like_it(
    permitted: Station, hims: Any
) -> None:
    issue(permitted.train(begin=False))
    _, everything = audit(hims, permitted)
    names = {item["event"] for item in everything}
    assert {"permit.issued", "vote.cast", "change.opened"} <= names
    for family in ("permit", "vote", "change"):
        _, found = audit(hims, permitted, "--event", family)
        wanted = [item for item in everything if item["event"].startswith(f"{family}.")]
        assert found == wanted
    for nothing in ("perm", "vote.", "%", "permit.%", "vote_cast"):
        assert audit(hims, permitted, "--event", nothing) == (1, [])


def test_an_actor_is_found_by_sign_in_and_a_service_by_its_name(
    permitted: Station, hims: Any
) -> None:
    _, everything = audit(hims, permitted)
    for user in ("sam", "rita", "service:release_train"):
        _, found = audit(hims, permitted, "--actor", user)
        assert found == [item for item in everything if item["actor"]["user"] == user] != []
    for nobody in ("Sam", "sam' or 'a'='a", "nobody", ""):
        assert audit(hims, permitted, "--actor", nobody) == (1, [])


def test_a_stretch_of_time_holds_its_first_instant_and_not_its_last(
    permitted: Station, hims: Any
) -> None:
    _, everything = audit(hims, permitted)
    times = sorted({item["time"] for item in everything})
    assert len(times) > 1
    for first in times:
        for last in times:
            if last < first:
                assert hims(permitted, "audit", "list", "--from", first, "--to", last)[0] == 2
                continue
            _, found = audit(hims, permitted, "--from", first, "--to", last)
            assert found == [item for item in everything if first <= item["time"] < last]
    # The same instant, written in another zone.
    shifted = times[-1].replace("T07:", "T02:").replace("Z", "-05:00")
    assert audit(hims, permitted, "--from", shifted) == audit(hims, permitted, "--from", times[-1])


@pytest.mark.parametrize("words", [("--from", "yesterday"), ("--to", "2026-11-28T07:00:00")])
def test_a_time_that_is_none_is_misuse(station: Station, hims: Any, words: tuple[str, str]) -> None:
    status, out, err = hims(station, "audit", "list", *words)
    assert (status, out) == (2, "")
    assert "is not an instant" in err


def test_what_was_denied_is_counted_and_says_why(permitted: Station, hims: Any) -> None:
    train = permitted.train(begin=False)
    permitted.vote(train, "qa_lead", "mei")
    _, out, _ = hims(permitted, "audit", "list", "--event", "vote.refused")
    assert "because: not_eligible" in out
    assert out.splitlines()[-1] == "1 record: 1 denied"


def test_an_audit_without_records_is_a_no(station: Station, hims: Any) -> None:
    assert hims(station, "audit", "list", "--release", "none")[:2] == (1, "no records\n")
    assert hims(station, "audit", "list", "--json")[:2] == (1, '{\n  "records": []\n}\n')
    assert hims(station, "audit", "list")[:2] == (1, "no records\n")


@pytest.mark.parametrize("words", [("why",), ("audit", "list", "--release")])
def test_what_is_no_text_is_misuse(station: Station, hims: Any, words: tuple[str, ...]) -> None:
    status, out, err = hims(station, *words, "\udcff")
    assert (status, out) == (2, "")
    assert "is not UTF-8 text" in err
