"""How long records are kept, and what is left of them afterwards.

45 CFR 164.316(b)(2)(i): six years from creation or from when it was last in effect, whichever is
later. What a record says of a release or change is in effect while anything still happens to it and
while its version serves people; a version of a policy is while it is in force. A legal hold wins.
Pruning (pruning.py) leaves the record's place, time, kind and leaf hash, and a record of its own
says what went.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.engine import Connection

from include.errors import RequestError
from include.ledger import schema
from include.ledger.bonds import Bonds
from include.ledger.hold import holds
from include.ledger.note import read_note
from include.ledger.record import content_hash, time_text

YEARS = 6
# A signed head says from when on a record existed: what was sealed later than this after its time
# is kept for as long as if it were from then, since nothing else proves how old it is.
SEALED_LATE = timedelta(days=31)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """A record whose time is over."""

    seq: int
    leaf_hash: str
    event: str
    time: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What may go as of an instant: records and texts, and how many records a hold keeps."""

    at: datetime
    records: tuple[Expired, ...]
    texts: tuple[str, ...]
    held: int

    def __bool__(self) -> bool:
        """Return whether anything may go."""
        return bool(self.records or self.texts)

    @property
    def digest(self) -> str:
        """Return `sha256:<hex>` over exactly what may go."""
        named = [[item.seq, item.leaf_hash] for item in self.records]
        return content_hash({"records": named, "texts": list(self.texts)})


def plan_pruning(connection: Connection, at: datetime) -> Plan:
    """Return what may go as of `at`, by the holds and the state of now."""
    found, held = expired(connection, at)
    texts = [] if held else list(_texts(connection, at, {item.seq for item in found}))
    return Plan(at=at, records=tuple(found), texts=tuple(texts), held=held)


def retain_until(created: datetime, last_in_effect: datetime | None) -> datetime:
    """Return the instant from which something may go; a 29 February becomes a 1 March.

    >>> retain_until(datetime(2028, 2, 29, tzinfo=UTC), None).isoformat()
    '2034-03-01T00:00:00+00:00'
    """
    start = created if last_in_effect is None else max(created, last_in_effect)
    try:
        return start.replace(year=start.year + YEARS)
    except ValueError:
        return start.replace(year=start.year + YEARS, month=3, day=1)


def expired(connection: Connection, now: datetime) -> tuple[list[Expired], int]:
    """Return the records that may go at `now`, in order, and how many more a hold keeps."""
    table = schema.record
    oldest = time_text(_years_before(now))
    rows = connection.execute(
        select(
            table.c.seq, table.c.leaf_hash, table.c.event, table.c.time, table.c.release,
            table.c.change, table.c.body,
        )
        .where(table.c.time < oldest, table.c.pruned.is_(False))
        .order_by(table.c.seq)
    ).all()  # fmt: skip
    bonds = Bonds(connection)
    effect = _Effect(connection, bonds)
    late = _sealed_after(connection, _years_before(now) + SEALED_LATE)
    found, kept = [], 0
    held = [hold for hold in holds(connection) if hold.lifted_at is None]
    for row in rows:
        last = effect.of(row.event, row.release, row.change, row.body)
        if row.seq in late or last == _STILL or retain_until(_instant(row.time), last) > now:
            continue
        named = {
            "release": bonds.releases(row.release, row.change),
            "change": bonds.changes(row.release, row.change),
        }
        if any(hold.subject is None or hold.subject in named[hold.kind] for hold in held):
            kept += 1
            continue
        leaf = "sha256:" + bytes(row.leaf_hash).hex()
        found.append(Expired(seq=row.seq, leaf_hash=leaf, event=row.event, time=row.time))
    return found, kept


def _sealed_after(connection: Connection, since: datetime) -> set[int]:
    """Return the records whose first head was signed after `since`: all that have a place where
    some head cannot be read.

    What was signed says when; the columns beside it say whatever somebody wrote there.
    """
    place = schema.leaf.c.position
    query = select(schema.leaf.c.seq)
    try:
        notes = connection.execute(_NOTES, execution_options={"yield_per": 500}).scalars()
        signed = sorted((head.size, head.time) for head, _ in map(read_note, map(str, notes)))
    except RequestError:
        return set(connection.execute(query).scalars())
    if not signed:
        return set()
    early = takewhile(lambda head: head[1] <= since, signed)
    first, last = max((size for size, _ in early), default=0), signed[-1][0]
    return set(connection.execute(query.where(place >= first, place < last)).scalars())


_NOTES = text(
    "SELECT CASE WHEN pg_input_is_valid(entry, 'jsonb') THEN (entry::jsonb) ->> 'note' END"
    " FROM head"
)

# In effect still: has no end to count from.
_STILL = datetime.max.replace(tzinfo=UTC)


