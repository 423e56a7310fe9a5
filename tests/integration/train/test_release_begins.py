"""How a release begins: once, by one run, with a plan that stays as it was."""

from __future__ import annotations

import dataclasses
import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from include.errors import LedgerError, RecordMissing, RequestError
from include.ledger import Ledger, Subject, schema
from include.releases.phases import cab
from include.releases.plan import ReleasePlan
from include.releases.release import end_release, refuse_release
from tests.integration.train.paper import (
    DAG,
    OPENING,
    PLANNED_AT,
    Station,
    permit_of,
    person,
    spoil,
)


def test_a_plan_counts_back_from_its_slot_and_is_on_record(station: Station) -> None:
    plan = station.begin()
    assert plan.slot.start == OPENING
    # A train that enters at the last moment still has time for its backup.
    assert plan.slot.latest_start + plan.work <= plan.slot.end
    assert plan.feature_freeze == OPENING - timedelta(days=14)
    assert plan.code_freeze == OPENING - timedelta(days=7)
    assert (plan.previous_version, plan.release_branch, plan.source_branch) == (
        "2.2.0",
        "release/v2.3.0",
        "develop",
    )
    (record,) = station.bodies("release.planned")
    assert record["subject"] == {
        "kind": "release",
        "id": "hims-api-2.3.0",
        "version": "1",
        "content_hash": plan.digest(),
    }
    assert record["actor"]["user"] == "rita"
    (notice,) = station.rows(schema.notice)
    assert notice.thread == "hims-api-2.3.0"


def test_the_plan_stays_what_it_was_whatever_config_says_later(station: Station) -> None:
    plan = station.begin()
    spoil(station.settings.config_file("approvals.yaml"), "votes: 4", "votes: 3")
    spoil(station.settings.config_file("releases.yaml"), "code_freeze: 7d", "code_freeze: 1d")
    assert station.train(begin=False).plan == plan
    assert station.train(begin=False).plan.digest() == plan.digest()


def test_the_same_run_asking_again_gets_the_same_plan_and_writes_nothing(
    station: Station,
) -> None:
    plan = station.begin()
    before = station.bodies()
    station.clock.now += timedelta(hours=1)
    assert station.begin() == plan
    assert station.bodies() == before
    assert len(station.rows(schema.notice)) == 1


def test_a_run_id_drives_one_release_also_when_its_run_was_deleted(station: Station) -> None:
    station.begin("rel-1")
    with station.train("rel-1", begin=False).unit() as unit:
        unit.execute(update(schema.release).values(state="released"))
        unit.append("test.arranged", Subject(kind="release", id="x"), message="arranged")
    before = station.bodies()
    with pytest.raises(RequestError, match=r"rel-1 belongs to hims-api-2\.3\.0.*another run id"):
        station.begin("rel-1", version="2.3.1", kind="patch")
    assert station.bodies() == before


def test_a_second_run_is_refused_while_the_first_is_under_way(station: Station) -> None:
    station.begin()
    for state in ("running", "queued", "anything new"):
        with pytest.raises(RequestError, match="is under way in run run-1"):
            station.begin("run-2", states={"run-1": state})
    assert station.train(begin=False).plan.attempt == 1


@pytest.mark.parametrize("state", ["failed", "success", None])
def test_a_run_that_ended_without_a_word_is_taken_over(station: Station, state: str | None) -> None:
    first = station.begin()
    second = station.begin("run-2", states={"run-1": state})
    assert (first.attempt, second.attempt) == (1, 2)
    with pytest.raises(RecordMissing, match="another run has taken it over"):
        station.train("run-1", begin=False)
    assert station.train("run-2", begin=False).plan == second
    (row,) = station.rows(schema.release)
    assert (row.run_id, row.attempt, row.state) == ("run-2", 2, "running")


def test_a_new_attempt_gets_the_slot_that_the_dead_one_had_booked(built: Station) -> None:
    dead = built.train(begin=False)
    assert cab.open_release_change(dead).ok
    old = built.change(dead)
    new = built.train("run-2", states={"run-1": None})
    (change,) = built.rows(schema.change)
    assert (change.id, change.state) == (old.id, "cancelled")
    built.build(new)
    assert cab.open_release_change(new).ok
    booked = [row.change_id for row in built.rows(schema.slot) if row.released_at is None]
    assert booked == [built.change(new).id]
    assert built.change(new).id != old.id


def test_a_new_attempt_closes_the_dead_one_s_permit_and_its_change(permitted: Station) -> None:
    permit_of(permitted.train(begin=False))
    permitted.clock.now = PLANNED_AT
    permitted.begin("run-2", states={"run-1": "failed"})
    (permit,) = permitted.rows(schema.permit)
    assert permit.closed_at is not None
    assert [row.state for row in permitted.rows(schema.change)] == ["cancelled"]
    assert [row for row in permitted.rows(schema.slot) if row.released_at is None] == []


