"""The states of a change and the ways between them, declared as data.

Every type has its own table. A way that is not in the table does not exist; one that is has guards,
and each guard answers with its reasons. `advance` is the only door: it asks the guards, moves the
change, does what entering the new state means, and writes the record, or records the refusal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import update

from include.changes.case import Case
from include.changes.change import Change, load_change, take_turn_to_book
from include.changes.condition import Condition, plain, refusals
from include.changes.entering import ENTERING
from include.changes.guards import GUARDS
from include.changes.ruling import Ruling
from include.errors import RequestError
from include.ledger import Outcome, Unit, schema


@dataclass(frozen=True, slots=True)
class Way:
    """One way from a state to another, open when every guard agrees."""

    source: str
    target: str
    guards: tuple[str, ...] = ()


# Before anything was done to production, a change may be given up.
BEFORE = ("draft", "assessing", "authorizing", "scheduled", "rejected")
LIVE = (*BEFORE, "implementing", "validating", "rolling_back", "review")
ENDED = ("closed", "cancelled")

_CANCEL = tuple(Way(state, "cancelled") for state in BEFORE)
_AGAIN = (
    Way("authorizing", "assessing"),
    Way("scheduled", "assessing"),
    Way("rejected", "assessing", ("requester",)),
    Way("authorizing", "rejected", ("rejected",)),
)
_DONE = (
    Way("implementing", "validating", ("implemented",)),
    Way("implementing", "rolling_back", ()),
    Way("validating", "rolling_back", ()),
    Way("rolling_back", "review", ()),
    Way("validating", "review", ("post_implementation",)),
    Way("review", "closed", ("reviewed",)),
)
_START = (
    "hold", "votes", "slot", "calendar", "conflicts", "testing", "checklist", "records", "alarm",
)  # fmt: skip

MACHINES: Mapping[str, tuple[Way, ...]] = {
    "standard": (
        Way("draft", "assessing", ("requester",)),
        Way("assessing", "scheduled", ("complete", "model", "time", "conflicts", "bookable")),
        Way("scheduled", "implementing", ("hold", "model", *_START[2:])),
        *_AGAIN[:3],
        *_DONE,
        *_CANCEL,
    ),
    "normal": (
        Way("draft", "assessing", ("requester",)),
        Way("assessing", "authorizing", ("complete", "authors", "time", "conflicts")),
        Way("authorizing", "scheduled", ("votes", "time", "conflicts", "bookable")),
        Way("scheduled", "implementing", _START),
        *_AGAIN,
        *_DONE,
        *_CANCEL,
    ),
    "major": (
        Way("draft", "assessing", ("requester",)),
        Way("assessing", "authorizing", ("complete", "authors", "rehearsed", "time", "conflicts")),
        Way("authorizing", "scheduled", ("votes", "time", "conflicts", "bookable")),
        Way("scheduled", "implementing", _START),
        *_AGAIN,
        *_DONE,
        *_CANCEL,
    ),
    "emergency": (
        Way("draft", "assessing", ("requester",)),
        Way("assessing", "authorizing", ("complete", "authors", "incident", "blackout")),
        Way("authorizing", "scheduled", ("votes", "incident", "blackout", "bookable")),
        Way(
            "scheduled",
            "implementing",
            ("hold", "votes", "slot", "incident", "blackout", *_START[5:]),
        ),
        *_AGAIN,
        *_DONE,
        *_CANCEL,
    ),
    # It has happened already: it is acknowledged, never approved, scheduled or implemented.
    "retroactive": (
        Way("draft", "assessing", ("requester",)),
        Way("assessing", "authorizing", ("complete", "authors", "happened")),
        Way("authorizing", "review", ("votes",)),
        Way("review", "closed", ("reviewed",)),
        *_AGAIN,
        *_CANCEL,
    ),
    # A release train drives its change; what it does in production has its own permit.
    "release": (
        Way("draft", "assessing", ()),
        Way("assessing", "authorizing", ("booked",)),
        Way("authorizing", "scheduled", ("votes",)),
        Way("authorizing", "rejected", ()),
        Way("scheduled", "implementing", ("votes", "slot")),
        Way("implementing", "validating", ()),
        Way("implementing", "rolling_back", ()),
        Way("validating", "rolling_back", ()),
        Way("rolling_back", "review", ()),
        Way("implementing", "review", ()),
        Way("validating", "review", ()),
        Way("review", "closed", ("reviewed",)),
        *_CANCEL,
    ),
}


def machine_of(change: Change) -> tuple[Way, ...]:
    """Return the ways that a change has."""
    return MACHINES["release" if change.release_id is not None else change.type]


def ways_from(change: Change) -> tuple[Way, ...]:
    """Return the ways that lead out of the change's present state."""
    return tuple(way for way in machine_of(change) if way.source == change.state)


def forward(change: Change) -> Way | None:
    """Return the way that leads on towards the end, None where there is none: out of a rejection
    only an edit leads."""
    if change.state == "rejected":
        return None
    return next((way for way in ways_from(change) if way.target not in _SIDEWAYS), None)


_SIDEWAYS = ("cancelled", "rejected", "rolling_back")


def judge(case: Case, way: Way) -> tuple[Condition, ...]:
    """Return what every guard of a way says; all are asked."""
    return tuple(condition for name in way.guards for condition in GUARDS[name](case))


def advance(
    unit: Unit,
    case: Case,
    target: str,
    *,
    reason: str,
    message: str,
    details: Mapping[str, Any] | None = None,
) -> Ruling:
    """Move the change of `case` to `target` if every guard agrees, and record either outcome.

    The change is locked and read anew. Being there already changes nothing and is no refusal.
    Raises RequestError where the machine has no such way.
    """
    change = load_change(unit.connection, case.change.id, lock=True)
    case = case.about(change, unit)
    if change.state == target:
        message = f"{change.id} is {target} already"
        unit.append(
            "change.unmoved",
            change.subject,
            reason="already_there",
            message=message,
            release=change.release_id,
        )
        return Ruling(ok=True, reason="already_there", message=message)
    way = next((item for item in ways_from(change) if item.target == target), None)
    if way is None:
        known = ", ".join(item.target for item in ways_from(change)) or "nowhere"
        raise RequestError(
            f"{change.id} is {change.state}: from there a {change.type} change goes to {known}, "
            f"not to {target}"
        )
    if "bookable" in way.guards:
        take_turn_to_book(unit, change.id)
    conditions = judge(case, way)
    refused = refusals(conditions)
    if refused:
        said = "; ".join(f"{item.code}: {item.message}" for item in refused)
        unit.append(
            "change.refused",
            change.subject,
            outcome=Outcome.DENIED,
            reason=refused[0].code,
            message=f"{change.id} stays {change.state}: {said}"[:2000],
            release=change.release_id,
            details={"to": target, "conditions": plain(conditions)},
        )
        return Ruling(ok=False, reason=refused[0].code, message=said, conditions=conditions)
    unit.execute(
        update(schema.change)
        .where(schema.change.c.id == change.id)
        .values(state=target, updated_at=unit.now)
    )
    unit.append(
        f"change.{target}",
        change.subject,
        reason=reason,
        message=message,
        release=change.release_id,
        difference={"state": {"from": change.state, "to": target}},
        details={
            **(details or {}),
            **({"outcome": change.outcome} if target == "closed" and change.outcome else {}),
            **({"conditions": plain(conditions)} if conditions else {}),
        },
    )
    if target in ENTERING:
        ENTERING[target](unit, case.about(load_change(unit.connection, change.id), unit))
    return Ruling(ok=True, reason=reason, message=message, conditions=conditions)
