"""One gate's verdict on one commit and artefact.

The first verdict stands: the same gate on the same content is not asked again until it pleases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection, Row

from include.ledger import Outcome, Subject, Unit, schema
from include.ledger.record import storable

Verdict = Literal["go", "no_go", "inconclusive"]

_OUTCOMES = {"go": Outcome.SUCCESS, "no_go": Outcome.FAILURE, "inconclusive": Outcome.UNKNOWN}


def decide(
    unit: Unit,
    release: Subject,
    attempt: int,
    name: str,
    *,
    commit: str,
    digest: str,
    verdict: Verdict,
    reason: str,
    message: str,
    evidence: Sequence[Mapping[str, str]] = (),
    meaning: str | None = None,
) -> bool:
    """Record a verdict in the unit; return False if this gate has spoken on this content before."""
    table = schema.gate
    statement = insert(table).values(
        release_id=release.id,
        attempt=attempt,
        name=name,
        commit=commit,
        digest=digest,
        verdict=verdict,
        reason=reason,
        message=storable(message),
        evidence=storable(evidence),
        decided_by=unit.actor.user,
        decided_at=unit.now,
    )
    written = unit.execute(statement.on_conflict_do_nothing())
    if not written.rowcount:
        return False
    unit.append(
        f"gate.{verdict}",
        release,
        outcome=_OUTCOMES[verdict],
        reason=reason,
        message=f"gate {name}: {message}",
        evidence=evidence,
        details={"gate": name, "commit": commit, "digest": digest},
        meaning=meaning,
    )
    return True


def verdicts(
    connection: Connection, release: str, attempt: int, commit: str, digest: str
) -> dict[str, Row[Any]]:
    """Return the verdicts on exactly this commit and artefact, by gate."""
    table = schema.gate
    rows = connection.execute(
        select(table).where(
            table.c.release_id == release,
            table.c.attempt == attempt,
            table.c.commit == commit,
            table.c.digest == digest,
        )
    )
    return {row.name: row for row in rows}
