"""One line of the ledger, its canonical bytes and its leaf hash.

The canonical form is RFC 8785 JSON; the leaf hash is SHA-256(0x00 ‖ canonical), as RFC 6962 §2.1
defines the leaf of a Merkle tree.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import rfc8785


class Outcome(StrEnum):
    """How what the record speaks of ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    DENIED = "denied"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who did it: a person (`user` is the sign-in) or a named service; `auth` says how we know."""

    user: str
    name: str
    auth: str

    @staticmethod
    def service(name: str) -> Actor:
        """Return the actor for something that Release Control did by itself."""
        return Actor(user=f"service:{name}", name=name, auth="process")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Through which door it came: `dag`, `cli`, `ui` or `api`, and which task if it was one.

    At a shell, `account` is the operating system's account that it came from, whoever acts.
    """

    kind: str
    dag_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    map_index: int | None = None
    try_number: int | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What it was done to; `version` and `content_hash` say exactly which state of it."""

    kind: str
    id: str
    version: str | None = None
    content_hash: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record as it is hashed. `time` is aware UTC and kept in milliseconds.

    `rows` are the rows of state that its unit of work has changed: key → digest (see rows.py).
    """

    time: datetime
    event: str
    outcome: Outcome
    reason: str
    message: str
    actor: Actor
    source: Source
    subject: Subject
    release: str | None = None
    change: str | None = None
    difference: Mapping[str, Any] = field(default_factory=dict)
    evidence: Sequence[Mapping[str, str]] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    policy_hash: str | None = None
    meaning: str | None = None
    rows: Mapping[str, str | None] = field(default_factory=dict)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def body(self) -> str:
        """Return the canonical JSON text of the record."""
        content = {
            "id": self.id,
            "time": time_text(self.time),
            "event": self.event,
            "outcome": str(self.outcome),
            "reason": self.reason,
            "message": self.message,
            "actor": _filled(self.actor, ("user", "name", "auth")),
            "source": _filled(
                self.source,
                ("kind", "dag_id", "run_id", "task_id", "map_index", "try_number", "account"),
            ),
            "subject": _filled(self.subject, ("kind", "id", "version", "content_hash")),
            "release": self.release,
            "change": self.change,
            "difference": dict(self.difference),
            "evidence": [dict(item) for item in self.evidence],
            "details": dict(self.details),
            "policy_hash": self.policy_hash,
            "meaning": self.meaning,
            "rows": dict(self.rows),
        }
        empty: tuple[Any, ...] = (None, {}, [])
        return canonical({key: value for key, value in content.items() if value not in empty})


def time_text(value: datetime) -> str:
    """Return an aware instant as records write it: UTC, milliseconds, `Z`.

    >>> time_text(datetime(2026, 11, 28, 7, tzinfo=UTC))
    '2026-11-28T07:00:00.000Z'
    """
    utc = value.astimezone(UTC)
    # strftime would leave out the zeros of a year before 1000.
    return utc.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def canonical(content: Any) -> str:
    """Return RFC 8785 JSON of plain data; raise ValueError for what JSON cannot say exactly."""
    try:
        return rfc8785.dumps(storable(content)).decode("utf-8")
    except rfc8785.CanonicalizationError as error:
        raise ValueError(str(error)) from error


def storable(content: Any) -> Any:
    """Return plain data in which every text is one that PostgreSQL can hold.

    That excludes U+0000 and halves of surrogate pairs; they mean nothing in a release either.
    """
    if isinstance(content, str):
        return content.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    if isinstance(content, Mapping):
        return {str(storable(str(key))): storable(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [storable(item) for item in content]
    return content


def content_hash(content: Any) -> str:
    """Return `sha256:<hex>` over the canonical JSON of plain data."""
    return "sha256:" + hashlib.sha256(canonical(content).encode("utf-8")).hexdigest()


def leaf_hash(body: str) -> bytes:
    """Return the RFC 6962 leaf hash of a record's canonical text."""
    return hashlib.sha256(b"\x00" + body.encode("utf-8")).digest()


def _filled(value: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names if getattr(value, name) is not None}
