"""Reconciling, reclaiming and drilling, with real parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import insert, update

from include.deploy import deployment
from include.deploy.reality import read_steadily
from include.deploy.target import Colour
from include.deploy.targets.local import LocalTarget
from include.errors import BackupError
from include.ledger import Actor, Subject, schema
from include.releases.train import no_vendor
from include.rollbacks.rollback import Wish, end_rollback, open_rollback
from include.upkeep import reconcile as reconciling
from include.upkeep.drill import drill, newest_backups, prune
from include.upkeep.reclaim import reclaim
from include.upkeep.reconcile import Reconciled, reconcile
from include.upkeep.upkeep import Upkeep
from tests.integration.conftest import PostgresServer
from tests.integration.train.paper import DAG, person
from tests.integration.train.works import CLOSING, PRODUCTION, Works, open_works


@pytest.fixture(scope="module")
def works(
    postgres: PostgresServer, ledger_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Works]:
    """Return a works on which one version was released by train."""
    name = postgres.create_database(template=ledger_template, owner="ledger_owner")
    home = tmp_path_factory.mktemp("works")
    with open_works(postgres, postgres.url(name, "ledger_app"), home) as opened:
        train = opened.depart()
        assert opened.until_no(train, *PRODUCTION, *CLOSING).ok
        assert opened.conclude(train, failed=False).ok
        yield opened
    postgres.drop_database(name)


def job(works: Works) -> Upkeep:
    return Upkeep(
        ledger=works.ledger,
        settings=works.settings,
        actor=Actor.service("upkeep"),
        source=DAG,
        clock=works.clock,
        secrets=works.secret,
        vendor=no_vendor,
    )


def look(works: Works) -> Reconciled:
    service = works.settings.service("hims-api")
    return reconcile(job(works), service, pause=lambda _: None)


def live_slot(works: Works) -> Colour:
    weights = works.production.weights()
    return max(Colour, key=lambda colour: weights[colour])


def test_production_as_the_ledger_says_agrees(works: Works) -> None:
    assert look(works).reason == "agrees"
    assert works.rows(schema.release_lock) == []


def test_traffic_that_somebody_moved_is_drift_and_locks_the_service(works: Works) -> None:
    slot = live_slot(works)
    works.production.set_weights({slot: 50, slot.other: 50}, works.newest_fence())
    changes = len(works.rows(schema.change))
    found = look(works)
    assert found.reason == "drift"
    assert "50 %" in found.message
    assert len(works.rows(schema.change)) == changes + 1
    # The same state of affairs is one change, however often it is seen.
    assert look(works).reason == "drift"
    assert len(works.rows(schema.change)) == changes + 1
    (told,) = [row for row in works.rows(schema.notice) if row.event == "drift.found"]
    assert "50 %" in told.text
    train = works.depart()
    refused = works.until_no(train, *PRODUCTION)
    assert (refused.ok, refused.reason) == (False, "permit_refused")
    assert "lock" in refused.message
    works.production.set_weights({slot: 100, slot.other: 0}, works.newest_fence())
    assert look(works).reason == "agrees"
    works.unlock()
    works.conclude(train, failed=True)


def test_another_artefact_where_people_are_served_is_drift(works: Works) -> None:
    slot = live_slot(works)
    old = works.production.staged(slot.other)
    assert old is not None
    works.production.set_weights({slot: 0, slot.other: 100}, works.newest_fence())
    found = look(works)
    assert found.reason == "drift"
    assert str(slot) in found.message
    works.production.set_weights({slot: 100, slot.other: 0}, works.newest_fence())
    works.unlock()


def test_a_rollback_whose_run_has_ended_keeps_nobody_from_looking(works: Works) -> None:
    wish = Wish(service="hims-api", version=None, reason="slow", database=False)
    with works.ledger.write(person("tomas"), DAG, works.clock()) as unit:
        tomas = works.people.find("tomas")
        key = open_rollback(
            works.board_train, unit, wish, tomas, run_id="back", run_state=lambda *_: None
        )
    assert look(works).reason == "under_way"
    ended = replace(job(works), run_state=lambda dag_id, run_id: "failed")
    service = works.settings.service("hims-api")
    assert reconcile(ended, service, pause=lambda _: None).reason == "agrees"
    with job(works).unit() as unit:
        end_rollback(unit, key, "failed")
        unit.append("rollback.ended", Subject(kind="rollback", id=key), message="ended")


def test_a_schema_that_nobody_released_is_drift(works: Works, postgres: PostgresServer) -> None:
    database = works.settings.service("hims-api").environments["production"].database
    with psycopg.connect(works.secret(f"{database}_db"), autocommit=True) as connection:
        connection.execute("CREATE INDEX by_hand ON appointment (minutes)")
        found = look(works)
        assert (found.reason, "public.appointment" in found.message) == ("drift", True)
        connection.execute("DROP INDEX by_hand")
        # Rows are no schema.
        connection.execute("UPDATE appointment SET cancelled = cancelled")
    assert look(works).reason == "agrees"
    works.unlock()


def test_a_table_that_is_there_for_a_moment_says_nothing(works: Works) -> None:
    database = works.settings.service("hims-api").environments["production"].database
    with psycopg.connect(works.secret(f"{database}_db"), autocommit=True) as connection:
        pauses = iter(range(1, 5))

        def pause(seconds: float) -> None:
            if next(pauses) == 4:
                connection.execute("CREATE TABLE scratch (id int)")

        service = works.settings.service("hims-api")
        assert reconcile(job(works), service, pause=pause).reason == "unsteady"
        connection.execute("DROP TABLE scratch")
    assert look(works).reason == "agrees"
    assert [row for row in works.rows(schema.release_lock) if row.unlocked_at is None] == []


def test_readings_that_do_not_agree_say_nothing(works: Works) -> None:
    slot = live_slot(works)
    fence = works.newest_fence()
    shares = iter([90, 80, 70, 100])

    def pause(seconds: float) -> None:
        share = next(shares)
        works.production.set_weights({slot: share, slot.other: 100 - share}, fence)

    service = works.settings.service("hims-api")
    assert reconcile(job(works), service, pause=pause).reason == "unsteady"
    works.production.set_weights({slot: 100, slot.other: 0}, fence)
    assert [row for row in works.rows(schema.release_lock) if row.unlocked_at is None] == []


def test_a_switch_while_it_is_read_is_no_drift(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = live_slot(works)
    rows = {
        row.colour: row.id
        for row in works.rows(schema.deployment)
        if row.environment == "production" and row.state in ("live", "standby")
    }

    def switch(to: Colour) -> None:
        works.production.set_weights({to: 100, to.other: 0}, works.newest_fence())
        with job(works).unit() as unit:
            deployment.make_live(unit, rows[to])
            unit.append("deploy.arranged", Subject(kind="service", id="x"), message="arranged")

    def meanwhile(*arguments: Any, **options: Any) -> Any:
        switch(slot.other)
        return read_steadily(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(reconciling, "read_steadily", meanwhile)
        assert look(works).reason == "unsteady"
    switch(slot)
    assert look(works).reason == "agrees"


@contextmanager
def a_permit_in_force(works: Works) -> Iterator[None]:
    """Open the released train's permit again for a while."""
    (released,) = [row for row in works.rows(schema.permit) if row.used_at is not None]
    table = schema.permit

    def change(**values: Any) -> None:
        with job(works).unit() as unit:
            unit.execute(update(table).where(table.c.fence == released.fence).values(**values))
            subject = Subject(kind="permit", id=str(released.fence))
            unit.append("permit.arranged", subject, message="arranged for a test")

    change(closed_at=None, expires_at=works.clock.now + timedelta(minutes=5))
    yield
    change(closed_at=released.closed_at, expires_at=released.expires_at)