class _Effect:
    """Until when what a record says was in effect."""

    def __init__(self, connection: Connection, bonds: Bonds) -> None:
        self._bonds = bonds
        record, deployment = schema.record, schema.deployment
        self._releases = _latest(connection, record.c.release)
        self._changes = _latest(connection, record.c.change)
        self._serving = set(
            connection.execute(
                select(deployment.c.release_id).where(deployment.c.ended_at.is_(None))
            ).scalars()
        )
        self._policies = set(connection.execute(select(schema.policy_file.c.sha256)).scalars())
        self._superseded = _superseded(connection)

    def of(self, event: str, release: str | None, change: str | None, body: str) -> datetime | None:
        """Return the end of the effect, None where creation counts, or `_STILL`."""
        if event.startswith("policy."):
            return self._policy(body)
        releases = self._bonds.releases(release, change)
        if not releases.isdisjoint(self._serving):
            return _STILL
        changes = self._bonds.changes(release, change)
        ends = [
            *(self._releases[name] for name in releases if name in self._releases),
            *(self._changes[name] for name in changes if name in self._changes),
        ]
        return max(ends, default=None)

    def _policy(self, body: str) -> datetime | None:
        digest = json.loads(body).get("subject", {}).get("content_hash")
        if digest is not None and digest in self._policies:
            return _STILL
        return self._superseded.get(str(digest))


def _latest(connection: Connection, column: Any) -> dict[str, datetime]:
    query = (
        select(column, func.max(schema.record.c.time)).where(column.is_not(None)).group_by(column)
    )
    return {str(name): _instant(last) for name, last in connection.execute(query)}


def _superseded(connection: Connection) -> dict[str, datetime]:
    """Return when each version of a policy gave way to the next."""
    said = text(
        "SELECT (body::jsonb) -> 'difference' -> 'content' ->> 'from', max(time) FROM record"
        " WHERE event IN ('policy.changed', 'policy.removed') GROUP BY 1"
    )
    return {str(digest): _instant(last) for digest, last in connection.execute(said) if digest}


def _texts(connection: Connection, now: datetime, going: Iterable[int]) -> Iterator[str]:
    """Yield the texts that are old enough and that no record which stays speaks of."""
    table = schema.kept_text
    gone = list(going)
    old = connection.execute(
        select(table.c.digest, table.c.kept_at).where(
            table.c.body.is_not(None), table.c.kept_at < _years_before(now)
        )
    ).all()
    for row in old:
        if retain_until(row.kept_at, None) > now:
            continue
        spoken = connection.execute(
            text(
                "SELECT EXISTS (SELECT FROM record WHERE NOT pruned AND seq <> ALL (:gone)"
                " AND (event LIKE 'policy.%' OR NOT event LIKE 'retention.%')"
                " AND strpos(body, :digest) > 0)"
            ),
            {"gone": gone, "digest": row.digest},
        ).scalar_one()
        if not spoken:
            yield row.digest


def _years_before(now: datetime) -> datetime:
    try:
        return now.replace(year=now.year - YEARS)
    except ValueError:
        return now.replace(year=now.year - YEARS, day=28)


def _instant(value: str) -> datetime:
    return datetime.fromisoformat(value)


@dataclass(frozen=True, slots=True)
class Stub:
    """What the record of a pruning says of one that went: its leaf hash, and the SHA-256 of what
    stands in its place. `at` is when that was."""

    leaf_hash: str
    stub: str
    at: datetime

    def fits(self, body: str, leaf: bytes, time: str, sealed: datetime | None) -> bool:
        """Return whether a row is what was left, with the leaf hash that it had, of a record of
        `time` that had had its time; `sealed` is when its head was signed."""
        left = "sha256:" + hashlib.sha256(body.encode("utf-8")).hexdigest()
        try:
            due = retain_until(datetime.fromisoformat(time), None) <= self.at
            if sealed is not None:
                due = due and retain_until(sealed - SEALED_LATE, None) <= self.at
        except (ValueError, TypeError):
            return False
        return due and (self.leaf_hash, self.stub) == ("sha256:" + leaf.hex(), left)


# The sequencer looks no more for what is below its bound.
_PRUNINGS = text(
    "SELECT body FROM record r WHERE event = 'retention.pruned' AND NOT pruned"
    " AND (EXISTS (SELECT FROM leaf l WHERE l.seq = r.seq)"
    "   OR seq >= (SELECT min(low) FROM sequencer_stands())) ORDER BY seq"
)


def pruned_stubs(connection: Connection) -> Mapping[int, Stub]:
    """Return, by seq, every record that a record says was pruned. What is no such record, whoever
    wrote it, says nothing; nor does one without a place that is not about to get one."""
    bodies = connection.execute(_PRUNINGS).scalars()
    found: dict[int, Stub] = {}
    for body in bodies:
        try:
            said = json.loads(body)
            at = datetime.fromisoformat(said["time"])
            found |= {
                int(item["seq"]): Stub(str(item["leaf_hash"]), str(item["stub"]), at)
                for item in said["details"]["records"]
            }
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return found
