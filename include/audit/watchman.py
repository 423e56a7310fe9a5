"""What follows from a verification: a record, an alarm where something was found, and its end.

While an alarm stands no permit is issued (include/permits/conditions.py). It ends with a person's
word; what they acknowledged raises no second alarm, and stays wrong in every verification.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from include.audit.sealing import Sealed
from include.audit.verification import Verification
from include.ledger import Actor, Ledger, Outcome, Source, Subject, Unit
from include.ledger.alarm import (
    ACKNOWLEDGED,
    TAMPERED,
    VERIFIED,
    acknowledged_findings,
    standing_alarm,
)
from include.notices import alarm_texts
from include.notices.outbox import queue
from include.people import Person

_LISTED = 100
LEDGER = Subject(kind="ledger", id="ledger")


def record_verification(
    ledger: Ledger, found: Verification, actor: Actor, source: Source, now: datetime
) -> bool:
    """Record a verification, alarm people if it found something new, and return whether it did."""
    with ledger.write(actor, source, now) as unit:
        known = acknowledged_findings(unit.connection)
        findings = [item.id for item in found.findings]
        alarming = any(item not in known for item in findings)
        if alarming:
            outcome, reason = Outcome.FAILURE, TAMPERED
        elif findings:
            outcome, reason = Outcome.FAILURE, "known_findings"
        elif found.problems:
            outcome, reason = Outcome.UNKNOWN, "not_all_seen"
        else:
            outcome, reason = Outcome.SUCCESS, "verified"
        unit.append(
            VERIFIED,
            LEDGER,
            outcome=outcome,
            reason=reason,
            message=describe(found)[:2000],
            details={
                "size": found.size,
                "root": "sha256:" + found.root.hex(),
                "unsequenced": found.unsequenced,
                "unsealed": found.unsealed,
                "findings": findings[:_LISTED],
                "problems": list(found.problems),
            },
        )
        if alarming:
            queue(
                unit, alarm_texts.ledger_alarm(finding=describe(found), key="|".join(findings[:5]))
            )
    return alarming


def record_sealing(
    ledger: Ledger, sealed: Sealed, actor: Actor, source: Source, now: datetime
) -> None:
    """Record that a head was signed, and where it is kept."""
    head = sealed.head
    if head is None:
        return
    problems = "; ".join(sealed.problems)
    with ledger.write(actor, source, now) as unit:
        unit.append(
            "ledger.sealed",
            LEDGER,
            outcome=Outcome.FAILURE if problems else Outcome.SUCCESS,
            reason="anchor_unavailable" if problems else "sealed",
            message=problems[:2000] or f"the head of {head.size} records is signed and anchored",
            details={
                "size": head.size,
                "root": "sha256:" + head.checkpoint.root.hex(),
                "places": list(sealed.places),
            },
        )


def describe(found: Verification) -> str:
    """Return in a sentence what a verification found."""
    if found.findings:
        more = len(found.findings) - 1
        rest = f" (and {more} more findings)" if more else ""
        return found.findings[0].message + rest
    if found.problems:
        return f"{found.size} records verify; {'; '.join(found.problems)}"
    return f"{found.size} records verify, {found.unsealed} of them not sealed yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """Whether the alarm is over; `message` says why, or why not."""

    ok: bool
    reason: str
    message: str


def acknowledge(unit: Unit, person: Person, reason: str, *, roles: Sequence[str]) -> Acknowledged:
    """End the standing alarm in the name of `person`, who needs one of `roles` and a reason; a
    refusal is a record too."""
    alarm = standing_alarm(unit.connection)
    findings: tuple[str, ...] = ()
    if alarm is None:
        outcome = Acknowledged(ok=False, reason="no_alarm", message="no alarm stands")
    elif not reason.strip():
        outcome = Acknowledged(
            ok=False, reason="no_reason", message="say what was found and done (--reason)"
        )
    elif not set(person.roles) & set(roles):
        allowed = ", ".join(role.replace("_", " ") for role in roles)
        outcome = Acknowledged(
            ok=False, reason="not_eligible", message=f"only these may end an alarm: {allowed}"
        )
    else:
        findings = alarm.findings
        outcome = Acknowledged(
            ok=True,
            reason="acknowledged",
            message=f"{person.name} ends the alarm of record {alarm.seq}: {reason[:500]}",
        )
    unit.append(
        ACKNOWLEDGED,
        LEDGER,
        outcome=Outcome.SUCCESS if outcome.ok else Outcome.DENIED,
        reason=outcome.reason,
        message=outcome.message,
        details={"alarm": alarm.seq, "findings": list(findings)} if alarm is not None else None,
    )
    return outcome
