"""Snapshots of an Aurora cluster: boto3's own client against moto, and a real database to count.

What moto fakes is said in `test_snapshots.py`; of clusters also that an instance takes time to be
made in one, and that a cluster with instances can't be deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from include.backups.database import Database
from include.backups.rds import RdsSnapshots, delete_snapshot, scratch_name, snapshot_name
from include.errors import BackupError
from include.services.cloud import Rds
from tests.aws import empty_account
from tests.integration.test_snapshots import KEY, NOW, TABLES, Account, Killed, Wire

CLUSTER = Rds(cluster="hims-production", wait=timedelta(minutes=5))


class Cluster(Account):
    """An AWS account whose source is a cluster with one instance."""

    def keeper(self, wire: Wire | None = None, *, encrypt: bool = False) -> RdsSnapshots:
        wire = wire or Wire(self.client)
        first = wire.before

        def before(name: str) -> None:
            first(name)
            if name == "restore_db_cluster_from_snapshot":
                self.forget_daily()

        wire.before = before
        return RdsSnapshots(
            wire,
            CLUSTER,
            self.source,
            self.home,
            clock=lambda: self.now,
            encrypt=encrypt,
            reach=lambda host, port: self.copy,
            pause=self.waited.append,
        )

    def snapshots(self) -> list[str]:
        found = self.client.describe_db_cluster_snapshots(SnapshotType="manual")[
            "DBClusterSnapshots"
        ]
        names = [item["DBClusterSnapshotIdentifier"] for item in found]
        # AWS's own of every day, which moto gives out all the same.
        return [name for name in names if not name.startswith("rds:")]

    def forget_daily(self) -> None:
        """Delete the snapshots that moto takes of a new cluster: two in a minute are too many."""
        for item in self.client.describe_db_cluster_snapshots()["DBClusterSnapshots"]:
            name = item["DBClusterSnapshotIdentifier"]
            if name.startswith("rds:"):
                self.client.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=name)

    def clusters(self) -> list[str]:
        found = self.client.describe_db_clusters()["DBClusters"]
        return [item["DBClusterIdentifier"] for item in found]


@pytest.fixture
def account(postgres: Any, database: Callable[[], str], tmp_path: Path) -> Iterator[Cluster]:
    names = database(), database()
    for name in names:
        postgres.execute(*TABLES.split(";\n"), database=name)
    with ExitStack() as stack:
        client = stack.enter_context(empty_account()).client("rds")
        client.create_db_cluster(
            DBClusterIdentifier=CLUSTER.name,
            Engine="aurora-postgresql",
            EngineVersion="17.2",
            StorageEncrypted=True,
            MasterUsername="hims",
            MasterUserPassword="integration",
        )
        client.create_db_instance(
            DBInstanceIdentifier="hims-production-1",
            DBClusterIdentifier=CLUSTER.name,
            Engine="aurora-postgresql",
            DBInstanceClass="db.r6g.large",
        )
        source, copy = (Database.at(postgres.url(name)) for name in names)
        yield Cluster(client, source, copy, tmp_path / "backups")


def whole(account: Cluster, wire: Wire) -> Any:
    keeper = account.keeper(wire)
    return keeper.prove(keeper.take(KEY, NOW), NOW)


def test_a_cluster_is_taken_and_proven_in_a_cluster_with_one_instance_that_is_gone(
    account: Cluster,
) -> None:
    wire = Wire(account.client)
    snapshot = account.keeper(wire).take(KEY, NOW)
    assert account.snapshots() == [snapshot.identifier] == [snapshot_name(KEY)]
    assert snapshot.arn.endswith(f":cluster-snapshot:{snapshot.identifier}")
    assert (snapshot.engine_version, snapshot.encrypted) == ("17.2", True)
    proof = account.keeper(wire).prove(snapshot, NOW)
    assert (proof.proven, proof.counts) == (True, snapshot.counts), proof.message
    asked = wire.asked["create_db_instance"]
    assert (asked["DBInstanceClass"], asked["PubliclyAccessible"]) == ("db.r6g.large", False)
    assert asked["DBClusterIdentifier"] == scratch_name(snapshot.arn)
    assert wire.asked["restore_db_cluster_from_snapshot"]["DeletionProtection"] is False
    assert wire.asked["delete_db_cluster"]["SkipFinalSnapshot"] is True
    assert account.clusters() == [CLUSTER.name]
    assert account.instances() == ["hims-production-1"]


def test_killed_at_any_call_and_begun_again_it_is_one_snapshot_and_no_scratch(
    account: Cluster,
) -> None:
    def forget() -> None:
        account.client.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=snapshot_name(KEY))
        for path in account.home.iterdir():
            path.unlink()

    clean = Wire(account.client)
    assert whole(account, clean).proven
    for number in range(1, len(clean.calls) + 1):
        for answered in (False, True):
            forget()
            with pytest.raises(Killed):
                whole(account, Wire(account.client, dies_at=number, answered=answered))
            assert whole(account, Wire(account.client)).proven
            assert account.snapshots() == [snapshot_name(KEY)]
            assert account.clusters() == [CLUSTER.name]
            assert account.instances() == ["hims-production-1"]


def test_what_a_killed_run_left_for_good_is_deleted_by_another_once_its_time_is_over(
    account: Cluster,
) -> None:
    first, second = (account.keeper().take(key, NOW) for key in (KEY, "hims-api-2.4.0-1"))
    dying = Wire(account.client)
    dying.before = lambda name: setattr(dying, "dies_at", 0) if name.startswith("restore") else None
    with pytest.raises(Killed):
        account.keeper(dying).prove(first, NOW)
    assert account.keeper().prove(second, NOW).proven
    assert scratch_name(first.arn) in account.clusters()
    account.now = NOW + timedelta(minutes=16)
    assert account.keeper().prove(second, NOW).proven
    assert account.clusters() == [CLUSTER.name]


def test_what_others_made_is_refused_and_left_alone(account: Cluster) -> None:
    made = account.client.create_db_cluster_snapshot(
        DBClusterIdentifier=CLUSTER.name, DBClusterSnapshotIdentifier=snapshot_name(KEY)
    )["DBClusterSnapshot"]
    with pytest.raises(BackupError, match="was not made by Release Control"):
        account.keeper().take(KEY, NOW)
    with pytest.raises(BackupError, match="it was not deleted"):
        delete_snapshot(account.client, made["DBClusterSnapshotArn"], account.home)
    snapshot = account.keeper().take("hims-api-2.3.0-2", NOW)
    for _ in range(2):
        delete_snapshot(account.client, snapshot.arn, account.home)
        assert account.snapshots() == [snapshot_name(KEY)]


def test_a_cluster_that_is_not_there_is_named(account: Cluster) -> None:
    account.client.delete_db_instance(DBInstanceIdentifier="hims-production-1")
    account.client.delete_db_cluster(DBClusterIdentifier=CLUSTER.name, SkipFinalSnapshot=True)
    with pytest.raises(BackupError, match="there is no Aurora cluster hims-production"):
        account.keeper().take(KEY, NOW)
