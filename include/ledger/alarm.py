"""The alarm that a failed verification leaves behind, until a person acknowledges it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.engine import Connection

from include.ledger import schema

VERIFIED = "ledger.verified"
ACKNOWLEDGED = "ledger.acknowledged"
# The reason of a verification that found something nobody has acknowledged.
TAMPERED = "tampered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A verification that failed: its record's `seq`, when it was, and what it found."""

    seq: int
    time: datetime
    message: str
    findings: tuple[str, ...]


def standing_alarm(connection: Connection) -> Alarm | None:
    """Return the newest alarm that nobody has acknowledged."""
    table = schema.record
    for seq, body in connection.execute(
        select(table.c.seq, table.c.body)
        .where(table.c.event.in_((VERIFIED, ACKNOWLEDGED)))
        .order_by(table.c.seq.desc())
        .execution_options(yield_per=50)
    ):
        content = json.loads(body)
        if content["event"] == ACKNOWLEDGED:
            if content["outcome"] == "success":
                return None
        elif content["reason"] == TAMPERED:
            return Alarm(
                seq=int(seq),
                time=datetime.fromisoformat(content["time"]),
                message=str(content["message"]),
                findings=tuple(content.get("details", {}).get("findings", ())),
            )
    return None


def acknowledged_findings(connection: Connection) -> frozenset[str]:
    """Return everything that people have acknowledged so far."""
    table = schema.record
    bodies = connection.execute(
        select(table.c.body).where(table.c.event == ACKNOWLEDGED, table.c.outcome == "success")
    ).scalars()
    return frozenset(
        finding
        for body in bodies
        for finding in json.loads(body).get("details", {}).get("findings", ())
    )
