"""A release whose database is on RDS: backup, proof, permit, drill, pruning and the way back.

What moto fakes is listed in `tests/integration/test_snapshots.py`; the address of a scratch
instance leads to the works' own server, so that what is counted is real.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import insert, update

from include.ledger import Actor, Subject, schema
from include.releases.phases import production
from include.settings import load_settings
from include.upkeep.drill import drill, newest_backups, prune
from include.upkeep.upkeep import Upkeep
from tests.integration.conftest import PostgresServer
from tests.integration.test_snapshots import WHERE, Account, opened
from tests.integration.train.paper import DAG
from tests.integration.train.works import Works, open_works


class LocalScratch:
    """The client of RDS to whom every instance is on the works' server."""

    def __init__(self, client: Any, port: int) -> None:
        self._client, self._port = client, port

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def describe_db_instances(self, **named: Any) -> Any:
        answer = self._client.describe_db_instances(**named)
        for found in answer["DBInstances"]:
            found["Endpoint"].update(Address="127.0.0.1", Port=self._port)
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


def test_a_release_is_backed_up_by_a_snapshot_that_is_drilled_and_pruned_like_a_dump(
    works: Works, account: Account, postgres: PostgresServer
) -> None:
    asked: list[str] = []

    def vendor(name: str) -> Any:
        asked.append(name)
        return LocalScratch(account.client, postgres.port)

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
