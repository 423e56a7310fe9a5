"""A question to people outside of any release, and what came of it.

A desk (`audit_response`, `access_review`) asks by steps: `ask` says what people see and who they
are, `answer` records their word. The Airflow layer carries both and decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from include.ledger import Actor, Outcome, Subject, Unit
from include.ledger.kept_text import keep_text
from include.people import People
from include.people.rights import Right


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What people are shown; the first option says yes. No timeout answers for anybody."""

    subject: str
    body: str
    options: tuple[str, ...]
    groups: tuple[str, ...]
    patience: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What was said, or why it does not count."""

    ok: bool
    reason: str
    message: str


def groups_with(people: People, right: Right) -> tuple[str, ...]:
    """Return the groups of human tasks whose members have a right."""
    roles = [role for person in people.people for role in person.rights.get(right, ())]
    return tuple(dict.fromkeys(roles))


def record_answer(
    unit: Unit,
    event: str,
    subject: Subject,
    *,
    people: People,
    right: Right,
    by: Actor,
    yes: bool,
    choice: str,
    comment: str,
    details: dict[str, Any] | None = None,
) -> Answered:
    """Record one person's word; the word of somebody without the right is refused, on record."""
    person = people.find(by.user)
    if person is None or not person.may(right):
        message = f"{by.name} does not answer this: no role of theirs has the right {right}"
        unit.append(
            f"{event}_refused",
            subject,
            outcome=Outcome.DENIED,
            reason="not_eligible",
            message=message,
            details=details,
        )
        return Answered(ok=False, reason="not_eligible", message=message)
    said = {"comment": keep_text(unit, comment[:4000])} if comment.strip() else {}
    reason = choice.lower().replace(" ", "_").replace("-", "_")
    message = f"{by.name} says: {choice}"
    unit.append(
        event,
        subject,
        outcome=Outcome.SUCCESS if yes else Outcome.FAILURE,
        reason=reason,
        message=message,
        details={**(details or {}), **said},
        meaning=f"{choice} for {subject.kind} {subject.id}",
    )
    return Answered(ok=yes, reason=reason, message=message)
