"""Going back by hand, with a real load balancer and a real database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from include.deploy.target import Colour
from include.errors import RequestError
from include.ledger import schema
from include.releases.phases import close
from include.releases.phases.rollback import roll_back
from include.releases.train import Done
from include.rollbacks import restore, steps
from include.rollbacks.rollback import Rollback, Wish, load_rollback, open_rollback
from tests.integration.conftest import PostgresServer
from tests.integration.train.killing import Killed, killing
from tests.integration.train.paper import DAG, person
from tests.integration.train.works import CLOSING, PRODUCTION, Works, open_works

STEPS = (
    steps.stop_new_deployment,
    steps.restore_previous_version,
    restore.count_writes,
    steps.restore_database,
    steps.restore_configuration,
    steps.invalidate_caches,
    steps.verify,
)


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


def released(works: Works) -> str:
    train = works.depart()
    assert works.until_no(train, *PRODUCTION, *CLOSING).ok
    assert works.conclude(train, failed=False).ok
    return train.plan.version


def ask(works: Works, run_id: str, by: str = "tomas", **wish: Any) -> str:
    given = {"service": "hims-api", "version": None, "reason": "slow", "database": False, **wish}
    with works.ledger.write(person(by), DAG, works.clock()) as unit:
        return open_rollback(
            works.board_train,
            unit,
            Wish(**given),
            works.people.find(by),
            run_id=run_id,
            run_state=lambda _: "failed",
        )


def opened(works: Works, run_id: str) -> Rollback:
    with works.ledger.read() as connection:
        return load_rollback(works.board_train, connection, run_id)


def walk(works: Works, run_id: str) -> Done:
    done = Done(message="nothing")
    for step in STEPS:
        done = step(opened(works, run_id))
        if not done.ok:
            break
    return done


def query(works: Works, statement: str) -> list[tuple[Any, ...]]:
    database = works.settings.service("hims-api").environments["production"].database or ""
    assert works.server is not None
    with psycopg.connect(works.server.url(database, "hims_api"), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def test_without_a_release_there_is_no_way_back(works: Works) -> None:
    with pytest.raises(RequestError, match="no earlier version"):
        ask(works, "rollback-0")


def test_six_steps_lead_back_and_lock_and_nobody_notices(works: Works) -> None:
    before = works.served()
    version = released(works)
    ask(works, "rollback-1")
    with works.people_at_work() as people:
        done = walk(works, "rollback-1")
    assert done.ok, done.message
    assert works.served() == before
    assert set(people) == {version, before}, people
    (lock,) = [row for row in works.rows(schema.release_lock) if row.unlocked_at is None]
    assert lock.commits
    live = [
        row
        for row in works.rows(schema.deployment)
        if row.environment == "production" and row.state == "live"
    ]
    assert [row.version for row in live] == [before]
    slot = Colour(live[0].colour)
    assert works.production.staged(slot.other) is None
    (release,) = [row for row in works.rows(schema.release) if row.version == version]
    assert release.state == "rolled_back"
    # Done is done: the same tasks again change nothing.
    assert walk(works, "rollback-1").reason == "already_done"
    works.unlock()


@pytest.mark.parametrize(
    ("wish", "match"),
    [
        ({"by": "devi"}, "may roll back"),
        ({"reason": "  "}, "say why"),
        ({"version": "1.9.9"}, "never served people"),
        ({"version": "2.3.0"}, "never served people"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(
    works: Works, wish: dict[str, Any], match: str
) -> None:
    if works.served() == "2.2.0":
        released(works)
    with pytest.raises(RequestError, match=match):
        ask(works, "rollback-refused", **wish)


def test_back_to_a_chosen_earlier_version_whose_slot_is_long_gone(works: Works) -> None:
    first = works.served()
    released(works)
    released(works)
    ask(works, "rollback-2", version=first)
    assert walk(works, "rollback-2").ok
    assert works.served() == first
    works.unlock()


def test_killed_at_every_point_and_repeated_it_arrives(works: Works) -> None:
    before = works.served()
    released(works)
    ask(works, "rollback-3")
    deaths: list[str] = []
    with killing() as killer:
        for step in STEPS:
            done = None
            while done is None:
                killer.phase = step.__name__
                try:
                    done = step(opened(works, "rollback-3"))
                except Killed as death:
                    deaths.append(str(death))
            assert done.ok, (step.__name__, done.message)
    assert len(deaths) > 10, deaths
    assert works.served() == before
    works.unlock()


def test_a_database_goes_back_only_with_two_votes_on_the_writes_that_it_costs(
    works: Works,
) -> None:
    before = works.served()
    released(works)
    query(works, "UPDATE appointment SET note = 'moved' WHERE id <= 3")
    query(works, "INSERT INTO patient (id, label) VALUES (990, 'Patient 990')")
    query(works, "CREATE TABLE later (id int)")
    ask(works, "rollback-4", database=True)
    for step in STEPS[:3]:
        assert step(opened(works, "rollback-4")).ok
    counted = opened(works, "rollback-4").result("count_writes")
    assert counted["written"] == {"public.appointment": 3, "public.patient": 1}
    assert counted["gone"] == {"public.appointment": 3}

    def vote(by: str, *, approve: bool = True) -> Done:
        return restore.cast_vote(
            opened(works, "rollback-4"),
            works.people.find(by),
            person(by),
            approve=approve,
            comment="",
        )

    assert steps.restore_database(opened(works, "rollback-4")).reason == "not_agreed"
    assert not vote("tomas").ok
    assert not vote("devi").ok
    assert vote("rita").ok
    assert not vote("rita").ok
    assert steps.restore_database(opened(works, "rollback-4")).reason == "not_agreed"
    assert vote("olga").ok
    done = steps.restore_database(opened(works, "rollback-4"))
    assert done.ok, done.message
    assert query(works, "SELECT count(*) FROM patient WHERE id = 990") == [(0,)]
    assert query(works, "SELECT count(*) FROM appointment WHERE note = 'moved'") == [(0,)]
    assert query(works, "SELECT to_regclass('later')") == [(None,)]
    assert walk(works, "rollback-4").ok
    assert works.served() == before
    works.unlock()


def test_after_a_contraction_code_stays_and_only_a_voted_restore_leads_back(works: Works) -> None:
    before = works.served()
    train = works.depart(
        fault="errors",
        files={
            "src/hims_api/migrations/0003_no_minutes_check.sql": "-- kind: contract\n"
            "ALTER TABLE appointment DROP CONSTRAINT appointment_minutes_check;\n"
        },
    )
    done = works.until_no(train, *PRODUCTION)
    assert (done.ok, done.reason) == (False, "error_rate"), done.message
    # The version before calls itself not ready on this schema: nobody is led there.
    stays = roll_back(train)
    assert (stays.ok, stays.reason) == (False, "no_way_back")
    assert "0003_no_minutes_check.sql (contract)" in stays.message
    assert works.served() == train.plan.version
    assert not close.conclude(train).ok
    assert works.state(train) == ("failed", "no_way_back")
    (lock,) = [row for row in works.rows(schema.release_lock) if row.unlocked_at is None]
    assert lock.release_id == train.release
    with pytest.raises(RequestError, match=r"fix.*database restore"):
        ask(works, "rollback-5")
    ask(works, "rollback-5", database=True)
    for step in STEPS[:3]:
        assert step(opened(works, "rollback-5")).ok
    assert works.served() == train.plan.version
    for by in ("rita", "olga"):
        cast = restore.cast_vote(
            opened(works, "rollback-5"),
            works.people.find(by),
            person(by),
            approve=True,
            comment="",
        )
        assert cast.ok, cast.message
    assert walk(works, "rollback-5").ok
    assert works.served() == before
    assert [row[0] for row in works.schema_versions()] == [1, 2]
    works.unlock()


def test_one_objection_keeps_the_database_as_it_is(works: Works) -> None:
    released(works)
    ask(works, "rollback-6", database=True)
    for step in STEPS[:3]:
        assert step(opened(works, "rollback-6")).ok
    for by, approve in (("rita", True), ("olga", False)):
        restore.cast_vote(
            opened(works, "rollback-6"),
            works.people.find(by),
            person(by),
            approve=approve,
            comment="",
        )
    query(works, "UPDATE appointment SET note = 'kept' WHERE id = 1")
    done = steps.restore_database(opened(works, "rollback-6"))
    assert (done.ok, done.reason) == (False, "not_agreed")
    assert query(works, "SELECT note FROM appointment WHERE id = 1") == [("kept",)]
