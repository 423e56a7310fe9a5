"""Issuing a permit and checking it again, each in one transaction (design §5)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.engine import Row

from include.changes.condition import Condition, plain, refusals
from include.ledger import Outcome, Subject, Unit, schema
from include.ledger.number import next_number
from include.notices import texts
from include.permits.conditions import evaluate
from include.policies import note_policies
from include.releases.phases.cab import release_change
from include.releases.train import Train
from include.releases.window_clock import measure, turn_by


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """Leave to touch production, once; targets refuse an older `fence`.

    It expires at the point of no return: the last instant at which a rollback still fits into the
    window that was open when it was issued, or into the time that was granted since and joins it.
    """

    fence: int
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A permit, or every reason why there is none."""

    permit: Permit | None
    conditions: tuple[Condition, ...]

    @property
    def message(self) -> str:
        """Return what was decided, in a sentence."""
        if self.permit is not None:
            return (
                f"permit {self.permit.fence} is in force until {self.permit.expires_at:%H:%M:%S}Z"
            )
        refused = refusals(self.conditions)
        return "permit refused: " + "; ".join(f"{item.code}: {item.message}" for item in refused)


def issue(train: Train) -> Decision:
    """Issue this train's permit, or refuse it; both are records.

    The same run asking again (a retried task) gets the permit that it holds, if everything still
    stands. A permit of another run is closed: its fence will be refused by the target.
    """
    with train.unit() as unit:
        _serialise(unit, train.plan.service.name)
        note_policies(unit, train.settings)
        needs = measure(train, unit.connection).needed
        conditions = evaluate(train, unit.connection, needs=needs, now=unit.now)
        refused = refusals(conditions)
        if refused:
            return _refuse(unit, train, conditions, "permit.refused")
        change = release_change(train)
        permit = _held(unit, train, change.content_hash)
        if permit is None:
            _close_others(unit, train)
            permit = _write(unit, train, change.id, change.content_hash, conditions)
        unit.append(
            "permit.issued",
            Subject(kind="permit", id=str(permit.fence), content_hash=change.content_hash),
            message=f"permit {permit.fence} for {train.release}, until {permit.expires_at:%H:%M}Z",
            release=train.release,
            change=change.id,
            details={"conditions": plain(conditions)},
        )
    return Decision(permit=permit, conditions=conditions)


def check_again(
    train: Train, *, needs: timedelta, begun: bool = False, closing: bool = False
) -> Decision:
    """Evaluate everything anew before traffic moves; the permit has to be the one in force.

    Once that has `begun` the backup's age is no reason any more: it was fresh when it mattered, and
    a canary that is looked at for long is not led back for that. Where it is to be finished
    although its window is `closing`, the window alone is no reason: all else has to stand.
    """
    waived = {"backup"} if begun else set[str]()
    if closing:
        waived |= {"calendar", "slot"}
    with train.unit() as unit:
        _serialise(unit, train.plan.service.name)
        note_policies(unit, train.settings)
        conditions = tuple(
            item
            for item in evaluate(train, unit.connection, needs=needs, now=unit.now)
            if item.code not in waived
        )
        if refusals(conditions):
            return _refuse(unit, train, conditions, "permit.withdrawn")
        change = release_change(train)
        permit = _held(unit, train, change.content_hash, expired=closing)
        if permit is None:
            missing = _missing("it was never issued, or has expired")
            return _refuse(unit, train, (*conditions, missing), "permit.withdrawn")
        unit.execute(
            update(schema.permit)
            .where(schema.permit.c.fence == permit.fence, schema.permit.c.used_at.is_(None))
            .values(used_at=unit.now)
        )
        unit.append(
            "permit.confirmed",
            Subject(kind="permit", id=str(permit.fence), content_hash=change.content_hash),
            message=f"permit {permit.fence} stands before the switch",
            release=train.release,
            change=change.id,
            details={"conditions": plain(conditions)},
        )
    return Decision(permit=permit, conditions=conditions)


def confirm(unit: Unit, train: Train, fence: int, *, closing: bool = False) -> Decision:
    """Say, in the unit that is about to use it, whether the permit under `fence` is held still.

    Nothing else is asked: it is for what was permitted a moment ago, or is done already. What a
    rollback or another run has closed since is not held, nor what has expired, unless what goes on
    is finished although its window is `closing`. An attempt that began to be led back holds none.
    """
    _serialise(unit, train.plan.service.name)
    change = release_change(train)
    permit = _held(unit, train, change.content_hash, expired=closing)
    if permit is None or permit.fence != fence or train.begun("roll_back"):
        missing = _missing(f"permit {fence} has expired, or was closed: somebody goes back")
        return _refuse(unit, train, (missing,), "permit.withdrawn")
    unit.append(
        "permit.held",
        Subject(kind="permit", id=str(permit.fence), content_hash=change.content_hash),
        message=f"permit {permit.fence} is held still",
        release=train.release,
        change=change.id,
    )
    return Decision(permit=permit, conditions=())