def test_the_slot_that_stands_by_is_kept_as_long_as_declared_and_then_emptied(
    works: Works,
) -> None:
    service = works.settings.service("hims-api")
    slot = live_slot(works)
    (standing,) = [
        row
        for row in works.rows(schema.deployment)
        if row.state == "standby" and row.environment == "production"
    ]
    works.clock.now = standing.ended_at + timedelta(hours=23)
    assert reclaim(job(works), service).reason == "kept"
    assert works.production.staged(slot.other) is not None
    works.clock.now += timedelta(hours=2)
    with a_permit_in_force(works):
        assert reclaim(job(works), service).reason == "kept"
    assert works.production.staged(slot.other) is not None
    assert reclaim(job(works), service).reason == "reclaimed"
    assert works.production.staged(slot.other) is None
    assert works.production.weights()[slot] == 100
    assert reclaim(job(works), service).reason == "kept"
    assert look(works).reason == "agrees"


def test_the_newest_backup_is_restored_in_a_drill_and_a_broken_one_is_found(works: Works) -> None:
    (newest,) = newest_backups(job(works))
    ok, message = drill(job(works), newest)
    assert ok, message
    (row,) = [row for row in works.rows(schema.backup) if row.id == newest]
    assert row.drilled_at is not None
    folder = Path(row.path)
    assert folder.is_dir()
    path = max(folder.iterdir(), key=lambda file: file.stat().st_size)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    ok, message = drill(job(works), newest)
    assert not ok
    assert "truncated" in message
    path.write_bytes(whole)


