"""Letting go of what has had its time: one person asks for what a plan shows, another confirms.

What is pruned cannot be had back, so that nobody does it alone. The plan is named by its digest and
is reckoned anew when it is confirmed, as of the instant at which it was asked for: a hold or a word
that came between makes it another plan, which somebody has to ask for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from include.instants import format_duration, parse_instant
from include.ledger import schema
from include.ledger.ledger import Ledger, Unit
from include.ledger.record import Actor, Outcome, Source, Subject, storable
from include.ledger.retention import YEARS, Expired, Plan, plan_pruning

# So long somebody else may confirm.
OPEN = timedelta(days=14)
# So many records are named by one record of pruning.
BATCH = 500
_ASKED = "retention.asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Whether it was done; reasons: `done`, `not_eligible`, `no_reason`, `nothing`, `not_asked`,
    `same_person`, `expired`, `changed`."""

    ok: bool
    reason: str
    message: str
    plan: Plan | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    seq: int
    user: str
    at: datetime


def ask(
    ledger: Ledger, actor: Actor, source: Source, now: datetime, reason: str, *, allowed: bool
) -> Answer:
    """Ask in the name of `actor` that what may go now goes; nothing goes yet. A refusal is on
    record, too. `allowed` says whether they are among those who may."""
    # As exactly as the record will say when it was.
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)
    with ledger.read() as connection:
        plan = plan_pruning(connection, now)
    with ledger.write(actor, source, now) as unit:
        if not allowed:
            return _refuse(unit, "not_eligible", _not_among(actor))
        if not reason.strip():
            return _refuse(unit, "no_reason", "say why (--reason)")
        if not plan:
            return _refuse(unit, "nothing", "there is nothing whose time is over")
        message = (
            f"{actor.name} asks to prune {len(plan.records)} records and {len(plan.texts)} texts; "
            "somebody else has to confirm"
        )
        unit.append(
            _ASKED,
            Subject(kind="ledger", id="records", content_hash=plan.digest),
            message=message,
            details={
                "reason": str(storable(reason))[:2000],
                "records": len(plan.records),
                "texts": len(plan.texts),
                "held": plan.held,
                **_span(plan.records),
            },
        )
    return Answer(ok=True, reason="done", message=message, plan=plan)


def confirm(
    ledger: Ledger, digest: str, actor: Actor, source: Source, now: datetime, *, allowed: bool
) -> Answer:
    """Prune the plan that somebody else has asked for, each batch with the record that names it.

    A refusal is on record, too. Whoever is killed half way leaves whole batches pruned, and another
    plan for the rest.
    """
    with ledger.read() as connection:
        request = _request(connection, digest)
        plan = None if request is None else plan_pruning(connection, request.at)
    wrong = _objection(request, plan, digest, actor, now, allowed=allowed)
    if wrong is not None or request is None or plan is None:
        with ledger.write(actor, source, now) as unit:
            return _refuse(unit, *(wrong or ("not_asked", digest)))
    for batch in _batches(plan.records):
        with ledger.write(actor, source, now) as unit:
            _prune(unit, batch, request)
    if plan.texts:
        with ledger.write(actor, source, now) as unit:
            gone = unit.execute(select(func.forget_texts(list(plan.texts), now))).scalar_one()
            unit.append(
                "retention.forgotten",
                Subject(kind="ledger", id="texts"),
                message=f"{gone} texts are forgotten after {YEARS} years; their hashes stand",
                details={
                    "texts": list(plan.texts), "asked": request.seq, "asked_by": request.user
                },
            )  # fmt: skip
    message = (
        f"{len(plan.records)} records and {len(plan.texts)} texts are pruned; their hashes stand"
    )
    return Answer(ok=True, reason="done", message=message, plan=plan)


def _prune(unit: Unit, batch: Sequence[Expired], request: _Request) -> None:
    seqs = [item.seq for item in batch]
    gone = unit.execute(select(func.prune_records(seqs))).scalar_one()
    table = schema.record
    rows = unit.execute(select(table.c.seq, table.c.body).where(table.c.seq.in_(seqs)))
    left = {int(row.seq): str(row.body) for row in rows}
    unit.append(
        "retention.pruned",
        Subject(kind="ledger", id="records"),
        message=f"{gone} records of before {batch[-1].time[:10]} are pruned after "
        f"{YEARS} years; their leaf hashes stand",
        details={
            "records": [
                {
                    "seq": item.seq,
                    "leaf_hash": item.leaf_hash,
                    "stub": "sha256:" + hashlib.sha256(left[item.seq].encode("utf-8")).hexdigest(),
                }
                for item in batch
            ],
            "asked": request.seq,
            "asked_by": request.user,
        },
    )


def _objection(
    request: _Request | None,
    plan: Plan | None,
    digest: str,
    actor: Actor,
    now: datetime,
    *,
    allowed: bool,
) -> tuple[str, str] | None:
    if not allowed:
        return "not_eligible", _not_among(actor)
    if request is None or plan is None:
        message = f"nobody has asked to prune {digest[:80]}: ./hims audit prune shows what may go"
        return "not_asked", message
    if request.user == actor.user:
        return "same_person", f"{actor.name} asked for it: somebody else has to confirm"
    if now - request.at > OPEN:
        message = f"that was asked more than {format_duration(OPEN)} ago: ask again"
        return "expired", message
    if plan.digest != digest:
        message = (
            f"what may go is no longer what record {request.seq} asked for: it went already, is "
            "held, or was spoken of since; look at ./hims audit prune and ask again"
        )
        return "changed", message
    return None


def _request(connection: Any, digest: str) -> _Request | None:
    """Return the newest request for the plan."""
    table = schema.record
    rows = connection.execute(
        select(table.c.seq, table.c.body)
        .where(table.c.event == _ASKED, table.c.pruned.is_(False))
        .order_by(table.c.seq.desc())
    )
    for seq, body in rows:
        said = json.loads(body)
        if said["subject"].get("content_hash") == digest:
            at = parse_instant(said["time"])
            return _Request(seq=int(seq), user=str(said["actor"]["user"]), at=at)
    return None


def _refuse(unit: Unit, reason: str, message: str) -> Answer:
    unit.append(
        "retention.refused",
        Subject(kind="ledger", id="records"),
        outcome=Outcome.DENIED,
        reason=reason,
        message=message,
    )
    return Answer(ok=False, reason=reason, message=message)


def _not_among(actor: Actor) -> str:
    return f"{actor.name} has none of the roles that prune (`pruned_by` in config/audit.yaml)"


def _span(records: Sequence[Expired]) -> dict[str, Any]:
    if not records:
        return {}
    times = sorted(item.time for item in records)
    return {"first": records[0].seq, "last": records[-1].seq, "from": times[0], "to": times[-1]}


def _batches(items: Sequence[Expired]) -> Iterator[Sequence[Expired]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]
