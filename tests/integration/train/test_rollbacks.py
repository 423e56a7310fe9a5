"""Going back by hand, with a real load balancer and a real database."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from sqlalchemy import Update, insert, literal, select, update

from include.deploy.target import Colour
from include.errors import RequestError
from include.ledger import Subject, schema
from include.releases.lock import unlock
from include.releases.phases import close
from include.releases.phases.cab import release_change
from include.releases.phases.rollback import roll_back
from include.releases.repository import Repository
from include.releases.train import Done
from include.rollbacks import restore, steps
from include.rollbacks.rollback import Rollback, Wish, end_rollback, load_rollback, open_rollback
from tests.integration.conftest import PostgresServer
from tests.integration.stack.conftest import until
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


def contraction(works: Works) -> dict[str, str]:
    """Return a migration that the version before does not work with, unless it is there already."""
    path = "src/hims_api/migrations/0003_no_minutes_check.sql"
    if path in Repository(works.repository).files("develop", "src/hims_api/migrations"):
        return {}
    return {
        path: "-- kind: contract\n"
        "ALTER TABLE appointment DROP CONSTRAINT appointment_minutes_check;\n"
    }


def agree(works: Works, run_id: str) -> None:
    """Let two people agree to what a restore would cost."""
    for by in ("rita", "olga"):
        voter = works.people.find(by)
        cast = restore.cast_vote(opened(works, run_id), voter, person(by), approve=True, comment="")
        assert cast.ok, cast.message


def ask(
    works: Works,
    run_id: str,
    by: str = "tomas",
    *,
    runs: str = "failed",
    first: Update | None = None,
    **wish: Any,
) -> str:
    given = {"service": "hims-api", "version": None, "reason": "slow", "database": False, **wish}
    with works.ledger.write(person(by), DAG, works.clock()) as unit:
        if first is not None:
            unit.execute(first)
        return open_rollback(
            works.board_train,
            unit,
            Wish(**given),
            works.people.find(by),
            run_id=run_id,
            run_state=lambda *_: runs,
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
    live = (schema.deployment.c.state == "live") & (schema.deployment.c.service == "hims-api")
    first = update(schema.deployment).where(live).values(release_id=None)
    # The unit is undone with what is refused in it: other tests still find their releases.
    with pytest.raises(RequestError, match="no earlier version"):
        ask(works, "rollback-0", first=first)


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
    before, known = works.served(), works.schema_versions()
    released(works)
    migrated = len(works.schema_versions()) - len(known)
    query(works, "UPDATE appointment SET note = 'moved' WHERE id <= 3")
    query(works, "INSERT INTO patient (id, label) VALUES (990, 'Patient 990')")
    query(works, "CREATE TABLE later (id int)")
    ask(works, "rollback-4", database=True)
    for step in STEPS[:3]:
        assert step(opened(works, "rollback-4")).ok
    counted = opened(works, "rollback-4").result("count_writes")
    # What the release's own migrations wrote about themselves, if it was the first to bring them.
    own = {"public.schema_version": migrated} if migrated else {}
    assert counted["written"] == {"public.appointment": 3, "public.patient": 1, **own}
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
    query(works, "INSERT INTO patient (id, label) SELECT n, '' FROM generate_series(2000, 2200) n")
    more = steps.restore_database(opened(works, "rollback-4"))
    assert (more.ok, more.reason) == (False, "lost_more"), more.message
    assert query(works, "SELECT count(*) FROM patient WHERE id >= 990") == [(202,)]
    query(works, "DELETE FROM patient WHERE id >= 2000")
    done = steps.restore_database(opened(works, "rollback-4"))
    assert done.ok, done.message
    (kept,) = [row for row in works.rows(schema.backup) if row.id.startswith("BKP-RBK-")]
    assert "before-restore" in kept.path
    assert query(works, "SELECT count(*) FROM patient WHERE id = 990") == [(0,)]
    assert query(works, "SELECT count(*) FROM appointment WHERE note = 'moved'") == [(0,)]
    assert query(works, "SELECT to_regclass('later')") == [(None,)]
    assert walk(works, "rollback-4").ok
    assert works.served() == before
    works.unlock()


def test_after_a_contraction_code_stays_and_only_a_voted_restore_leads_back(works: Works) -> None:
    before = works.served()
    known = works.schema_versions()
    train = works.depart(fault="errors", files=contraction(works))
    # What the board has signed is the way back that there is.
    tried = train.result("rehearse_rollback")["why"]
    assert "does not work, which in production" in tried, tried
    promised = str(release_change(train).content["rollback_plan"])
    assert "does not go back over 0003_no_minutes_check.sql (contract)" in promised
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
    agree(works, "rollback-5")
    assert walk(works, "rollback-5").ok
    assert works.served() == before
    assert works.schema_versions() == known
    # The lock was there already, without what this rollback adds: commits, and who asked for it.
    (lock,) = [row for row in works.rows(schema.release_lock) if row.unlocked_at is None]
    assert lock.commits
    assert "RBK-" in lock.reason
    with works.ledger.write(person("tomas"), DAG, works.clock()) as unit:
        tomas = works.people.find("tomas")
        assert tomas is not None
        assert unlock(unit, "hims-api", tomas, "mine").reason == "same_person"
    works.unlock()


def test_what_failed_tries_have_migrated_is_told_and_the_backup_from_before_them_is_put_back(
    works: Works,
) -> None:
    before = works.served()
    known = works.schema_versions()
    train = works.depart(fault="smoke", files=contraction(works))
    assert works.until_no(train, *PRODUCTION).reason == "smoke_failed"
    # Nobody was led anywhere, but the version that serves has lost what it relies on.
    assert not works.conclude(train, failed=True).ok
    (lock,) = [row for row in works.rows(schema.release_lock) if row.unlocked_at is None]
    assert "0003_no_minutes_check.sql (contract)" in lock.reason
    (told,) = [row for row in works.rows(schema.notice) if row.event == "release.schema_left"]
    assert "It does not work on it" in told.text
    works.unlock()
    again = works.depart(fault="smoke")
    assert (again.release, again.plan.attempt) == (train.release, train.plan.attempt + 1)
    assert works.until_no(again, *PRODUCTION).reason == "smoke_failed"
    assert not works.conclude(again, failed=True).ok
    # What serves is what is gone back to; the second try's backup holds the schema that has to go.
    ask(works, "rollback-7", database=True)
    for step in STEPS[:3]:
        assert step(opened(works, "rollback-7")).ok
    counted = opened(works, "rollback-7").result("count_writes")
    assert counted["backup"] == works.one(schema.backup, train).digest
    agree(works, "rollback-7")
    assert walk(works, "rollback-7").ok
    assert works.served() == before
    assert works.schema_versions() == known
    live = [
        row
        for row in works.rows(schema.deployment)
        if row.environment == "production" and row.state == "live"
    ]
    assert [row.version for row in live] == [before]
    works.unlock()


def test_in_mid_deploy_nobody_goes_back_from_what_served_before(works: Works) -> None:
    # With all that waits to be released: a migration left by another test would break what serves.
    released(works)
    serves = works.served()
    train = works.depart(strategy="canary")
    assert works.until_no(train, *PRODUCTION[:3]).ok
    with pytest.raises(RequestError, match=f"is being deployed right now.* {serves}, which served"):
        ask(works, "rollback-8", runs="running")
    works.conclude(train, failed=True)
    assert works.served() == serves


def test_rollbacks_of_two_services_at_once_have_a_number_each(works: Works) -> None:
    # Twice: between the last two lies nothing that another test wants to be released.
    released(works)
    released(works)
    for path in (works.settings.state_dir / "artefacts").glob("hims-api-*"):
        shutil.copyfile(path, path.with_name(path.name.replace("hims-api", "hims-web")))
    table = schema.deployment
    own = [c for c in table.c if c.name not in ("id", "service")]
    served = (table.c.service == "hims-api") & (table.c.environment == "production")
    copied = select(literal("hims-web"), *own).where(served).order_by(table.c.id)
    with works.ledger.write(person("tomas"), DAG, works.clock()) as unit:
        unit.execute(insert(table).from_select(["service", *(c.name for c in own)], copied))
        unit.append("copied", Subject(kind="service", id="hims-web"), message="copied")
    assert works.server is not None
    found: list[str] = []
    with (
        ThreadPoolExecutor() as pool,
        psycopg.connect(works.server.url(), autocommit=True) as looking,
    ):
        with works.ledger.write(person("tomas"), DAG, works.clock()) as unit:
            wish = Wish(service="hims-api", version=None, reason="slow", database=False)
            tomas, states = works.people.find("tomas"), lambda *_: "failed"
            found.append(
                open_rollback(
                    works.board_train, unit, wish, tomas, run_id="rollback-9", run_state=states
                )
            )
            other = pool.submit(ask, works, "rollback-10", service="hims-web")
            until(
                lambda: (
                    other.done()
                    or looking.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone()
                )
            )
        found.append(other.result(timeout=30))
    assert len(set(found)) == 2
    with works.ledger.write(person("tomas"), DAG, works.clock()) as unit:
        for key in found:
            end_rollback(unit, key, "failed")
        unit.execute(update(table).where(table.c.service == "hims-web").values(state="retired"))
        unit.append("ended", Subject(kind="service", id="hims-web"), message="ended")


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
    # Whoever releases meanwhile, or after a rollback that came to nothing, is stopped.
    (lock,) = [row for row in works.rows(schema.release_lock) if row.unlocked_at is None]
    assert "RBK-" in lock.reason
    works.unlock()
