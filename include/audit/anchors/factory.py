"""The anchors of config/audit.yaml."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from include.audit.anchors.anchor import Anchor
from include.audit.anchors.file import FileAnchor
from include.audit.policy import LocatedPolicy
from include.ledger.note import Signer


def open_anchors(
    policy: LocatedPolicy,
    *,
    keys: Sequence[Signer] = (),
    s3_client: Callable[[], Any] | None = None,
) -> tuple[Anchor, ...]:
    """Return every anchor, to write with `keys` or only to read. `s3_client` makes the client."""
    anchors: list[Anchor] = [FileAnchor(policy.file_anchor)]
    if policy.git_anchor is not None:
        from include.audit.anchors.git_tag import GitTagAnchor

        anchors.append(GitTagAnchor(policy.git_anchor, keys))
    place = policy.rules.anchors.s3
    if place is not None:
        from include.audit.anchors.s3 import S3Anchor, open_client

        client = (s3_client or open_client)()
        anchors.append(S3Anchor(client, place.bucket, place.prefix, place.retention))
    return tuple(anchors)
