"""What came of an entry: made, or refused with a reason. Both are on record."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text

from include.ledger import Outcome, Subject, Unit
from include.ledger.record import storable
from include.notices.wording import one_line
from include.people import Person


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """Whether the entry stands; `id` is its own where there is one, `message` says why or why not.

    Reasons of a refusal: `not_eligible`, `same_person`, `not_found`, `ended`, `incomplete`,
    `out_of_order`, `slot_taken`, `not_allowed`.
    """

    ok: bool
    reason: str
    message: str
    id: str | None = None


def refuse(
    unit: Unit,
    event: str,
    subject: Subject,
    reason: str,
    message: str,
    *,
    change: str | None = None,
) -> Entered:
    """Record that `event` was refused and return the refusal; nothing else is written."""
    unit.append(
        event,
        subject,
        outcome=Outcome.DENIED,
        reason=reason,
        message=message[:2000],
        change=change,
    )
    return Entered(ok=False, reason=reason, message=message)


def eligible(person: Person, roles: tuple[str, ...], what: str) -> str | None:
    """Return why `person` may not do `what`; None where one of their `roles` allows it."""
    if set(person.roles) & set(roles):
        return None
    allowed = ", ".join(role.replace("_", " ") for role in roles)
    return f"{person.name} may not {what}; these may: {allowed}"


def number(unit: Unit, sequence: str, prefix: str) -> str:
    """Return the next id of a kind of entry, like `FRZ-000001`."""
    following = unit.execute(text("SELECT nextval(:name)"), {"name": sequence}).scalar_one()
    return f"{prefix}-{following:06d}"


def words(given: str) -> str:
    """Return what a person wrote, on one line, as the ledger can hold it, and not too long."""
    return one_line(str(storable(given)))[:500]
