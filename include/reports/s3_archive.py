"""Copies of reports in an S3 bucket."""

from __future__ import annotations

from typing import Any


class S3Archive:
    """Stores files under `s3://bucket/prefix` through a ready-made S3 client."""

    def __init__(self, client: Any, place: str) -> None:
        self._client = client
        bucket, _, prefix = place.removeprefix("s3://").partition("/")
        self._bucket = bucket
        self._prefix = prefix.strip("/")

    def put(self, key: str, content: bytes, content_type: str) -> str:
        """Store one file and return its URI; whatever the client raises goes to the caller."""
        name = self._name(key)
        self._client.put_object(
            Bucket=self._bucket, Key=name, Body=content, ContentType=content_type
        )
        return f"s3://{self._bucket}/{name}"

    def drop(self, key: str) -> None:
        """Take one file away; S3 says nothing where there is none."""
        self._client.delete_object(Bucket=self._bucket, Key=self._name(key))

    def _name(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key
