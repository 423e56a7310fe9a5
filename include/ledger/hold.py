"""Legal holds: what must be kept beyond its time, because somebody asks for it in law.

A hold on a release covers its changes, and one on a change the release that it is for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import insert, select, update
from sqlalchemy.engine import Connection

from include.ledger import schema
from include.ledger.ledger import Unit
from include.ledger.number import next_number
from include.ledger.record import Outcome, Subject, storable

Scope = Literal["everything", "release", "change"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One hold; in force while `lifted_at` is None."""

    id: str
    kind: Scope
    subject: str | None
    reason: str
    placed_by: str
    placed_at: datetime
    lifted_by: str | None
    lifted_at: datetime | None
    lift_reason: str | None

    @property
    def what(self) -> str:
        """Return what is held, in words."""
        return "everything" if self.subject is None else f"{self.kind} {self.subject}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Whether a hold was placed or lifted; reasons: `done`, `not_found`, `lifted`, `no_reason`,
    `not_eligible`."""

    ok: bool
    reason: str
    message: str
    id: str | None = None


def place_hold(
    unit: Unit, kind: Scope, subject: str | None, reason: str, *, allowed: bool
) -> Answer:
    """Place a hold in the name of the unit's actor; a refusal is on record, too.

    `allowed` says whether the actor has the right to. What the ledger has no record of is held all
    the same: it may still come.
    """
    held = str(storable(subject))[:200] if subject is not None else None
    if (wrong := _objection(unit, reason, allowed=allowed)) is not None:
        return _refuse(unit, held or "everything", wrong, "place")
    key = f"HLD-{next_number(unit, 'hold'):06d}"
    unit.execute(
        insert(schema.legal_hold).values(
            id=key,
            kind=kind,
            subject=held,
            reason=str(storable(reason))[:2000],
            placed_by=unit.actor.user,
            placed_at=unit.now,
        )
    )
    what = "everything" if held is None else f"{kind} {held}"
    message = f"{key}: {what} is kept until {unit.actor.name}'s hold is lifted"
    unit.append(
        "hold.placed",
        Subject(kind="hold", id=key),
        message=message,
        release=held if kind == "release" else None,
        change=held if kind == "change" else None,
        details={"scope": kind, "reason": str(storable(reason))[:2000]},
    )
    return Answer(ok=True, reason="done", message=message, id=key)


def lift_hold(unit: Unit, key: str, reason: str, *, allowed: bool) -> Answer:
    """Lift a hold in the name of the unit's actor; a refusal is on record, too."""
    table = schema.legal_hold
    row = unit.row(select(table).where(table.c.id == str(storable(key))).with_for_update())
    wrong = _objection(unit, reason, allowed=allowed)
    if row is None:
        wrong = wrong or ("not_found", f"there is no hold {key[:40]}; see ./hims audit hold list")
    elif row.lifted_at is not None:
        wrong = wrong or ("lifted", f"{row.id} was lifted by {row.lifted_by} already")
    if wrong is not None or row is None:
        return _refuse(unit, key, wrong or ("not_found", key), "lift")
    unit.execute(
        update(table)
        .where(table.c.id == row.id)
        .values(
            lifted_by=unit.actor.user,
            lifted_at=unit.now,
            lift_reason=str(storable(reason))[:2000],
        )
    )
    message = f"{row.id} is lifted by {unit.actor.name}"
    unit.append(
        "hold.lifted",
        Subject(kind="hold", id=row.id),
        message=message,
        release=row.subject if row.kind == "release" else None,
        change=row.subject if row.kind == "change" else None,
        details={"reason": str(storable(reason))[:2000]},
    )
    return Answer(ok=True, reason="done", message=message, id=row.id)


def holds(connection: Connection) -> Sequence[Hold]:
    """Return every hold there ever was, oldest first."""
    rows = connection.execute(select(schema.legal_hold).order_by(schema.legal_hold.c.id))
    return [Hold(**dict(row)) for row in rows.mappings()]


def _objection(unit: Unit, reason: str, *, allowed: bool) -> tuple[str, str] | None:
    if not allowed:
        message = f"no role of {unit.actor.name} may place or lift legal holds (hold_records)"
        return ("not_eligible", message)
    return None if reason.strip() else ("no_reason", "say why (--reason)")


def _refuse(unit: Unit, what: str, wrong: tuple[str, str], verb: str) -> Answer:
    reason, message = wrong
    unit.append(
        "hold.refused",
        Subject(kind="hold", id=str(storable(what))[:200]),
        outcome=Outcome.DENIED,
        reason=reason,
        message=message,
        details={"asked": verb},
    )
    return Answer(ok=False, reason=reason, message=message)
