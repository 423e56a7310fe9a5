"""DB snapshots as backups: boto3's own client against moto, and a real database to be counted.

What moto fakes, and is asserted nowhere: that a snapshot or a restored instance holds any data,
that either takes time or fails by itself, that an instance is reachable where it says, that its
network keeps strangers out, that encryption encrypts, and RDS's limits and permissions. What a
scratch instance's address leads to is therefore a database of the test's own, and the states on
the way are put into moto's answers (`Wire`). It also keeps what the source has where a restore asks
for False, so what is asked for is asserted, and not what moto makes of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from include.backups.database import Database
from include.backups.rds import RdsSnapshots, Snapshot, delete_snapshot, scratch_name, snapshot_name
from include.errors import BackupError
from include.services.cloud import Rds
from tests.aws import empty_account

NOW = datetime(2026, 11, 28, 7, 5, tzinfo=UTC)
KEY = "hims-api-2.3.0-1"
WHERE = Rds(instance="hims-production", wait=timedelta(minutes=5))
TABLES = """
CREATE TABLE patient (id int PRIMARY KEY, name text NOT NULL CHECK (name <> ''));
CREATE TABLE visit (patient int NOT NULL REFERENCES patient);
INSERT INTO patient SELECT n, 'patient ' || n FROM generate_series(1, 50) n;
INSERT INTO visit SELECT 1 + n % 50 FROM generate_series(1, 120) n
"""


class Killed(BaseException):
    """The process is gone: nothing catches this."""


@dataclass
class Wire:
    """The client of RDS, whose answers can be changed and whose user can be killed at a call.

    `dies_at` is the number of the call, `answered` whether it still reached AWS. The dead make no
    further calls. `states` are given out for what is new, one after the other.
    """

    client: Any
    dies_at: int | None = None
    answered: bool = False
    states: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    asked: dict[str, dict[str, Any]] = field(default_factory=dict)
    before: Callable[[str], None] = lambda name: None

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.client, name)

        def call(*arguments: Any, **named: Any) -> Any:
            self.calls.append(name)
            self.asked[name] = named
            dies = self.dies_at is not None and len(self.calls) >= self.dies_at
            if dies and not (self.answered and len(self.calls) == self.dies_at):
                raise Killed
            self.before(name)
            try:
                answer = method(*arguments, **named)
            finally:
                if dies:
                    raise Killed
            new: list[Any] = []
            if name == "describe_db_instances":
                new = [
                    item
                    for item in answer["DBInstances"]
                    if item["DBInstanceIdentifier"] != WHERE.instance
                ]
            if name == "describe_db_snapshots":
                new = answer["DBSnapshots"]
            if new and self.states:
                key = "Status" if "Status" in new[0] else "DBInstanceStatus"
                new[0][key] = self.states.pop(0)
            return answer

        return call


@dataclass
class Account:
    """An AWS account with the source, and the databases that stand for source and copy."""

    client: Any
    source: Database
    copy: Database
    home: Path
    waited: list[float] = field(default_factory=list)
    now: datetime = NOW

    def keeper(self, wire: Wire | None = None, *, encrypt: bool = False) -> RdsSnapshots:
        """Return the adapter for a process of its own."""
        return RdsSnapshots(
            wire or self.client,
            WHERE,
            self.source,
            self.home,
            clock=lambda: self.now,
            encrypt=encrypt,
            reach=lambda host, port: self.copy,
            pause=self.waited.append,
        )

    def snapshots(self) -> list[str]:
        """Return the snapshots that there are."""
        found = self.client.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
        return [item["DBSnapshotIdentifier"] for item in found]

    def instances(self) -> list[str]:
        """Return the instances that there are."""
        found = self.client.describe_db_instances()["DBInstances"]
        return [item["DBInstanceIdentifier"] for item in found]


@contextmanager
def opened(source: str, copy: str, home: Path, *, encrypted: bool = True) -> Iterator[Account]:
    with ExitStack() as stack:
        session = stack.enter_context(empty_account())
        client, ec2 = session.client("rds"), session.client("ec2")
        subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"][:2]]
        client.create_db_subnet_group(
            DBSubnetGroupName="hims", DBSubnetGroupDescription="inside", SubnetIds=subnets
        )
        client.create_db_instance(
            DBInstanceIdentifier=WHERE.instance,
            DBSubnetGroupName="hims",
            Engine="postgres",
            EngineVersion="17.2",
            DBInstanceClass="db.t4g.medium",
            AllocatedStorage=20,
            StorageEncrypted=encrypted,
            MasterUsername="hims",
            MasterUserPassword="integration",
        )
        yield Account(client, Database.at(source), Database.at(copy), home)


@pytest.fixture
def urls(postgres: Any, database: Callable[[], str]) -> tuple[str, str]:
    names = database(), database()
    for name in names:
        postgres.execute(*TABLES.split(";\n"), database=name)
    return postgres.url(names[0]), postgres.url(names[1])


@pytest.fixture
def account(urls: tuple[str, str], tmp_path: Path) -> Iterator[Account]:
    with opened(*urls, tmp_path / "backups") as made:
        yield made


def write(database: Database, statement: str) -> None:
    with database.connect() as connection:
        connection.execute(statement.encode())


def test_a_snapshot_is_taken_proven_and_its_scratch_instance_is_gone(account: Account) -> None:
    snapshot = account.keeper().take(KEY, NOW)
    assert account.snapshots() == [snapshot.identifier] == [snapshot_name(KEY)]
    assert snapshot.arn.endswith(f":snapshot:{snapshot.identifier}")
    assert (snapshot.engine_version, snapshot.encrypted, snapshot.size) == ("17.2", True, 20 << 30)
    assert (snapshot.taken_at, snapshot.database) == (NOW, account.source.name)
    assert snapshot.counts == {"public.patient": 50, "public.visit": 120}
    assert Snapshot.of(json.loads(json.dumps(snapshot.document()))) == snapshot
    wire = Wire(account.client)
    proof = account.keeper(wire).prove(snapshot, NOW)
    assert (proof.proven, proof.counts) == (True, snapshot.counts), proof.message
    assert "170 rows" in proof.message
    assert wire.calls.count("restore_db_instance_from_db_snapshot") == 1
    assert account.instances() == [WHERE.instance]


def test_a_scratch_instance_is_closed_single_and_may_be_deleted(account: Account) -> None:
    snapshot = account.keeper().take(KEY, NOW)
    wire = Wire(account.client)
    with account.keeper(wire).scratch_copy(snapshot):
        name = scratch_name(snapshot.arn)
        (found,) = account.client.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
    assert {"Key": "release-control", "Value": "scratch"} in found["TagList"]
    asked = wire.asked["restore_db_instance_from_db_snapshot"]
    for switch in ("PubliclyAccessible", "MultiAZ", "DeletionProtection"):
        assert asked[switch] is False
    (source,) = account.client.describe_db_instances(DBInstanceIdentifier=WHERE.instance)[
        "DBInstances"
    ]
    assert asked["DBSubnetGroupName"] == source["DBSubnetGroup"]["DBSubnetGroupName"]
    assert wire.asked["delete_db_instance"]["SkipFinalSnapshot"] is True


def test_what_takes_time_is_waited_for_and_no_longer_than_declared(account: Account) -> None:
    slow = Wire(account.client, states=["creating", "creating"])
    snapshot = account.keeper(slow).take(KEY, NOW)
    assert len(account.waited) == 2
    short = replace_wait(account, timedelta(microseconds=1))
    stuck = Wire(account.client, states=["available", *["creating"] * 9])
    with pytest.raises(BackupError, match=r"scratch instance .* is creating after"):
        short(stuck).prove(snapshot, NOW)
    assert account.instances() == [WHERE.instance]


def replace_wait(account: Account, wait: timedelta) -> Callable[[Wire], RdsSnapshots]:
    where = WHERE.model_copy(update={"wait": wait})
    return lambda wire: RdsSnapshots(
        wire, where, account.source, account.home, clock=lambda: NOW, pause=account.waited.append
    )


def test_a_failed_restore_is_told_and_leaves_nothing(account: Account) -> None:
    snapshot = account.keeper().take(KEY, NOW)
    # The snapshot is asked about first, then the instance.
    broken = Wire(account.client, states=["available", "creating", "incompatible-restore"])
    with pytest.raises(BackupError, match="is incompatible-restore"):
        account.keeper(broken).prove(snapshot, NOW)
    assert account.instances() == [WHERE.instance]


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("DELETE FROM visit WHERE patient = 7", "count_mismatch"),
        ("DROP TABLE visit", "count_mismatch"),
        ("CREATE TABLE extra (id int)", "count_mismatch"),
        ("ALTER TABLE patient DROP CONSTRAINT patient_name_check", "constraints_differ"),
    ],
)
def test_a_copy_that_is_not_the_source_is_no_proof(
    account: Account, statement: str, reason: str
) -> None:
    snapshot = account.keeper().take(KEY, NOW)
    write(account.copy, statement)
    proof = account.keeper().prove(snapshot, NOW)
    assert (proof.proven, proof.reason) == (False, reason)
    assert account.instances() == [WHERE.instance]


def test_writes_meanwhile_have_to_lie_between_the_counts_before_and_after(account: Account) -> None:
    def meanwhile(name: str) -> None:
        if name == "create_db_snapshot":
            write(account.source, "INSERT INTO visit SELECT 1 FROM generate_series(1, 10)")

    snapshot = account.keeper(Wire(account.client, before=meanwhile)).take(KEY, NOW)
    assert (snapshot.counts["public.visit"], snapshot.counts_after["public.visit"]) == (120, 130)
    write(account.copy, "INSERT INTO visit SELECT 1 FROM generate_series(1, 4)")
    proof = account.keeper().prove(snapshot, NOW)
    assert proof.proven, proof.message
    assert "1 of them were written meanwhile" in proof.message
    write(account.copy, "INSERT INTO visit SELECT 1 FROM generate_series(1, 7)")
    assert account.keeper().prove(snapshot, NOW).reason == "count_mismatch"


def test_killed_at_any_call_and_begun_again_it_is_one_snapshot_and_no_scratch(
    account: Account,
) -> None:
    def whole(wire: Wire) -> Any:
        keeper = account.keeper(wire)
        return keeper.prove(keeper.take(KEY, NOW), NOW)

    def forget() -> None:
        account.client.delete_db_snapshot(DBSnapshotIdentifier=snapshot_name(KEY))
        for path in account.home.iterdir():
            path.unlink()

    clean = Wire(account.client)
    assert whole(clean).proven
    assert {"create_db_snapshot", "delete_db_instance"} <= {*clean.calls}
    for number in range(1, len(clean.calls) + 1):
        for answered in (False, True):
            forget()
            with pytest.raises(Killed):
                whole(Wire(account.client, dies_at=number, answered=answered))
            assert whole(Wire(account.client)).proven
            assert account.snapshots() == [snapshot_name(KEY)]
            assert account.instances() == [WHERE.instance]


def test_what_a_killed_run_left_for_good_is_deleted_by_another_once_its_time_is_over(
    account: Account,
) -> None:
    first, second = (account.keeper().take(key, NOW) for key in (KEY, "hims-api-2.4.0-1"))
    dying = Wire(account.client)
    dying.before = lambda name: setattr(dying, "dies_at", 0) if name.startswith("restore") else None
    with pytest.raises(Killed):
        account.keeper(dying).prove(first, NOW)
    left = scratch_name(first.arn)
    assert account.keeper().prove(second, NOW).proven
    # It may still be in use.
    assert left in account.instances()
    account.now = NOW + timedelta(minutes=16)
    assert account.keeper().prove(second, NOW).proven
    assert account.instances() == [WHERE.instance]


def test_what_others_made_is_refused_and_left_alone(account: Account) -> None:
    account.client.create_db_snapshot(
        DBInstanceIdentifier=WHERE.instance, DBSnapshotIdentifier=snapshot_name(KEY)
    )
    with pytest.raises(BackupError, match="was not made by Release Control"):
        account.keeper().take(KEY, NOW)
    snapshot = account.keeper().take("hims-api-2.3.0-2", NOW)
    stranger = scratch_name(snapshot.arn)
    account.client.create_db_instance(
        DBInstanceIdentifier=stranger, Engine="postgres", DBInstanceClass="db.t4g.micro",
        AllocatedStorage=20, MasterUsername="x", MasterUserPassword="integration",
    )  # fmt: skip
    with pytest.raises(BackupError, match="it was not touched"):
        account.keeper().prove(snapshot, NOW)
    assert stranger in account.instances()


def test_only_our_snapshots_are_deleted_and_twice_is_no_error(account: Account) -> None:
    snapshot = account.keeper().take(KEY, NOW)
    made = account.client.create_db_snapshot(
        DBInstanceIdentifier=WHERE.instance, DBSnapshotIdentifier="precious"
    )["DBSnapshot"]
    with pytest.raises(BackupError, match="it was not deleted"):
        delete_snapshot(account.client, made["DBSnapshotArn"], account.home)
    for _ in range(2):
        delete_snapshot(account.client, snapshot.arn, account.home)
        assert account.snapshots() == ["precious"]
        assert list(account.home.iterdir()) == []


def test_a_snapshot_that_is_gone_or_another_is_no_proof(account: Account) -> None:
    snapshot = account.keeper().take(KEY, NOW)
    changed = account.keeper().prove(replace(snapshot, digest="sha256:0"), NOW)
    assert changed.reason == "digest_changed"
    other = account.keeper().prove(replace(snapshot, database="elsewhere"), NOW)
    assert other.reason == "wrong_database"
    assert account.keeper().prove(replace(snapshot, counts={}), NOW).reason == "empty"
    account.client.delete_db_snapshot(DBSnapshotIdentifier=snapshot.identifier)
    assert account.keeper().prove(snapshot, NOW).reason == "missing"


def test_a_snapshot_whose_figures_were_changed_is_not_taken_over(account: Account) -> None:
    account.keeper().take(KEY, NOW)
    (figures,) = account.home.iterdir()
    figures.write_text(figures.read_text().replace("120", "121"))
    with pytest.raises(BackupError, match="was changed"):
        account.keeper().take(KEY, NOW)
    assert account.snapshots() == [snapshot_name(KEY)]


def test_where_backups_are_encrypted_a_plain_instance_is_refused(
    urls: tuple[str, str], tmp_path: Path
) -> None:
    with opened(*urls, tmp_path, encrypted=False) as account:
        with pytest.raises(BackupError, match=r"is not encrypted.*No backup was taken"):
            account.keeper(encrypt=True).take(KEY, NOW)
        assert account.snapshots() == []
        assert not account.keeper().take(KEY, NOW).encrypted


def test_an_instance_that_is_not_there_is_named(account: Account) -> None:
    account.client.delete_db_instance(DBInstanceIdentifier=WHERE.instance, SkipFinalSnapshot=True)
    with pytest.raises(BackupError, match="there is no RDS instance hims-production"):
        account.keeper().take(KEY, NOW)
