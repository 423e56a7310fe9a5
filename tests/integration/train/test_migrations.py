"""Migrations in production whose end nobody has written down, or that must not begin any more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from include.errors import BackupError
from include.instants import parse_instant
from include.ledger import schema
from include.releases.phases import migration, production
from include.releases.phases.migration import alone
from include.releases.phases.rollback import roll_back
from include.releases.repository import Repository
from include.releases.schema_records import MIGRATED, MIGRATING
from include.releases.train import STEP_WAIT, Done, Train
from tests.integration.conftest import PostgresServer
from tests.integration.stack.conftest import until
from tests.integration.train.killing import Killed
from tests.integration.train.test_rollbacks import STEPS, agree, ask, opened, walk
from tests.integration.train.test_upkeep import look
from tests.integration.train.works import Works, open_works

FOLDER = "src/hims_api/migrations"
# The version before works on neither; each takes a table for itself.
CONTRACTIONS = {
    f"{FOLDER}/0003_no_minutes_check.sql": "-- kind: contract\n"
    "ALTER TABLE appointment DROP CONSTRAINT appointment_minutes_check;\n",
    f"{FOLDER}/0004_no_label.sql": "-- kind: contract\n"
    "ALTER TABLE patient ALTER COLUMN label DROP NOT NULL;\n",
}


@pytest.fixture(scope="module")
def works(
    postgres: PostgresServer, ledger_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Works]:
    """Return a works on which one train after the other runs."""
    name = postgres.create_database(template=ledger_template, owner="ledger_owner")
    home = tmp_path_factory.mktemp("works")
    with open_works(postgres, postgres.url(name, "ledger_app"), home) as opened_works:
        yield opened_works
    postgres.drop_database(name)


@pytest.fixture
def train(works: Works) -> Train:
    """Return a train that brings contractions and stands before its deploy."""
    present = Repository(works.repository).files("develop", FOLDER)
    train = works.depart(
        files={path: text for path, text in CONTRACTIONS.items() if path not in present}
    )
    done = works.until_no(train, production.take_backup, production.prove_backup)
    assert done.ok, done.message
    return train


@contextmanager
def at_work(works: Works, query: str) -> Iterator[None]:
    """Let somebody be at a query in production for so long that no migration gets its table."""
    database = works.settings.service("hims-api").environments["production"].database or ""
    assert works.server is not None
    with psycopg.connect(works.server.url(database, "hims_api")) as connection:
        connection.execute(query.encode())
        yield


def events(works: Works, train: Train) -> list[tuple[str, str]]:
    """Return what this attempt's records say about production's schema, and their reasons."""
    return [
        (item["event"], item["reason"])
        for event in (MIGRATING, MIGRATED)
        for item in works.bodies(event)
        if item["subject"]["content_hash"] == train.plan.digest()
        and item["details"]["environment"] == "production"
    ]


def locks(works: Works) -> list[Any]:
    return [row for row in works.rows(schema.release_lock) if row.unlocked_at is None]


def beside_a_migration(works: Works, train: Train, act: Callable[[], Done]) -> Done:
    """Act while a migration of production seems to be at work; return what came of it then."""
    assert works.server is not None
    waits = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with (
        ThreadPoolExecutor() as pool,
        psycopg.connect(works.server.url(), autocommit=True) as looking,
    ):
        with alone(train, "production"):
            acting = pool.submit(act)
            until(lambda: acting.done() or looking.execute(waits).fetchone() is not None)
            assert not acting.done()
        return acting.result(timeout=60)


def restored(works: Works, run_id: str, train: Train, before: str, known: list[Any]) -> None:
    """Lead what serves back to its own schema, by the backup from before `train` migrated it."""
    ask(works, run_id, database=True)
    assert beside_a_migration(works, train, lambda: STEPS[0](opened(works, run_id))).ok
    for step in STEPS[1:3]:
        done = step(opened(works, run_id))
        assert done.ok, done.message
    counted = opened(works, run_id).result("count_writes")
    assert counted["backup"] == works.one(schema.backup, train).digest
    agree(works, run_id)
    assert walk(works, run_id).ok
    assert works.served() == before
    assert works.schema_versions() == known
    assert look(works).reason == "agrees"
    works.unlock()


def die(*_: object) -> None:
    raise Killed("after the migration, before its record")


def unreadable(works: Works) -> Callable[[str], Mapping[str, str]]:
    """Return `read_shape` as it is while a server is away from the migration on."""
    calls: list[str] = []
    real = migration.read_shape

    def read(url: str) -> Mapping[str, str]:
        calls.append(url)
        if len(calls) > 1:
            raise BackupError("the server does not answer")
        return real(url)

    return read


@pytest.mark.parametrize("how", ["killed", "unread"])
def test_what_was_migrated_and_not_recorded_is_reckoned_with(
    works: Works, train: Train, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, known = works.served(), works.schema_versions()
    with monkeypatch.context() as patch:
        if how == "killed":
            patch.setattr(migration, "_note_shape", die)
        else:
            patch.setattr(migration, "read_shape", unreadable(works))
        with pytest.raises(Killed if how == "killed" else BackupError):
            production.deploy_green(train)
    assert len(works.schema_versions()) > len(known)
    # By now too little of the window is left to be tried again.
    works.clock.now = parse_instant(str(train.result("enter_window")["closes"])) - timedelta(
        minutes=1
    )
    again = production.deploy_green(works.board_train(train.run_id))
    assert (again.ok, again.reason) == (False, "permit_refused"), again.message
    back = roll_back(train)
    assert (back.ok, back.reason) == (True, "schema_left"), back.message
    assert f"{train.release} may have brought " in back.message
    assert "0003_no_minutes_check.sql (contract)" in back.message
    assert not works.conclude(train, failed=True).ok
    assert events(works, train) == [(MIGRATING, "began")]
    (lock,) = locks(works)
    assert f"{train.release} failed and may have left " in lock.reason
    told = [row for row in works.rows(schema.notice) if row.event == "release.schema_left"]
    assert "It does not work on it" in told[-1].text
    assert "is in no record" in told[-1].text
    found = look(works)
    assert found.reason == "drift", found.message
    assert f"before the migration of {train.release}, which nobody has seen end" in found.message
    works.unlock()
    # The next try's backup holds already what has to go.
    following = works.depart()
    assert (following.release, following.plan.attempt) == (train.release, train.plan.attempt + 1)
    done = works.until_no(following, production.take_backup, production.prove_backup)
    assert done.ok, done.message
    works.conclude(following, failed=True)
    restored(works, f"back-{how}", train, before, known)


def test_a_try_that_has_waited_migrates_nothing_once_people_are_led_back(
    works: Works, train: Train
) -> None:
    known = works.schema_versions()
    step = f"{train.release}/{train.plan.attempt}/deploy_green"
    with ThreadPoolExecutor() as pool:
        with works.ledger.exclusive(step, wait=STEP_WAIT):
            waiting: Future[Done] = pool.submit(production.deploy_green, train)
            until(lambda: train.has("begin_deploy"))
            back = roll_back(works.board_train(train.run_id))
            assert back.message.endswith("has kept all the traffic throughout"), back.message
            # What asks anew is given a permit: nothing but the way back speaks against it.
            assert production.issue(train).permit is not None
        done = waiting.result(timeout=60)
    assert (done.ok, done.reason) == (False, "permit_withdrawn"), done.message
    later = production.deploy_green(works.board_train(train.run_id))
    assert (later.ok, later.reason) == (False, "permit_withdrawn"), later.message
    assert works.schema_versions() == known
    assert events(works, train) == []
    works.conclude(train, failed=True)
    assert locks(works) == []


def test_nobody_is_led_back_beside_a_migration_that_is_at_work(works: Works, train: Train) -> None:
    with at_work(works, "SELECT FROM appointment"):
        done = production.deploy_green(train)
    assert (done.ok, done.reason) == (False, "migration_failed"), done.message
    assert beside_a_migration(works, train, lambda: roll_back(train)).ok
    assert works.one(schema.permit, train).closed_at is not None
    works.conclude(train, failed=False)


def test_a_migration_that_failed_and_changed_nothing_leaves_nothing(
    works: Works, train: Train
) -> None:
    known = works.schema_versions()
    for _ in range(2):
        with at_work(works, "SELECT FROM appointment"):
            done = production.deploy_green(train)
        assert (done.ok, done.reason) == (False, "migration_failed"), done.message
    back = roll_back(train)
    assert back.message.endswith("has kept all the traffic throughout"), back.message
    assert events(works, train) == [(MIGRATING, "began")] * 2 + [(MIGRATED, "untouched")] * 2
    works.conclude(train, failed=True)
    assert works.state(train) == ("failed", "migration_failed")
    assert works.schema_versions() == known
    assert locks(works) == []
    assert look(works).reason == "agrees"


def test_a_migration_that_failed_in_part_leaves_what_it_has_changed(
    works: Works, train: Train
) -> None:
    before, known = works.served(), works.schema_versions()
    with at_work(works, "SELECT FROM patient"):
        done = production.deploy_green(train)
    assert (done.ok, done.reason) == (False, "migration_failed"), done.message
    back = roll_back(train)
    assert (back.ok, back.reason) == (True, "schema_left"), back.message
    assert f"{train.release} has brought " in back.message
    assert "0003_no_minutes_check.sql (contract)" in back.message
    assert events(works, train) == [(MIGRATING, "began"), (MIGRATED, "migration_failed")]
    works.conclude(train, failed=True)
    assert len(locks(works)) == 1
    # What serves is not ready on it, which is seen; its schema is as written.
    found = look(works)
    assert "is not ready" in found.message
    assert "schema" not in found.message
    works.unlock()
    restored(works, "back-part", train, before, known)
