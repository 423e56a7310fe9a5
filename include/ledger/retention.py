"""How long records are kept, and what is left of them afterwards.

45 CFR 164.316(b)(2)(i): six years from creation or from when it was last in effect, whichever is
later. What a record says of a release or change is in effect while anything still happens to it and
while its version serves people; a version of a policy is while it is in force. A legal hold wins.
Pruning leaves the record's place, time, kind and leaf hash, and a record of its own says what went.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.engine import Connection

from include.ledger import schema
from include.ledger.hold import holds
from include.ledger.ledger import Ledger
from include.ledger.record import Actor, Source, Subject, time_text

YEARS = 6
# So many records are named by one record of pruning.
BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """A record whose time is over."""

    seq: int
    leaf_hash: str
    event: str
    time: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What went, or would go: records, texts, and how many records a hold keeps."""

    records: tuple[Expired, ...]
    texts: tuple[str, ...]
    held: int


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
    effect = _Effect(connection)
    found, kept = [], 0
    held = [hold for hold in holds(connection) if hold.lifted_at is None]
    for row in rows:
        last = effect.of(row.event, row.release, row.change, row.body)
        if last == _STILL or retain_until(_instant(row.time), last) > now:
            continue
        if any(
            hold.subject is None
            or (hold.kind == "release" and hold.subject == row.release)
            or (hold.kind == "change" and hold.subject == row.change)
            for hold in held
        ):
            kept += 1
            continue
        leaf = "sha256:" + bytes(row.leaf_hash).hex()
        found.append(Expired(seq=row.seq, leaf_hash=leaf, event=row.event, time=row.time))
    return found, kept


def prune(ledger: Ledger, actor: Actor, source: Source, now: datetime, *, dry: bool) -> Pruned:
    """Prune whatever may go, each batch with the record that names it; with `dry` only look."""
    with ledger.read() as connection:
        found, held = expired(connection, now)
        texts = [] if held else list(_texts(connection, now, {item.seq for item in found}))
    outcome = Pruned(records=tuple(found), texts=tuple(texts), held=held)
    if dry:
        return outcome
    for batch in _batches(found):
        with ledger.write(actor, source, now) as unit:
            seqs = [item.seq for item in batch]
            gone = unit.execute(select(func.prune_records(seqs))).scalar_one()
            unit.append(
                "retention.pruned",
                Subject(kind="ledger", id="records"),
                message=f"{gone} records of before {batch[-1].time[:10]} are pruned after "
                f"{YEARS} years; their leaf hashes stand",
                details={
                    "records": [{"seq": item.seq, "leaf_hash": item.leaf_hash} for item in batch]
                },
            )
    if texts:
        with ledger.write(actor, source, now) as unit:
            gone = unit.execute(select(func.forget_texts(texts, now))).scalar_one()
            unit.append(
                "retention.forgotten",
                Subject(kind="ledger", id="texts"),
                message=f"{gone} texts are forgotten after {YEARS} years; their hashes stand",
                details={"texts": texts},
            )
    return outcome


# In effect still: has no end to count from.
_STILL = datetime.max.replace(tzinfo=UTC)


class _Effect:
    """Until when what a record says was in effect."""

    def __init__(self, connection: Connection) -> None:
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
        if release is not None and release in self._serving:
            return _STILL
        ends = [
            *([self._releases[release]] if release in self._releases else ()),
            *([self._changes[change]] if change in self._changes else ()),
        ]
        return max(ends, default=None)

    def _policy(self, body: str) -> datetime | None:
        import json

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


def _batches(items: list[Expired]) -> Iterator[list[Expired]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


def pruned_leaves(connection: Connection) -> Mapping[int, str]:
    """Return seq and leaf hash of every record that a record says was pruned."""
    said = text(
        "SELECT (item ->> 'seq')::bigint, item ->> 'leaf_hash' FROM record,"
        " jsonb_array_elements((body::jsonb) -> 'details' -> 'records') AS item"
        " WHERE event = 'retention.pruned' AND NOT pruned"
    )
    return {int(seq): str(leaf) for seq, leaf in connection.execute(said)}