def test_a_release_that_has_ended_may_be_tried_again_but_not_when_it_was_released(
    station: Station,
) -> None:
    for number, state in enumerate(["failed", "rejected", "rolled_back", "released"], start=1):
        plan = station.begin(f"run-{number}")
        assert plan.attempt == number
        end(station, plan, state)
    with pytest.raises(RequestError, match=r"hims-api-2\.3\.0 has been released already"):
        station.begin("run-9")


def end(station: Station, plan: ReleasePlan, state: str) -> None:
    now = station.clock()
    with station.ledger.write(person("rita"), DAG, now) as unit:
        end_release(station.ledger, plan, state, state, f"it {state}", now)(unit)
        unit.append(f"release.{state}", Subject(kind="release", id=plan.release), message=state)


def test_the_first_word_on_how_a_release_ended_stands(station: Station) -> None:
    plan = station.begin()
    end(station, plan, "rejected")
    end(station, plan, "released")
    (row,) = station.rows(schema.release)
    assert (row.state, row.message) == ("rejected", "it rejected")


def test_of_two_runs_that_begin_at_the_same_instant_one_gets_the_release(station: Station) -> None:
    got: list[str] = []
    refused: list[str] = []
    gate = threading.Barrier(5)

    def begin(run_id: str) -> None:
        gate.wait()
        try:
            station.begin(run_id)
        except RequestError as error:
            refused.append(str(error))
        else:
            got.append(run_id)

    threads = [threading.Thread(target=begin, args=(f"run-{number}",)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1, (got, refused)
    assert len(refused) == 4
    (row,) = station.rows(schema.release)
    assert (row.run_id, row.attempt) == (got[0], 1)
    assert len(station.bodies("release.planned")) == 1


def test_of_two_runs_that_take_over_at_the_same_instant_one_gets_it(station: Station) -> None:
    station.begin("run-0")
    got: list[int] = []
    refused: list[str] = []
    gate = threading.Barrier(4)

    def begin(run_id: str) -> None:
        gate.wait()
        try:
            got.append(station.begin(run_id, states={"run-0": None}).attempt)
        except RequestError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=begin, args=(f"run-{number}",)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [2]
    assert len(refused) == 3


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ({"service": "hims-apo"}, "did you mean"),
        ({"service": "hims-web"}, "can deploy to: local"),
        ({"version": "2.2.0"}, "2.2.0 has been released already"),
        ({"version": "2.1.9"}, "is older than 2.2.0"),
        ({"version": "2.4.0"}, "leaves out versions"),
        ({"version": "3.0.0"}, "changes the major part"),
        ({"version": "2.2.1"}, "changes the patch part"),
        ({"target_window": "2026-10-31T06:00:00Z"}, "is in the past"),
        ({"target_window": "2026-11-07T07:00:00Z"}, "is inside the freeze lead"),
        ({"target_window": "2026-11-25T07:00:00Z"}, "no window is open"),
    ],
)
def test_what_cannot_be_met_is_refused_and_nothing_is_written(
    station: Station, conf: dict[str, str], said: str
) -> None:
    with pytest.raises(RequestError) as refused:
        station.begin(**conf)  # type: ignore[arg-type]
    assert said in str(refused.value)
    assert station.bodies() == []
    assert station.rows(schema.release) == []


def test_a_refusal_is_a_record_however_hostile_its_words(station: Station) -> None:
    hostile = "../../\x00\ud800" + "x" * 100_000
    refuse_release(station.ledger, person("rita"), DAG, station.clock(), hostile, hostile)
    refuse_release(station.ledger, person("rita"), DAG, station.clock(), "", "no service")
    first, second = station.bodies("release.refused")
    assert (first["outcome"], first["reason"]) == ("denied", "bad_request")
    assert len(first["message"]) == 2000
    assert len(first["subject"]["id"]) == 80
    assert second["subject"]["id"] == "?"


def test_a_ledger_that_does_not_answer_refuses_and_leaves_nothing(station: Station) -> None:
    away = dataclasses.replace(station, ledger=Ledger("postgresql://x:y@127.0.0.1:1/ledger"))
    with pytest.raises(LedgerError, match="does not answer"):
        away.begin()
    assert station.begin().attempt == 1


def test_a_run_that_never_planned_anything_has_no_train(station: Station) -> None:
    with pytest.raises(RecordMissing, match="never planned"):
        station.train("run-7", begin=False)


def test_planning_reads_the_clock_that_it_is_given(station: Station) -> None:
    station.clock.now = datetime(2027, 3, 1, tzinfo=UTC)
    plan = station.begin(target_window=None)
    assert plan.slot.start >= station.clock.now + timedelta(days=14)
