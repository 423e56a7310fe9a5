"""Whole trains without Airflow: real git, real builds, a real load balancer, real databases."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import insert, update

from include.deploy.strategy import shifts as shifts_of
from include.deploy.target import Colour
from include.deploy.targets.factory import open_target
from include.errors import TargetError
from include.instants import parse_instant
from include.ledger import Actor, Subject, schema
from include.permits.conditions import evaluate
from include.releases.phases import production, rollback
from include.releases.repository import Repository
from include.releases.window_clock import needs_of
from tests.integration.conftest import PostgresServer
from tests.integration.train.killing import Killed, killing
from tests.integration.train.paper import DAG
from tests.integration.train.works import CLOSING, PRODUCTION, Works, open_works


@pytest.fixture(scope="module")
def works(
    postgres: PostgresServer, ledger_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Works]:
    """Return a works on which one train after the other runs."""
    name = postgres.create_database(template=ledger_template, owner="ledger_owner")
    home = tmp_path_factory.mktemp("works")
    with open_works(postgres, postgres.url(name, "ledger_app"), home) as opened:
        yield opened
    postgres.drop_database(name)


def test_a_train_from_freeze_to_its_last_word(works: Works) -> None:
    before = works.served()
    train = works.depart()
    with works.people_at_work() as people:
        done = works.until_no(train, *PRODUCTION, *CLOSING)
    assert done.ok, done.message
    last = works.conclude(train, failed=False)
    assert last.ok, last.message
    assert works.state(train) == ("released", "released")
    version = train.plan.version
    assert works.served() == version
    assert set(people) == {before, version}, people
    assert Repository(works.repository).resolve(f"refs/tags/v{version}")
    assert works.change(train).state == "closed"


def test_staging_rehearses_the_way_back_and_the_window_reserves_what_it_took(works: Works) -> None:
    train = works.depart()
    rehearsed = train.result("rehearse_rollback")
    assert rehearsed["rolled_back"]
    served = open_target(train.plan.service, "staging", works.settings)
    slot = Colour(train.result("deploy_staging")["slot"])
    assert served.weights()[slot] == 100
    assert needs_of(train).rollback >= timedelta(seconds=rehearsed["seconds"])
    works.conclude(train, failed=True)
    # Staging holds a version now that production never had.
    following = works.depart()
    assert following.plan.previous_version != train.plan.version
    assert following.result("rehearse_rollback")["rolled_back"]
    slot = Colour(following.result("deploy_staging")["slot"])
    before = served.staged(slot.other)
    assert before is not None
    assert before.version == following.plan.previous_version
    works.conclude(following, failed=True)


def test_a_failing_smoke_test_never_moves_traffic(works: Works) -> None:
    before = works.served()
    weights = works.production.weights()
    train = works.depart(fault="smoke")
    with works.people_at_work() as people:
        done = works.until_no(train, *PRODUCTION)
        assert (done.ok, done.reason) == (False, "smoke_failed"), done.message
        assert works.production.weights() == weights
        last = works.conclude(train, failed=True)
    assert not last.ok
    assert works.state(train) == ("failed", "smoke_failed")
    assert works.production.weights() == weights
    assert set(people) == {before}, people
    idle = min(Colour, key=lambda colour: weights[colour])
    assert works.production.staged(idle) is None
    assert works.rows(schema.release_lock) == []
    assert works.one(schema.permit, train).closed_at is not None


def test_a_version_that_fails_under_traffic_goes_back(works: Works) -> None:
    before = works.served()
    weights = works.production.weights()
    train = works.depart(fault="errors")
    done = works.until_no(train, *PRODUCTION)
    assert (done.ok, done.reason) == (False, "error_rate"), done.message
    slot = Colour(train.result("deploy_green")["slot"])
    assert works.production.weights()[slot] == 100
    last = works.conclude(train, failed=True)
    assert not last.ok
    assert works.state(train)[0] == "rolled_back"
    assert works.served() == before
    assert works.production.weights() == weights
    (lock,) = works.rows(schema.release_lock)
    assert (lock.release_id, lock.unlocked_at) == (train.release, None)
    again = works.depart()
    refused = works.until_no(again, *PRODUCTION)
    assert (refused.ok, refused.reason) == (False, "permit_refused")
    assert "lock" in refused.message
    works.unlock()
    works.conclude(again, failed=True)


def test_who_finds_a_version_bad_leads_people_back_at_once_and_the_later_task_finds_it_done(
    works: Works,
) -> None:
    before = works.served()
    train = works.depart(fault="errors")
    assert rollback.go_back_at_once(train).reason == "not_needed"
    assert works.until_no(train, *PRODUCTION).reason == "error_rate"
    assert rollback.go_back_at_once(train).reason == "rolled_back"
    assert works.served() == before
    assert not works.conclude(train, failed=True).ok
    assert works.state(train)[0] == "rolled_back"
    attempt = {"id": train.release, "version": str(train.plan.attempt)}
    (done,) = [
        body for body in works.bodies("rollback.done") if attempt.items() <= body["subject"].items()
    ]
    assert done["reason"] == "rolled_back"
    (lock,) = [row for row in works.rows(schema.release_lock) if row.unlocked_at is None]
    assert lock.release_id == train.release
    works.unlock()


def test_a_watch_that_was_marked_done_by_hand_leaves_nobody_on_the_new_version(
    works: Works,
) -> None:
    before = works.served()
    train = works.depart(fault="errors")
    done = works.until_no(train, *PRODUCTION)
    assert (done.ok, done.reason) == (False, "error_rate"), done.message
    assert works.served() != before
    # The forced watch is green, so the Dag's own roll_back is skipped; the last word is not.
    last = works.conclude(train, failed=False)
    assert not last.ok
    assert works.state(train)[0] == "rolled_back"
    assert works.served() == before
    (lock,) = [row for row in works.rows(schema.release_lock) if row.unlocked_at is None]
    assert lock.release_id == train.release
    works.unlock()


def test_a_watched_release_is_not_undone_by_a_task_that_is_run_again(works: Works) -> None:
    train = works.depart()
    assert works.until_no(train, *PRODUCTION).ok
    for again in (train, works.board_train(train.run_id)):
        done = rollback.roll_back(again)
        assert (done.ok, done.reason) == (True, "not_needed"), done.message
    assert works.served() == train.plan.version
    assert works.until_no(train, *CLOSING).ok
    assert works.conclude(train, failed=False).ok
    assert rollback.roll_back(works.board_train(train.run_id)).reason == "not_needed"
    assert works.served() == train.plan.version


def test_a_run_that_ends_in_mid_watch_is_undone_by_the_next_and_never_a_way_back(
    works: Works,
) -> None:
    before = works.served()
    train = works.depart()
    assert works.until_no(train, *PRODUCTION[:-1]).ok
    assert works.served() == train.plan.version
    # The run is ended by hand here, and the next one takes the release over.
    again = works.begin_again(train)
    with works.ledger.read() as connection:
        needs = again.plan.needs
        found = evaluate(again, connection, needs=needs, now=works.clock())
    (condition,) = [item for item in found if item.code == "way_back"]
    assert condition.verdict == "no_go", condition.message
    undone = rollback.undo_dead_attempt(again)
    assert undone is not None
    assert undone.ok, undone.message
    assert rollback.undo_dead_attempt(again) is None
    assert works.served() == before
    (lock,) = [row for row in works.rows(schema.release_lock) if row.unlocked_at is None]
    assert (lock.release_id, len(lock.commits) > 0) == (train.release, True)
    works.unlock()
    works.conclude(again, failed=True)


def test_a_window_that_closes_in_mid_canary_leads_back_as_declared(works: Works) -> None:
    before = works.served()
    train = works.depart(strategy="canary")
    assert works.until_no(train, *PRODUCTION[:-2]).ok
    ends = parse_instant(str(train.result("enter_window")["closes"]))

    def close_soon() -> None:
        while not any(item["release"] == train.release for item in works.bodies("watch.began")):
            time.sleep(0.05)
        works.clock.now = ends - timedelta(minutes=1)

    closing = threading.Thread(target=close_soon)
    closing.start()
    done = production.switch_traffic(train)
    closing.join()
    assert (done.ok, done.reason) == (False, "window_closing"), done.message
    assert "a rollback fits until" in done.message
    works.conclude(train, failed=True)
    assert works.state(train) == ("rolled_back", "window_closing")
    assert works.served() == before
    works.unlock()


def test_a_window_that_closes_between_two_shares_leads_back_as_declared(works: Works) -> None:
    before = works.served()
    train = works.depart(strategy="canary")
    assert works.until_no(train, *PRODUCTION[:-2]).ok
    ends = parse_instant(str(train.result("enter_window")["closes"]))

    def clock() -> datetime:
        return ends - timedelta(minutes=1) if train.has("shift_1") else works.clock()

    done = production.switch_traffic(replace(train, clock=clock))
    assert (done.ok, done.reason) == (False, "window_closing"), done.message
    assert "no larger share" in done.message
    works.conclude(train, failed=True)
    assert works.state(train) == ("rolled_back", "window_closing")
    assert works.served() == before
    works.unlock()


def test_another_version_in_the_slot_than_was_tested_takes_no_traffic(works: Works) -> None:
    before, weights = works.served(), works.production.weights()
    train = works.depart()
    assert works.until_no(train, *PRODUCTION[:-2]).ok
    staged = train.result("deploy_green")
    slot = Colour(staged["slot"])
    other = works.production.staged(slot.other)
    assert other is not None
    works.production.stage(other, slot, staged["fence"])
    done = production.switch_traffic(train)
    assert (done.ok, done.reason) == (False, "replaced"), done.message
    assert works.production.weights() == weights
    works.conclude(train, failed=True)
    assert works.state(train) == ("failed", "replaced")
    assert works.served() == before


def test_another_version_in_the_slot_after_the_switch_is_led_back(works: Works) -> None:
    before = works.served()
    train = works.depart()
    assert works.until_no(train, *PRODUCTION[:-1]).ok
    staged = train.result("deploy_green")
    slot = Colour(staged["slot"])
    other = works.production.staged(slot.other)
    assert other is not None
    works.production.set_weights({slot: 0, slot.other: 100}, staged["fence"])
    works.production.stage(other, slot, staged["fence"])
    works.production.set_weights({slot: 100, slot.other: 0}, staged["fence"])
    done = production.watch_release(train)
    assert (done.ok, done.reason) == (False, "replaced"), done.message
    works.conclude(train, failed=True)
    assert works.state(train) == ("rolled_back", "replaced")
    assert works.served() == before
    works.unlock()


def test_an_incident_in_mid_canary_gives_the_new_version_no_more_and_leads_back(
    works: Works,
) -> None:
    before = works.served()
    train = works.depart(strategy="canary")
    assert works.until_no(train, *PRODUCTION[:-2]).ok
    table = schema.incident
    subject = Subject(kind="incident", id="INC-canary")

    def break_down() -> None:
        own = asdict(train.subject)
        while not any(
            item["subject"].items() <= own.items() for item in works.bodies("watch.began")
        ):
            time.sleep(0.05)
        with works.ledger.write(Actor.service("test"), DAG, works.clock()) as unit:
            row = {"id": subject.id, "severity": "P1", "title": "x", "systems": ["api"]}
            unit.execute(insert(table).values(**row, opened_at=unit.now))
            unit.append("incident.opened", subject, message="opened")

    breaking = threading.Thread(target=break_down)
    breaking.start()
    done = production.switch_traffic(train)
    breaking.join()
    assert (done.ok, done.reason) == (False, "permit_withdrawn"), done.message
    assert "P1 INC-canary is open" in done.message
    slot = Colour(train.result("deploy_green")["slot"])
    assert works.production.weights()[slot] < 100
    works.conclude(train, failed=True)
    assert works.served() == before
    works.unlock()
    with works.ledger.write(Actor.service("test"), DAG, works.clock()) as unit:
        unit.execute(update(table).values(closed_at=unit.now))
        unit.append("incident.closed", subject, message="closed")


@pytest.mark.parametrize("incident", [True, False])
def test_what_is_finished_although_its_window_closes_still_needs_all_else(
    works: Works, incident: bool
) -> None:
    before = works.served()
    train = works.depart(strategy="rolling")
    assert works.until_no(train, *PRODUCTION[:-2]).ok
    ends = parse_instant(str(train.result("enter_window")["closes"]))
    profile = train.plan.profile
    closing = profile.closing.model_copy(update={"shift": "finish"})
    declared = profile.model_copy(update={"closing": closing})
    plan = train.plan.model_copy(update={"profile": declared})
    table, key = schema.incident, "INC-closing"

    def clock() -> datetime:
        if not train.has("shift_1"):
            return works.clock()
        if incident and all(row.id != key for row in works.rows(table)):
            with works.ledger.write(Actor.service("test"), DAG, works.clock()) as unit:
                row = {"id": key, "severity": "P1", "title": "x", "systems": ["api"]}
                unit.execute(insert(table).values(**row, opened_at=unit.now))
                unit.append("incident.opened", Subject(kind="incident", id=key), message="opened")
        return ends + timedelta(minutes=1)

    done = production.switch_traffic(replace(train, clock=clock, plan=plan))
    assert done.ok is not incident, done.message
    if incident:
        assert "P1 INC-closing is open" in done.message
        works.conclude(train, failed=True)
        assert works.served() == before
        works.unlock()
        with works.ledger.write(Actor.service("test"), DAG, works.clock()) as unit:
            unit.execute(update(table).where(table.c.id == key).values(closed_at=unit.now))
            unit.append("incident.closed", Subject(kind="incident", id=key), message="closed")
    else:
        assert works.until_no(train, PRODUCTION[-1], *CLOSING).ok
        assert works.conclude(train, failed=False).ok


def test_a_window_that_closes_after_the_switch_lets_the_watch_finish(works: Works) -> None:
    train = works.depart()
    assert works.until_no(train, *PRODUCTION[:-1]).ok
    works.clock.now = parse_instant(str(train.result("enter_window")["closes"]))
    assert production.watch_release(train).ok
    assert works.until_no(train, *CLOSING).ok
    assert works.conclude(train, failed=False).ok


def test_a_canary_ends_with_all_traffic_and_nobody_notices(works: Works) -> None:
    before = works.served()
    train = works.depart(strategy="canary")
    with works.people_at_work() as people:
        assert works.until_no(train, *PRODUCTION, *CLOSING).ok
    assert works.conclude(train, failed=False).ok
    assert set(people) == {before, train.plan.version}, people
    said = [item for item in works.bodies("watch.began") if item["release"] == train.release]
    assert len(said) == 4
    assert "decide by" in said[0]["message"]


def test_nobody_is_led_back_to_a_version_that_does_not_answer(works: Works) -> None:
    train = works.depart(fault="errors")
    done = works.until_no(train, *PRODUCTION)
    assert (done.ok, done.reason) == (False, "error_rate"), done.message
    slot = Colour(train.result("deploy_green")["slot"])
    held = works.production.staged(slot.other)
    assert held is not None
    works.stop_slot(slot.other)
    with pytest.raises(TargetError, match="is not clear"):
        rollback.roll_back(train)
    assert works.production.weights()[slot] == 100
    works.production.stage(held, slot.other, works.newest_fence())
    assert works.conclude(train, failed=True).ok is False
    assert works.state(train) == ("rolled_back", "error_rate")
    assert works.served() == held.version
    works.unlock()


@pytest.mark.parametrize(
    ("strategy", "shifts"),
    [("blue_green", 1), pytest.param("canary", 4, marks=pytest.mark.faults)],
)
def test_a_train_that_is_killed_at_every_point_and_repeated_ends_as_if_it_never_had_been(
    works: Works, strategy: str, shifts: int
) -> None:
    """Before and after every side effect of every step in production, the process dies; the step
    is then run again, as Airflow would."""
    before = works.served()
    train = works.depart(strategy=strategy)
    deaths = []
    with works.people_at_work() as people, killing() as killer:
        for phase in PRODUCTION:
            done = None
            while done is None:
                killer.phase = phase.__name__
                try:
                    done = phase(works.board_train(train.run_id))
                except Killed as death:
                    deaths.append(str(death))
            assert done.ok, (phase.__name__, done.message, deaths)
            works.clock.now += timedelta(seconds=5)
    assert len(deaths) > 60, deaths
    for effect in ("dump", "restore", "migrate", "stage", "put_unit", "put_weights", "set_weights"):
        assert any(effect in death for death in deaths), (effect, deaths)
    slot = Colour(train.result("deploy_green")["slot"])
    for shift in shifts_of(strategy, train.plan.profile.shares, timedelta(0)):
        for effect in ("LocalTarget.set_weights", "SlotStore.put_weights", "HaproxyAdmin"):
            at = rf"{effect}\b.* {slot} {shift.percent}\b"
            found = [death for death in deaths if re.search(at, death.replace("/", " "))]
            assert len(found) == 2, (at, deaths)
    assert works.production.weights() == {slot: 100, slot.other: 0}
    assert works.served() == train.plan.version
    assert set(people) == {before, train.plan.version}, people

    # One switch, one permit, one backup, one deployment, and the schema where it was.
    attempt = ("release", train.release, str(train.plan.attempt))
    succeeded = [
        item["event"]
        for item in works.bodies()
        if tuple(item["subject"].get(key) for key in ("kind", "id", "version")) == attempt
        and item["outcome"] == "success"
    ]
    for event in ("backup.taken", "backup.proven", "deploy.began", "deploy.staged"):
        assert succeeded.count(event) == 1, event
    for event in ("deploy.switch_began", "deploy.switched"):
        assert succeeded.count(event) == 1, event
    assert succeeded.count("deploy.traffic_shifted") == shifts
    fence = train.result("deploy_green")["fence"]
    assert works.one(schema.permit, train).fence == fence
    assert works.one(schema.backup, train).proven_at is not None
    deployed = [
        row.state
        for row in works.rows(schema.deployment)
        if (row.release_id, row.attempt) == (train.release, train.plan.attempt)
        and row.environment == "production"
    ]
    assert deployed == ["live"]
    assert [row[0] for row in works.schema_versions()] == [1, 2]
    assert works.until_no(train, *CLOSING).ok
    assert works.conclude(train, failed=False).ok


def test_a_way_back_that_is_killed_at_every_point_and_repeated_arrives(works: Works) -> None:
    before, weights = works.served(), works.production.weights()
    train = works.depart(fault="errors")
    assert not works.until_no(train, *PRODUCTION).ok
    deaths = []
    with killing() as killer:
        killer.phase = "roll_back"
        done = None
        while done is None:
            try:
                done = rollback.roll_back(works.board_train(train.run_id))
            except Killed as death:
                deaths.append(str(death))
    assert done.ok, done.message
    assert len(deaths) > 10, deaths
    assert works.served() == before
    assert works.production.weights() == weights
    (lock,) = [row for row in works.rows(schema.release_lock) if row.unlocked_at is None]
    assert lock.release_id == train.release
    ended = [
        item["subject"]["version"]
        for item in works.bodies("rollback.done")
        if item["release"] == train.release
    ]
    assert ended.count(str(train.plan.attempt)) == 1
    works.conclude(train, failed=False)
    assert works.state(train)[0] == "rolled_back"
    states = {
        row.state
        for row in works.rows(schema.deployment)
        if row.environment == "production" and row.ended_at is None
    }
    assert states == {"live"}
    works.unlock()