def test_pruning_never_takes_the_last_one(works: Works) -> None:
    works.clock.now += timedelta(days=400)
    (newest,) = newest_backups(job(works))
    assert newest not in prune(job(works), timedelta(days=1))
    (row,) = [row for row in works.rows(schema.backup) if row.id == newest]
    assert Path(row.path).is_dir()
    assert newest_backups(job(works)) == [newest]


def written_down(works: Works, key: str, database: str, path: Path, age: timedelta) -> None:
    """Write a backup into the ledger that nobody has proven."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"PGDMP")
    (like,) = [row for row in works.rows(schema.backup) if row.id == newest_backups(job(works))[0]]
    with job(works).unit() as unit:
        unit.execute(
            insert(schema.backup).values(
                id=key,
                release_id=like.release_id,
                attempt=like.attempt + 100,
                service="hims-api",
                database=database,
                path=str(path),
                digest="sha256:0",
                size=5,
                counts={},
                taken_at=works.clock.now - age,
            )
        )
        unit.append("backup.taken", Subject(kind="backup", id=key), message=f"{key} is taken")


def test_pruning_keeps_the_only_backup_also_where_nobody_has_proven_it(works: Works) -> None:
    folder = works.settings.state_dir / "backups"
    for key, days in (("BKP-older", 90), ("BKP-newer", 60)):
        written_down(works, key, "elsewhere", folder / f"{key}.dump", timedelta(days=days))
    pruned = prune(job(works), timedelta(days=30))
    assert ("BKP-older" in pruned, "BKP-newer" in pruned) == (True, False)
    assert not (folder / "BKP-older.dump").exists()
    assert (folder / "BKP-newer.dump").exists()


def test_pruning_deletes_nothing_where_no_backups_lie(works: Works, tmp_path: Path) -> None:
    stranger = tmp_path / "precious"
    for key, days in (("BKP-stray", 90), ("BKP-stray-2", 80)):
        written_down(works, key, "astray", stranger / key, timedelta(days=days))
    with pytest.raises(BackupError, match=r"BKP-stray is said to lie at .*nothing was deleted"):
        prune(job(works), timedelta(days=30))
    assert (stranger / "BKP-stray").exists()
    with job(works).unit() as unit:
        astray = update(schema.backup).where(schema.backup.c.database == "astray")
        unit.execute(astray.values(pruned_at=unit.now))
        unit.append("backup.forgotten", Subject(kind="backup", id="BKP-stray"), message="mended")


def test_a_deploy_that_nobody_drives_any_more_is_drift_once_its_permit_is_over(
    works: Works,
) -> None:
    train = works.depart(strategy="canary")
    assert works.until_no(train, *PRODUCTION[:3]).ok
    slot = Colour(train.result("deploy_green")["slot"])
    fence = int(train.result("deploy_green")["fence"])
    works.production.set_weights({slot: 5, slot.other: 95}, fence)
    assert look(works).reason == "under_way"
    # Past the point of no return it may be on its way back: no drift until its slot is over.
    permit = max(works.rows(schema.permit), key=lambda row: row.fence)
    begun, works.clock.now = works.clock.now, permit.expires_at + timedelta(minutes=1)
    assert look(works).reason == "under_way"
    works.clock.now = begun + timedelta(hours=3)
    found = look(works)
    assert found.reason == "drift"
    assert "95 %" in found.message
    works.production.set_weights({slot: 0, slot.other: 100}, works.newest_fence())
    works.unlock()
    works.conclude(train, failed=True)


def test_a_train_that_leads_people_back_is_no_drift_before_it_has_written_that_down(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = works.depart(fault="errors")
    assert works.until_no(train, *PRODUCTION).reason == "error_rate"
    retire, seen = LocalTarget.retire, list[str]()

    def slowly(target: LocalTarget, slot: Colour, fence: int) -> None:
        seen.append(look(works).reason)
        retire(target, slot, fence)

    with monkeypatch.context() as patch:
        patch.setattr(LocalTarget, "retire", slowly)
        works.conclude(train, failed=True)
    assert seen == ["under_way"]
    assert look(works).reason == "agrees"
    works.unlock()
