"""What became of something that was asked for: done, or refused with a reason."""

from __future__ import annotations

from dataclasses import dataclass

from include.changes.change import Change
from include.changes.condition import Condition
from include.ledger import Outcome, Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """`ok` False is a well-formed no; `conditions` are all that were looked at."""

    ok: bool
    reason: str
    message: str
    conditions: tuple[Condition, ...] = ()


def refuse(unit: Unit, change: Change, event: str, reason: str, problem: str) -> Ruling:
    """Record that the actor's wish is refused, and return that with the reason."""
    unit.append(
        event,
        change.subject,
        outcome=Outcome.DENIED,
        reason=reason,
        message=f"{unit.actor.name}: {change.id}: {problem}",
    )
    return Ruling(ok=False, reason=reason, message=f"{change.id}: {problem}")