def close_permits(unit: Unit, train: Train) -> None:
    """Close every permit of this release: what it was issued for is over."""
    unit.execute(
        update(schema.permit)
        .where(schema.permit.c.release_id == train.release, schema.permit.c.closed_at.is_(None))
        .values(closed_at=unit.now)
    )


def newest_fence(unit: Unit) -> int:
    """Return a fence above every one issued so far, for leading traffic back.

    The way back needs no permit; it still has to overtake whatever the deploy may be doing. The
    caller's record has to name it: fences are numbers that an auditor counts.
    """
    return next_number(unit, "permit")


def permit_in_force(unit: Unit, service: str) -> int | None:
    """Return the fence of the permit under which production of a service may be touched now.

    None where there is none; until the unit ends none is issued either, and one that is issued
    then has a higher fence than the unit may take.
    """
    _serialise(unit, service)
    table, releases = schema.permit, schema.release
    row = unit.row(
        select(table.c.fence)
        .join(releases, releases.c.id == table.c.release_id)
        .where(
            releases.c.service == service,
            table.c.closed_at.is_(None),
            table.c.expires_at > unit.now,
        )
    )
    return None if row is None else int(row.fence)


def _serialise(unit: Unit, service: str) -> None:
    """Let one permit decision per service happen at a time."""
    unit.execute(select(func.pg_advisory_xact_lock(7302, func.hashtext(service))))


def _missing(why: str) -> Condition:
    return Condition(
        code="permit",
        verdict="no_go",
        message=f"no permit of this run is in force; {why}",
        who="release manager",
    )


def _refuse(unit: Unit, train: Train, conditions: tuple[Condition, ...], event: str) -> Decision:
    decision = Decision(permit=None, conditions=conditions)
    unit.append(
        event,
        train.subject,
        outcome=Outcome.DENIED,
        reason=refusals(conditions)[0].code,
        message=decision.message[:2000],
        details={"conditions": plain(conditions)},
    )
    train.tell(
        unit,
        texts.permit_refused(
            release=train.release,
            attempt=train.plan.attempt,
            reasons=[f"{item.code}: {item.message}" for item in refusals(conditions)],
        ),
    )
    return decision


def _held(unit: Unit, train: Train, content_hash: str, *, expired: bool = False) -> Permit | None:
    table = schema.permit
    row = unit.row(
        select(table)
        .where(
            table.c.release_id == train.release,
            table.c.attempt == train.plan.attempt,
            table.c.holder == train.run_id,
            table.c.content_hash == content_hash,
            table.c.closed_at.is_(None),
        )
        .order_by(table.c.fence.desc())
    )
    if row is None:
        return None
    expires = _prolonged(unit, train, row)
    held = expired or expires > unit.now
    return Permit(fence=row.fence, expires_at=expires) if held else None


def _prolonged(unit: Unit, train: Train, row: Row[Any]) -> datetime:
    """Return when a permit expires, after time that was granted since it was issued."""
    expires: datetime = row.expires_at
    table = schema.calendar_extension
    granted = unit.row(
        select(table.c.id)
        .where(
            table.c.change_id == row.change_id,
            table.c.content_hash == row.content_hash,
            table.c.state == "granted",
        )
        .order_by(table.c.decided_at.desc())
    )
    # From its issue on: after a gap it would be another window's.
    end = turn_by(train, row.issued_at) if granted is not None else None
    if granted is None or end is None or end <= expires:
        return expires
    unit.execute(
        update(schema.permit).where(schema.permit.c.fence == row.fence).values(expires_at=end)
    )
    unit.append(
        "permit.prolonged",
        Subject(kind="permit", id=str(row.fence), content_hash=row.content_hash),
        message=f"permit {row.fence} holds until {end:%H:%M:%S}Z: {granted.id} was granted",
        release=train.release,
        change=row.change_id,
    )
    return end


def _close_others(unit: Unit, train: Train) -> None:
    table = schema.permit
    releases = select(schema.release.c.id).where(
        schema.release.c.service == train.plan.service.name
    )
    unit.execute(
        update(table)
        .where(table.c.release_id.in_(releases), table.c.closed_at.is_(None))
        .values(closed_at=unit.now)
    )


def _write(
    unit: Unit,
    train: Train,
    change: str,
    content_hash: str,
    conditions: tuple[Condition, ...],
) -> Permit:
    table = schema.permit
    # A deploy slower than most is no reason to stop it while the window still holds a rollback.
    expires = turn_by(train, unit.now) or unit.now
    fence = next_number(unit, "permit")
    unit.execute(
        insert(table).values(
            fence=fence,
            release_id=train.release,
            attempt=train.plan.attempt,
            change_id=change,
            content_hash=content_hash,
            systems=list(train.plan.service.systems),
            conditions=plain(conditions),
            holder=train.run_id,
            issued_at=unit.now,
            expires_at=expires,
        )
    )
    return Permit(fence=fence, expires_at=expires)
