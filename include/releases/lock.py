"""The lock that a rollback leaves on a service, and who may take it off.

A second person does, with a reason: not the one who asked for the release that was rolled back,
nor the one who asked for a rollback under it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from include.errors import LedgerError
from include.ledger import Outcome, Subject, Unit, schema
from include.people import Person

_LONGEST = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlocked:
    """Whether the lock is off now; `message` says why, or why not."""

    ok: bool
    reason: str
    message: str


def lock(
    unit: Unit,
    service: str,
    *,
    release: str | None,
    reason: str,
    by: str,
    commits: Sequence[str] = (),
) -> None:
    """Lock `service`; where it is locked already, add what this is for to what it was for."""
    table = schema.release_lock
    made = unit.execute(
        insert(table)
        .values(
            service=service,
            release_id=release,
            reason=reason[:_LONGEST],
            commits=list(commits),
            locked_by=by,
            locked_at=unit.now,
        )
        .on_conflict_do_nothing()
    )
    if made.rowcount:
        return
    present = unit.row(
        select(table)
        .where(table.c.service == service, table.c.unlocked_at.is_(None))
        .with_for_update()
    )
    if present is None:
        raise LedgerError(f"{service} was unlocked while it was being locked; try again")
    known = present.reason if reason in present.reason else f"{present.reason}; {reason}"
    unit.execute(
        update(table)
        .where(table.c.id == present.id)
        .values(
            release_id=present.release_id or release,
            reason=known[:_LONGEST],
            commits=list(dict.fromkeys([*(present.commits or ()), *commits])),
        )
    )


def unlock(unit: Unit, service: str, person: Person, reason: str) -> Unlocked:
    """Take the lock off `service` in the name of `person`; a refusal is a record too."""
    locks, releases = schema.release_lock, schema.release
    row = unit.row(
        select(locks, releases.c.requested_by)
        .outerjoin(releases, releases.c.id == locks.c.release_id)
        .where(locks.c.service == service, locks.c.unlocked_at.is_(None))
        .with_for_update(of=locks)
    )
    subject = Subject(kind="service", id=service)
    if row is None:
        outcome = Unlocked(ok=False, reason="not_locked", message=f"{service} is not locked")
    elif not reason.strip():
        outcome = Unlocked(ok=False, reason="no_reason", message="say why it may go on (--reason)")
    elif not person.may("unlock_service"):
        outcome = Unlocked(
            ok=False,
            reason="not_eligible",
            message=f"no role of {person.name} may unlock a service (config/people.yaml)",
        )
    elif person.user in {row.requested_by, row.locked_by, *_went_back(unit, row)}:
        outcome = Unlocked(
            ok=False,
            reason="same_person",
            message=f"{person.name} asked for what was locked; a second person has to unlock",
        )
    else:
        unit.execute(
            update(locks)
            .where(locks.c.id == row.id)
            .values(unlocked_by=person.user, unlock_reason=reason[:2000], unlocked_at=unit.now)
        )
        outcome = Unlocked(
            ok=True,
            reason="unlocked",
            message=f"{service} may be released again: {person.name}: {reason[:200]}",
        )
    unit.append(
        "service.unlocked" if outcome.ok else "service.unlock_refused",
        subject,
        outcome=Outcome.SUCCESS if outcome.ok else Outcome.DENIED,
        reason=outcome.reason,
        message=outcome.message,
        release=row.release_id if row is not None else None,
    )
    return outcome


def _went_back(unit: Unit, row: Any) -> set[str]:
    """Return who asked for a rollback that was done while the lock was on."""
    table = schema.rollback
    found = unit.execute(
        select(table.c.requested_by).where(
            table.c.service == row.service, table.c.updated_at >= row.locked_at
        )
    )
    return set(found.scalars())
