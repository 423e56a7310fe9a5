"""An Aurora cluster, spoken of as one RDS instance: what is asked and answered is the client's.

Snapshots are the cluster's there, and a restored cluster has no instance until one is made in it:
a scratch cluster of ours gets its one as soon as it can have it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# What the instance of a scratch cluster is to be like, and whose it is: tags of the cluster.
CLASS = "release-control:class"

_MEMBERS = "db-cluster-id"


class Aurora:
    """The client of RDS for clusters; its calls and answers are those for instances."""

    def __init__(self, client: Any) -> None:
        self._rds = client

    def create_db_snapshot(self, **named: Any) -> None:
        """Request a snapshot of the cluster."""
        self._rds.create_db_cluster_snapshot(
            DBClusterIdentifier=named["DBInstanceIdentifier"],
            DBClusterSnapshotIdentifier=named["DBSnapshotIdentifier"],
            Tags=named["Tags"],
        )

    def describe_db_snapshots(self, **named: Any) -> dict[str, Any]:
        """Describe one snapshot of a cluster."""
        answer = self._rds.describe_db_cluster_snapshots(
            DBClusterSnapshotIdentifier=named["DBSnapshotIdentifier"]
        )
        return {
            "DBSnapshots": [
                {
                    **found,
                    "DBSnapshotArn": found["DBClusterSnapshotArn"],
                    "DBSnapshotIdentifier": found["DBClusterSnapshotIdentifier"],
                    "DBInstanceIdentifier": found["DBClusterIdentifier"],
                    "Encrypted": found["StorageEncrypted"],
                }
                for found in answer["DBClusterSnapshots"]
            ]
        }

    def delete_db_snapshot(self, **named: Any) -> None:
        """Delete a snapshot of a cluster."""
        self._rds.delete_db_cluster_snapshot(
            DBClusterSnapshotIdentifier=named["DBSnapshotIdentifier"]
        )

    def describe_db_instances(self, **named: Any) -> dict[str, Any]:
        """Describe the cluster; a scratch cluster is available once its instance is."""
        answer = self._rds.describe_db_clusters(DBClusterIdentifier=named["DBInstanceIdentifier"])
        return {"DBInstances": [self._whole(found) for found in answer["DBClusters"]]}

    def get_paginator(self, operation: str) -> _Pages:
        """Return the pages of `describe_db_instances`."""
        return _Pages(self._rds.get_paginator(operation.replace("instances", "clusters")))

    def restore_db_instance_from_db_snapshot(self, **named: Any) -> None:
        """Restore a snapshot into a new cluster, which `describe_db_instances` furnishes."""
        (snapshot,) = self.describe_db_snapshots(
            DBSnapshotIdentifier=named["DBSnapshotIdentifier"]
        )["DBSnapshots"]
        kept = ("DBSubnetGroupName", "VpcSecurityGroupIds", "DeletionProtection")
        source = self._rds.describe_db_clusters(
            DBClusterIdentifier=snapshot["DBClusterIdentifier"]
        )["DBClusters"][0]
        scaling = source.get("ServerlessV2ScalingConfiguration") or {}
        limits = {name: scaling[name] for name in ("MinCapacity", "MaxCapacity") if name in scaling}
        self._rds.restore_db_cluster_from_snapshot(
            DBClusterIdentifier=named["DBInstanceIdentifier"],
            SnapshotIdentifier=named["DBSnapshotIdentifier"],
            Engine=snapshot["Engine"],
            CopyTagsToSnapshot=False,
            Tags=[*named["Tags"], {"Key": CLASS, "Value": named["DBInstanceClass"]}],
            **{name: named[name] for name in kept if name in named},
            **({"ServerlessV2ScalingConfiguration": limits} if limits else {}),
        )

    def delete_db_instance(self, **named: Any) -> None:
        """Delete the cluster with its instances."""
        name = named["DBInstanceIdentifier"]
        for member in self._members(name):
            if member["DBInstanceStatus"] != "deleting":
                self._rds.delete_db_instance(
                    DBInstanceIdentifier=member["DBInstanceIdentifier"], SkipFinalSnapshot=True
                )
        self._rds.delete_db_cluster(DBClusterIdentifier=name, SkipFinalSnapshot=True)

    def add_tags_to_resource(self, **named: Any) -> None:
        """Tag a snapshot or a cluster."""
        self._rds.add_tags_to_resource(**named)

    def _whole(self, cluster: Mapping[str, Any]) -> dict[str, Any]:
        name = cluster["DBClusterIdentifier"]
        members = self._members(name)
        status = str(cluster["Status"])
        wanted = _tag(cluster, CLASS)
        if status == "available" and wanted is not None:
            if not members:
                self._rds.create_db_instance(
                    DBInstanceIdentifier=name,
                    DBClusterIdentifier=name,
                    Engine=cluster["Engine"],
                    DBInstanceClass=wanted,
                    PubliclyAccessible=False,
                )
                members = self._members(name)
            status = next((str(item["DBInstanceStatus"]) for item in members), "creating")
        return {**_as_instance(cluster, status), "DBInstanceClass": _class(members)}

    def _members(self, cluster: str) -> list[dict[str, Any]]:
        answer = self._rds.describe_db_instances(Filters=[{"Name": _MEMBERS, "Values": [cluster]}])
        return list(answer["DBInstances"])


class _Pages:
    """Pages of clusters, as pages of instances."""

    def __init__(self, paginator: Any) -> None:
        self._paginator = paginator

    def paginate(self) -> Iterator[dict[str, Any]]:
        """Return each page."""
        for page in self._paginator.paginate():
            yield {
                "DBInstances": [
                    _as_instance(found, str(found["Status"])) for found in page["DBClusters"]
                ]
            }


def _as_instance(cluster: Mapping[str, Any], status: str) -> dict[str, Any]:
    subnets = cluster.get("DBSubnetGroup")
    return {
        **cluster,
        "DBInstanceIdentifier": cluster["DBClusterIdentifier"],
        "DBInstanceArn": cluster["DBClusterArn"],
        "DBInstanceStatus": status,
        "DBSubnetGroup": {"DBSubnetGroupName": subnets} if subnets else {},
        "Endpoint": {"Address": cluster.get("Endpoint"), "Port": cluster.get("Port")},
    }


def _class(members: list[dict[str, Any]]) -> str:
    return next((str(item["DBInstanceClass"]) for item in members), "db.serverless")


def _tag(found: Mapping[str, Any], key: str) -> str | None:
    return next((str(tag["Value"]) for tag in found.get("TagList", ()) if tag["Key"] == key), None)
