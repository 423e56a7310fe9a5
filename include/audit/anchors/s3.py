"""Heads in a bucket with Object Lock, in compliance mode: nobody shortens it, nobody deletes.

Every object is read back: one without the mode and the retention that were asked for is no anchor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from include.errors import LedgerError
from include.ledger.entry import Head


@dataclass(frozen=True, slots=True)
class S3Anchor:
    """Objects `<prefix><size>.jsonl`; `client` is boto3's for S3, ready to use."""

    client: Any
    bucket: str
    prefix: str
    retention: timedelta

    @property
    def name(self) -> str:
        """Return how reports call the place."""
        return "s3"

    @property
    def patience(self) -> timedelta:
        """Return how long a head may take to get here: objects are made by the daily seal."""
        return timedelta(hours=26)

    def newest(self) -> int:
        """Return the size of the newest head that is kept; 0 for none."""
        return max((size for size, _, _ in self._versions()), default=0)

    def keep(self, heads: Sequence[Head], now: datetime) -> str:
        """Put the heads as one object, locked, and read its lock back."""
        key = f"{self.prefix}{heads[-1].size:012d}.jsonl"
        until = now.astimezone(UTC).replace(microsecond=0) + self.retention
        with self._translated():
            put = self.client.put_object(
                Bucket=self.bucket,
                Key=key,
                Body="".join(f"{head.text()}\n" for head in heads).encode(),
                ContentType="application/jsonl",
                ChecksumAlgorithm="SHA256",
                ObjectLockMode="COMPLIANCE",
                ObjectLockRetainUntilDate=until,
            )
            version = put.get("VersionId")
            lock = self.client.head_object(
                Bucket=self.bucket, Key=key, **({"VersionId": version} if version else {})
            )
        mode, locked = lock.get("ObjectLockMode"), lock.get("ObjectLockRetainUntilDate")
        if mode != "COMPLIANCE" or locked is None or locked < until:
            raise LedgerError(
                f"s3://{self.bucket}/{key} is locked as {mode} until {locked}, not in compliance "
                f"mode until {until}"
            )
        return f"s3://{self.bucket}/{key}" + (f"?versionId={version}" if version else "")

    def heads(self) -> Iterator[str]:
        """Yield the lines of all objects by size: of each the oldest version, which the lock
        keeps whatever was put over it later, deleted or not."""
        for _, key, version in sorted(self._versions()):
            with self._translated():
                got = self.client.get_object(Bucket=self.bucket, Key=key, VersionId=version)
                content = got["Body"].read()
            yield from content.decode("utf-8", "replace").splitlines()

    def _versions(self) -> list[tuple[int, str, str]]:
        # Newest first is the order in which S3 lists versions: the last one is the oldest.
        oldest: dict[str, str] = {}
        with self._translated():
            pages = self.client.get_paginator("list_object_versions").paginate(
                Bucket=self.bucket, Prefix=self.prefix
            )
            for page in pages:
                for item in page.get("Versions", ()):
                    oldest[item["Key"]] = item["VersionId"]
        named = (
            (key.removeprefix(self.prefix).removesuffix(".jsonl"), key, version)
            for key, version in oldest.items()
        )
        return [
            (int(word), key, version)
            for word, key, version in named
            if word.isascii() and word.isdigit()
        ]

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise LedgerError(f"s3://{self.bucket}: {error}") from error


def open_client() -> Any:
    """Return a client with the credentials that this process has (a role, or AWS_… variables)."""
    import boto3

    return boto3.client("s3")
