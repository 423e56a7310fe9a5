"""A release whose database is on RDS: backup, proof, permit, drill, pruning and the way back.

What moto fakes is listed in `tests/integration/test_snapshots.py`. What it makes of a snapshot is
empty, so the data of that instant is copied to a server of the test's own, to which the address of
every scratch instance leads: what is counted and put back is real.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from sqlalchemy import insert, update

from include.backups.database import Database
from include.ledger import Actor, Subject, schema
from include.releases.phases import production
from include.releases.train import Train
from include.rollbacks import restore, steps
from include.rollbacks.rollback import Rollback, Wish, load_rollback, open_rollback
from include.settings import load_settings
from include.upkeep.drill import drill, newest_backups, prune
from include.upkeep.upkeep import Upkeep
from tests.integration.conftest import OwnServer, PostgresServer, binaries
from tests.integration.test_snapshots import WHERE, Account, opened
from tests.integration.train.paper import DAG, person
from tests.integration.train.test_rollbacks import STEPS
from tests.integration.train.works import CLOSING, PRODUCTION, Works, open_works


@dataclass
class Data:
    """The client of RDS, and the server that holds the data of its snapshots."""

    client: Any
    source: str
    server: PostgresServer
    begins: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def create_db_snapshot(self, **named: Any) -> Any:
        database = Database.at(self.source)
        self.server.create_role("hims_api")
        self.server.drop_database(database.name)
        self.server.execute(f'CREATE DATABASE "{database.name}" OWNER hims_api')
        copy = self.server.url(database.name, "hims_api")
        tool = partial(subprocess.run, check=True, capture_output=True)
        dumped = tool([str(binaries() / "pg_dump"), "--no-owner", self.source])
        tool([str(binaries() / "psql"), "-v", "ON_ERROR_STOP=1", copy], input=dumped.stdout)
        return self.client.create_db_snapshot(**named)

    def restore_db_instance_from_db_snapshot(self, **named: Any) -> Any:
        self.begins.append(str(named["DBInstanceIdentifier"]))
        return self.client.restore_db_instance_from_db_snapshot(**named)

    def describe_db_instances(self, **named: Any) -> Any:
        answer = self.client.describe_db_instances(**named)
        for found in answer["DBInstances"]:
            found["Endpoint"].update(Address="127.0.0.1", Port=self.server.port)
        return answer


@pytest.fixture
def works(postgres: PostgresServer, ledger_template: str, tmp_path: Path) -> Iterator[Works]:
    name = postgres.create_database(template=ledger_template, owner="ledger_owner")
    with open_works(postgres, postgres.url(name, "ledger_app"), tmp_path) as made:
        path = made.settings.directory / "services" / "hims-api.yaml"
        document = yaml.safe_load(path.read_text())
        document["environments"]["production"]["rds"] = {"instance": WHERE.instance}
        path.write_text(yaml.safe_dump(document))
        made.settings = load_settings(made.settings.directory)
        yield made
    postgres.drop_database(name)


@pytest.fixture
def account(works: Works, tmp_path: Path) -> Iterator[Account]:
    url = works.secret("hims_db")
    with opened(url, url, tmp_path / "unused") as made:
        yield made


@pytest.fixture
def data(
    works: Works, account: Account, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Data]:
    own = OwnServer(tmp_path_factory.mktemp("copies"))
    database = works.settings.service("hims-api").environments["production"].database
    try:
        own.start()
        yield Data(account.client, works.secret(f"{database}_db"), own.server)
    finally:
        own.remove()


def test_a_release_is_backed_up_by_a_snapshot_that_is_drilled_and_pruned_like_a_dump(
    works: Works, account: Account, data: Data
) -> None:
    asked: list[str] = []

    def vendor(name: str) -> Any:
        asked.append(name)
        return data

    train = replace(works.depart(), vendor=vendor)
    done = works.until_no(train, production.take_backup, production.prove_backup)
    assert done.ok, done.message
    job = Upkeep(
        ledger=works.ledger,
        settings=works.settings,
        actor=Actor.service("upkeep"),
        source=DAG,
        clock=works.clock,
        secrets=works.secret,
        vendor=vendor,
    )
    ok, message = drill(job, *newest_backups(job))
    assert ok, message
    assert works.until_no(train, production.deploy_green).ok
    assert {*asked} == {"rds"}
    (row,) = works.rows(schema.backup)
    (snapshot,) = account.client.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
    assert row.path == snapshot["DBSnapshotArn"]
    assert row.drilled_at is not None
    kept = row.proof["snapshot"]
    assert (kept["arn"], kept["engine_version"], kept["encrypted"]) == (row.path, "17.2", True)
    assert kept["digest"] == row.digest
    (permit,) = works.rows(schema.permit)
    assert row.id in str(permit.conditions)
    assert account.instances() == [WHERE.instance]

    works.clock.now += timedelta(days=400)
    assert prune(job, timedelta(days=30)) == []
    with job.unit() as unit:
        newer = {**row._mapping, "id": "BKP-newer", "attempt": 2, "taken_at": works.clock.now}
        unit.execute(insert(schema.backup).values(**newer))
        unit.execute(update(schema.release).values(state="failed"))
        # Staging, where it serves, counts too.
        served = schema.deployment.c.release_id == row.release_id
        unit.execute(update(schema.deployment).where(served).values(state="standby"))
        unit.append("backup.taken", Subject(kind="backup", id="BKP-newer"), message="taken")
    assert prune(job, timedelta(days=30)) == [row.id]
    assert account.snapshots() == []


def test_a_snapshot_goes_back_over_the_database_with_two_votes_on_what_that_costs(
    works: Works, account: Account, data: Data
) -> None:
    before = works.served()
    train = replace(works.depart(), vendor=lambda name: data)
    assert works.until_no(train, *PRODUCTION, *CLOSING).ok
    assert works.conclude(train, failed=False).ok
    with psycopg.connect(data.source, autocommit=True) as people:
        people.execute("INSERT INTO patient (id, label) VALUES (990, 'Patient 990')")
        people.execute("UPDATE appointment SET note = 'moved' WHERE id <= 3")

    def train_of(run_id: str) -> Train:
        return replace(works.board_train(run_id), vendor=lambda name: data)

    wish = Wish(service="hims-api", version=None, reason="patients are missing", database=True)
    with works.ledger.write(person("tomas"), DAG, works.clock()) as unit:
        open_rollback(
            train_of, unit, wish, works.people.find("tomas"), run_id="r", run_state=lambda *_: None
        )

    def rollback() -> Rollback:
        with works.ledger.read() as connection:
            return load_rollback(train_of, connection, "r")

    data.begins.clear()
    for step in STEPS[:3]:
        done = step(rollback())
        assert done.ok, done.message
    counted = rollback().result("count_writes")
    written = counted["written"]
    assert (written["public.appointment"], written["public.patient"]) == (3, 1)
    assert steps.restore_database(rollback()).reason == "not_agreed"
    for by in ("rita", "olga"):
        voter = works.people.find(by)
        assert restore.cast_vote(rollback(), voter, person(by), approve=True, comment="").ok
    for step in STEPS[3:]:
        done = step(rollback())
        assert done.ok, done.message
    with psycopg.connect(data.source) as people:
        gone = people.execute("SELECT count(*) FROM patient WHERE id = 990").fetchone()
        moved = people.execute("SELECT count(*) FROM appointment WHERE note = 'moved'").fetchone()
    assert (gone, moved) == ((0,), (0,))
    assert works.served() == before
    assert len(data.begins) == 1, "what was counted is what was put back: one restore, one dump"
    assert account.instances() == [WHERE.instance]
    # The price is kept where pruning finds it; the copy of the snapshot is not.
    (kept,) = [row for row in works.rows(schema.backup) if row.id.startswith("BKP-RBK-")]
    home = works.settings.state_dir / "backups"
    assert sorted(path.name for path in home.glob("RBK-*.dump")) == [Path(kept.path).name]
