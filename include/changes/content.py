"""What a change says, and the hash that a vote signs.

Only the significant fields have the content hash (design §1.2): edit one of them and every vote is
void; edit a label and they stand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from include.ledger.record import content_hash

SIGNIFICANT = (
    "type",
    "scope",
    "affected_systems",
    "risk",
    "rollback_plan",
    "slot",
    "strategy",
    "implementers",
    "implementation",
    "on_close",
    "testing",
    "approvals_required",
    "model",
    "parameters",
    "incident",
    "retroactive",
)


def significant(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a change that people approve."""
    return {name: content[name] for name in SIGNIFICANT if name in content}


def signed_hash(content: Mapping[str, Any]) -> str:
    """Return `sha256:<hex>` over the significant fields in canonical form."""
    return content_hash(significant(content))


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what differs, leaf by leaf: `{"slot.latest": {"from": …, "to": …}}`."""
    found: dict[str, dict[str, Any]] = {}
    _compare("", before, after, found)
    return found


def is_significant(path: str) -> bool:
    """Return whether a path of `difference` lies in what people approve."""
    return path.partition(".")[0] in SIGNIFICANT


def _compare(path: str, before: Any, after: Any, found: dict[str, dict[str, Any]]) -> None:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            here = f"{path}.{key}" if path else str(key)
            _compare(here, before.get(key), after.get(key), found)
    elif before != after:
        found[path] = {"from": before, "to": after}
