"""Backups as snapshots of Amazon RDS and Aurora, proven in a scratch instance. The client is handed
in; of a cluster it is spoken as of an instance (`aurora.py`).

A snapshot is of one instant between its request and its end, which RDS does not tell. The source is
therefore counted before and after: each table of the restored copy has to lie between the two, and
be equal where both are. What was counted before lies in a file whose digest is a tag of the
snapshot, so that a run that takes over knows what the snapshot has to hold.

Names follow from what is backed up, and every snapshot and instance of ours bears our tag: a run
that was killed is taken over, and nothing that others made is touched.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from include.backups.aurora import Aurora
from include.backups.backup import Backup, dump_database, find_backup
from include.backups.contents import Contents, read_contents
from include.backups.database import Database
from include.backups.postgres import PostgresTools
from include.backups.proof import Finding, Proof, compare
from include.durable import write_json
from include.errors import BackupError
from include.instants import format_instant, parse_instant
from include.services.cloud import Rds

OWNER = "release-control"
FIGURES = "release-control:figures"
SNAPSHOT = "release-control:snapshot"
UNTIL = "release-control:until"

_POLL = 15.0
_BROKEN = ("failed", "incompatible", "storage-full", "restore-error", "inaccessible")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A complete DB snapshot.

    `counts` are the rows of the source by table before it was requested and `counts_after` those
    when it was complete; `taken_at` is aware UTC, before its instant. `digest` is over what RDS
    says of it and over what was counted before; `size` is the storage in bytes.
    """

    arn: str
    identifier: str
    instance: str
    database: str
    engine_version: str
    encrypted: bool
    created_at: str
    digest: str
    size: int
    counts: Mapping[str, int]
    counts_after: Mapping[str, int]
    constraints: int
    taken_at: datetime

    def document(self) -> dict[str, Any]:
        """Return it as plain JSON data, for the ledger."""
        return {**asdict(self), "taken_at": format_instant(self.taken_at)}

    @staticmethod
    def of(document: Mapping[str, Any]) -> Snapshot:
        """Return a snapshot as the ledger has it."""
        return Snapshot(**{**document, "taken_at": parse_instant(str(document["taken_at"]))})


class RdsSnapshots:
    """Snapshots of one RDS instance, or of one Aurora cluster.

    `source` is the database on it, `home` the folder of what was counted. With `encrypt` only an
    encrypted instance is backed up. `reach` leads to a restored instance's address.
    """

    def __init__(
        self,
        client: Any,
        where: Rds,
        source: Database,
        home: Path,
        *,
        clock: Callable[[], datetime],
        encrypt: bool = False,
        reach: Callable[[str, int], Database] | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rds = Aurora(client) if where.cluster else client
        self._where = where
        self._source = source
        self._home = home
        self._clock = clock
        self._encrypt = encrypt
        self._reach = reach or source.moved
        self._pause = pause

    def take(self, key: str, now: datetime) -> Snapshot:
        """Make the snapshot that `key` names, or wait for the one that a killed run requested.

        Raises BackupError when RDS or the database fails, when it takes longer than is declared,
        and when something else bears the name.
        """
        identifier = snapshot_name(key)
        found = self._described_snapshot(identifier)
        if found is None:
            self._request(identifier, now)
        else:
            self._require_ours(found)
        found = self._until(
            lambda: self._described_snapshot(identifier), f"the snapshot {identifier}"
        )
        # By who asked first, if two did at once.
        self._require_ours(found)
        figures = self._read_figures(identifier, tags_of(found).get(FIGURES, ""))
        after = self._count()
        return Snapshot(
            arn=str(found["DBSnapshotArn"]),
            identifier=identifier,
            instance=self._where.name,
            database=self._source.name,
            engine_version=str(found["EngineVersion"]),
            encrypted=bool(found["Encrypted"]),
            created_at=_created(found),
            digest=_digest_of(found),
            size=int(found["AllocatedStorage"]) << 30,
            counts=figures["counts"],
            counts_after=dict(after.counts),
            constraints=figures["constraints"],
            taken_at=parse_instant(figures["taken_at"]),
        )

    def prove(self, snapshot: Snapshot, now: datetime) -> Proof:
        """Restore the snapshot into a scratch instance, compare, and delete the instance.

        A snapshot that is wrong in itself is an outcome; BackupError is raised when there is no
        saying.
        """
        started = time.monotonic()
        finding = self._examine(snapshot)
        if finding is None:
            with self.scratch_copy(snapshot) as scratch, scratch.connect() as inside:
                finding = _compare(snapshot, read_contents(inside))
        return Proof(
            proven=finding.reason == "proven",
            reason=finding.reason,
            message=finding.message,
            checked_at=now,
            seconds=time.monotonic() - started,
            counts=finding.counts,
        )

    def dump(self, snapshot: Snapshot, path: Path, tools: PostgresTools) -> Backup:
        """Restore the snapshot into a scratch instance and dump it from there to `path`, once.

        RDS restores to new instances only; a dump goes over the one that is there. Raises
        BackupError when the copy is not what the snapshot has to hold.
        """
        if (present := find_backup(path, snapshot.database)) is not None:
            return present
        wrong = self._examine(snapshot)
        if wrong is None:
            with self.scratch_copy(snapshot) as scratch:
                with scratch.connect() as inside:
                    found = _compare(snapshot, read_contents(inside))
                if found.reason == "proven":
                    return dump_database(scratch, path, tools, snapshot.taken_at)
                wrong = found
        raise BackupError(f"the snapshot can't be put back: {wrong.message}")

    @contextmanager
    def scratch_copy(self, snapshot: Snapshot) -> Iterator[Database]:
        """Restore into a scratch instance that nobody reaches from outside; delete it in the end.

        One that a killed run left is taken over; those of others whose time is over are deleted.
        """
        name = scratch_name(snapshot.arn)
        self._sweep(but=name)
        try:
            self._restore(snapshot, name)
            found = self._until(
                lambda: self._described_instance(name), f"the scratch instance {name}"
            )
            endpoint = found["Endpoint"]
            yield self._reach(str(endpoint["Address"]), int(endpoint["Port"]))
        finally:
            self._drop(name, snapshot.arn)

    def _request(self, identifier: str, now: datetime) -> None:
        source = self._described_instance(self._where.name)
        if source is None:
            raise BackupError(
                f"there is no {self._where.shown} for the credentials of "
                "aws_default; see rds in the service's YAML. No backup was taken"
            )
        if self._encrypt and not source.get("StorageEncrypted"):
            raise BackupError(
                f"the {self._where.shown} is not encrypted, so its snapshots "
                "would not be either; backups.encrypt in config/global.yaml asks for it. "
                "No backup was taken"
            )
        contents = self._count()
        figures = {
            "database": self._source.name,
            "instance": self._where.name,
            "counts": dict(contents.counts),
            "constraints": contents.constraints,
            "taken_at": format_instant(now),
        }
        digest = _digest(figures)
        # Before the snapshot: one whose figures nobody knows could not be proven.
        path = self._figures(identifier, digest)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_json(path, figures)
        self._call(
            self._rds.create_db_snapshot,
            DBInstanceIdentifier=self._where.name,
            DBSnapshotIdentifier=identifier,
            Tags=_tags({OWNER: "backup", FIGURES: digest}),
            accept="DBSnapshotAlreadyExists",
        )

    def _read_figures(self, identifier: str, digest: str) -> dict[str, Any]:
        path = self._figures(identifier, digest)
        try:
            figures = json.loads(path.read_bytes())
        except (OSError, ValueError):
            figures = None
        if figures is None or _digest(figures) != digest:
            raise BackupError(
                f"{path}: what the snapshot {identifier} has to hold is not there or was changed, "
                "so it can't be proven; delete that snapshot and take a new one"
            )
        if figures["database"] != self._source.name:
            raise BackupError(
                f"the snapshot {identifier} was made as a backup of {figures['database']}, not of "
                f"{self._source.name}"
            )
        return dict(figures)

    def _figures(self, identifier: str, digest: str) -> Path:
        return self._home / f"{identifier}.{digest.removeprefix('sha256:')[:16]}.json"

    def _count(self) -> Contents:
        with self._source.connect() as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            return read_contents(connection)

    def _examine(self, snapshot: Snapshot) -> Finding | None:
        """Find what is wrong with the snapshot as RDS describes it."""
        if snapshot.database != self._source.name or snapshot.instance != self._where.name:
            return Finding(
                "wrong_database",
                f"{snapshot.identifier} is of {snapshot.database} on {snapshot.instance}, not of "
                f"{self._source.name} on {self._where.name}.",
            )
        found = self._described_snapshot(snapshot.identifier)
        if found is None:
            return Finding("missing", f"the snapshot {snapshot.identifier} is not there.")
        self._require_ours(found)
        if found["Status"] != "available":
            return Finding("unreadable", f"{snapshot.identifier} is {found['Status']}.")
        if _digest_of(found) != snapshot.digest:
            return Finding(
                "digest_changed",
                f"{snapshot.identifier} is not the snapshot that was taken: RDS says it was made "
                f"{_created(found)}, encrypted: {bool(found['Encrypted'])}, of "
                f"{found['EngineVersion']}.",
            )
        if not snapshot.counts:
            return Finding("empty", f"{snapshot.identifier} holds no table at all.")
        return None

    def _require_ours(self, found: Mapping[str, Any]) -> None:
        if tags_of(found).get(OWNER) != "backup":
            raise BackupError(
                f"the snapshot {found['DBSnapshotIdentifier']} bears the name of a backup and was "
                "not made by Release Control; rename it. Nothing was changed"
            )
        if found["DBInstanceIdentifier"] != self._where.name:
            raise BackupError(
                f"the snapshot {found['DBSnapshotIdentifier']} is of "
                f"{found['DBInstanceIdentifier']}, not of {self._where.name}"
            )

    def _restore(self, snapshot: Snapshot, name: str) -> None:
        found = self._described_instance(name)
        if found is not None and found["DBInstanceStatus"] == "deleting":
            self._gone(name)
            found = None
        until = format_instant(self._clock() + 3 * self._where.wait)
        if found is not None:
            _require_scratch(found, snapshot.arn)
            self._call(
                self._rds.add_tags_to_resource,
                ResourceName=found["DBInstanceArn"],
                Tags=_tags({UNTIL: until}),
            )
            return
        source = self._described_instance(self._where.name)
        if source is None:
            raise BackupError(
                f"there is no {self._where.shown} any more, and its network is "
                "where a scratch instance goes; nothing was restored"
            )
        subnets = source.get("DBSubnetGroup", {}).get("DBSubnetGroupName")
        groups = [group["VpcSecurityGroupId"] for group in source.get("VpcSecurityGroups", ())]
        self._call(
            self._rds.restore_db_instance_from_db_snapshot,
            DBInstanceIdentifier=name,
            DBSnapshotIdentifier=snapshot.identifier,
            DBInstanceClass=self._where.scratch_class or source["DBInstanceClass"],
            PubliclyAccessible=False,
            MultiAZ=False,
            DeletionProtection=False,
            CopyTagsToSnapshot=False,
            Tags=_tags({OWNER: "scratch", SNAPSHOT: snapshot.arn, UNTIL: until}),
            accept="DBInstanceAlreadyExists",
            **({"DBSubnetGroupName": subnets} if subnets else {}),
            **({"VpcSecurityGroupIds": groups} if groups else {}),
        )

    def _drop(self, name: str, arn: str) -> None:
        """Delete a scratch instance, and read back that it is going."""
        deadline = time.monotonic() + self._where.wait.total_seconds()
        while True:
            found = self._described_instance(name)
            if found is None or found["DBInstanceStatus"] == "deleting":
                return
            _require_scratch(found, arn)
            self._call(
                self._rds.delete_db_instance,
                DBInstanceIdentifier=name,
                SkipFinalSnapshot=True,
                DeleteAutomatedBackups=True,
                # While it is being made or changed RDS may ask for patience.
                accept=("InvalidDBInstanceState", "DBInstanceNotFound"),
            )
            found = self._described_instance(name)
            if found is None or found["DBInstanceStatus"] == "deleting":
                return
            if time.monotonic() > deadline:
                raise BackupError(
                    f"the scratch instance {name} is {found['DBInstanceStatus']} and could not be "
                    "deleted; delete it, it holds a copy of the data"
                )
            self._pause(_POLL)

    def _gone(self, name: str) -> None:
        deadline = time.monotonic() + self._where.wait.total_seconds()
        while self._described_instance(name) is not None:
            if time.monotonic() > deadline:
                raise BackupError(f"RDS still deletes {name}; prove the backup again later")
            self._pause(_POLL)

    def _sweep(self, *, but: str) -> None:
        """Delete scratch instances of runs that never came back."""
        for page in self._pages("describe_db_instances"):
            for found in page["DBInstances"]:
                tags, name = tags_of(found), str(found["DBInstanceIdentifier"])
                if tags.get(OWNER) != "scratch" or name == but:
                    continue
                until = tags.get(UNTIL)
                if until is not None and parse_instant(until) < self._clock():
                    self._drop(name, tags.get(SNAPSHOT, ""))

    def _pages(self, operation: str) -> list[Any]:
        paginator = self._rds.get_paginator(operation)
        return list(self._call(lambda: list(paginator.paginate())))

    def _until(self, look: Callable[[], Any], what: str) -> Any:
        """Return what `look` describes as soon as it is available; BackupError at the deadline."""
        deadline = time.monotonic() + self._where.wait.total_seconds()
        while True:
            found = look()
            status = "not there" if found is None else _status(found)
            if status == "available":
                return found
            if status.startswith(_BROKEN):
                raise BackupError(f"RDS says that {what} is {status}; see its events there")
            if time.monotonic() > deadline:
                raise BackupError(
                    f"{what} is {status} after {self._where.wait.total_seconds() / 60:.0f} "
                    "minutes; look there why, and run this again"
                )
            self._pause(_POLL)

    def _described_snapshot(self, identifier: str) -> dict[str, Any] | None:
        answer = self._call(
            self._rds.describe_db_snapshots,
            DBSnapshotIdentifier=identifier,
            accept="DBSnapshotNotFound",
        )
        return dict(answer["DBSnapshots"][0]) if answer and answer["DBSnapshots"] else None

    def _described_instance(self, name: str) -> dict[str, Any] | None:
        answer = self._call(
            self._rds.describe_db_instances, DBInstanceIdentifier=name, accept="DBInstanceNotFound"
        )
        return dict(answer["DBInstances"][0]) if answer and answer["DBInstances"] else None

    def _call(
        self, method: Callable[..., Any], *, accept: str | tuple[str, ...] = (), **arguments: Any
    ) -> Any:
        return _ask(method, accept=accept, **arguments)


def delete_snapshot(client: Any, arn: str, home: Path) -> None:
    """Delete a snapshot of ours and its figures; what is gone already is no error.

    Raises BackupError, with nothing deleted, for one that does not bear our tag.
    """
    identifier = arn.rpartition(":")[2]
    client = Aurora(client) if ":cluster-snapshot:" in arn else client
    answer = _ask(
        client.describe_db_snapshots, DBSnapshotIdentifier=identifier, accept="DBSnapshotNotFound"
    )
    for found in answer["DBSnapshots"] if answer else ():
        if tags_of(found).get(OWNER) != "backup" or found["DBSnapshotArn"] != arn:
            raise BackupError(
                f"the snapshot {arn} is in the ledger and does not bear the tag of Release "
                "Control's backups; it was not deleted. Find out who changed the ledger or the tag"
            )
        _ask(
            client.delete_db_snapshot, DBSnapshotIdentifier=identifier, accept="DBSnapshotNotFound"
        )
    for path in home.glob(f"{identifier}.*.json"):
        path.unlink(missing_ok=True)


def snapshot_name(key: str) -> str:
    """Return the identifier of the snapshot that `key` names; other keys have other ones."""
    plain = "-".join("".join(c if c.isalnum() else " " for c in key.lower() if c < "\x7f").split())
    return f"rc-{plain[:180].strip('-')}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def scratch_name(arn: str) -> str:
    """Return the identifier of the scratch instance in which a snapshot is proven."""
    return f"rc-scratch-{hashlib.sha256(arn.encode()).hexdigest()[:20]}"


def tags_of(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a snapshot or an instance as RDS describes it."""
    return {str(tag["Key"]): str(tag["Value"]) for tag in found.get("TagList", ())}


def _ask(
    method: Callable[..., Any], *, accept: str | tuple[str, ...] = (), **arguments: Any
) -> Any:
    """Call AWS; None where it answers with one of the errors to `accept`."""
    try:
        return method(**arguments)
    except Exception as error:
        # Not botocore's own classes: the domain does not know the SDK.
        response = getattr(error, "response", None)
        code = str(response.get("Error", {}).get("Code", "")) if response else ""
        # DBClusterSnapshotNotFoundFault is to a cluster what DBSnapshotNotFound is to an instance.
        code = code.replace("DBClusterSnapshot", "DBSnapshot").replace("DBCluster", "DBInstance")
        if accept and code.startswith(accept):
            return None
        raise BackupError(f"AWS: {str(error)[:300]}") from error


def _require_scratch(found: Mapping[str, Any], arn: str) -> None:
    tags = tags_of(found)
    if tags.get(OWNER) != "scratch" or tags.get(SNAPSHOT, "") != arn:
        raise BackupError(
            f"the RDS instance {found['DBInstanceIdentifier']} bears the name of a scratch "
            "instance and was not made by Release Control for this snapshot; it was not touched"
        )


def _compare(snapshot: Snapshot, restored: Contents) -> Finding:
    """Compare exactly where the source stood still, else between before and after."""
    expected = dict(snapshot.counts)
    moved = 0
    for table, after in snapshot.counts_after.items():
        before, here = snapshot.counts.get(table), restored.counts.get(table)
        if before is None or here is None or before == after:
            continue
        moved += 1
        if min(before, after) <= here <= max(before, after):
            expected[table] = here
    found = compare(expected, snapshot.constraints, snapshot.database, restored)
    if found.reason != "proven" or not moved:
        return found
    return Finding(
        found.reason,
        f"{found.message} {moved} of them were written meanwhile and lie between the counts "
        "before and after the snapshot.",
        found.counts,
    )


def _status(found: Mapping[str, Any]) -> str:
    return str(found.get("DBInstanceStatus") or found.get("Status"))


def _created(found: Mapping[str, Any]) -> str:
    created = found.get("SnapshotCreateTime")
    return created.isoformat() if isinstance(created, datetime) else "at no time"


def _digest_of(found: Mapping[str, Any]) -> str:
    return _digest(
        {
            "arn": found["DBSnapshotArn"],
            "instance": found["DBInstanceIdentifier"],
            "engine": found["Engine"],
            "engine_version": found["EngineVersion"],
            "encrypted": bool(found["Encrypted"]),
            "created_at": _created(found),
            "figures": tags_of(found).get(FIGURES, ""),
        }
    )


def _digest(document: Mapping[str, Any]) -> str:
    plain = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(plain.encode()).hexdigest()


def _tags(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in values.items()]
