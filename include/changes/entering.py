"""What entering a state means: a ballot is opened, a slot booked, a permit closed, people told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from sqlalchemy import update

from include.changes.ballot import ACKNOWLEDGEMENT, APPROVAL, close_ballot, open_ballot
from include.changes.case import Case
from include.changes.change import book_slot, release_slot
from include.changes.openings import first_free
from include.changes.parties import doers_of, parties_of
from include.changes.rules import policy_hash, rule_for
from include.changes.standing import approve_model, watch_model
from include.errors import LedgerError
from include.ledger import Unit, schema
from include.notices import change_texts
from include.notices.outbox import queue

Entering = Callable[[Unit, Case], None]


def _authorizing(unit: Unit, case: Case) -> None:
    change = case.change
    if change.release_id is not None:
        return  # the train opens its ballot, by its frozen plan
    board = case.catalogue.board
    rule = rule_for(case)
    scope = change.content.get("scope") or {}
    closes = _deadline(case, unit.now)
    if rule.answer_in is not None:
        closes = min(closes, unit.now + rule.answer_in)
    open_ballot(
        unit,
        change,
        rule,
        parties=parties_of(
            requester=change.requester,
            on_behalf_of=change.content.get("on_behalf_of"),
            implementers=[*(change.content.get("implementers") or ()), *doers_of(change.content)],
            authors=[
                *(scope.get("authors") or ()),
                *case.written.authors,
                *(change.content.get("editors") or ()),
            ],
        ),
        policy_hash=policy_hash(case.catalogue.settings),
        closes=closes,
        votes_last_until=_deadline(case, unit.now),
        meaning=ACKNOWLEDGEMENT if change.type == "retroactive" else APPROVAL,
    )
    queue(
        unit,
        change_texts.before_the_board(
            change=change.id,
            title=change.title,
            revision=change.revision,
            type=change.type,
            risk=change.risk_level or "not assessed",
            seats=[board.seats[name].title for name in rule.asked],
            closes=closes,
            zone=str(board.zone),
        ),
    )


def _deadline(case: Case, now: datetime) -> datetime:
    """Return the earlier of a vote's longest life and the end of the planned time."""
    longest = now + case.catalogue.board.votes_last
    if case.change.type in ("emergency", "retroactive") or case.planned is None:
        return longest
    return min(longest, case.planned[1])


def _scheduled(unit: Unit, case: Case) -> None:
    change = case.change
    close_ballot(unit, change, "approved", reason="approved", message="approved")
    if change.release_id is not None:
        return  # it booked its slot when its train opened it
    found = first_free(case)
    if found is None or (
        holder := book_slot(unit, change, start=found.start, end=found.end, window=found.window)
    ):
        raise LedgerError(
            f"{change.id}: the slot was taken at this very moment"
            + (f" by {holder}" if found else "")
            + "; nothing was changed, try again"
        )
    unit.append(
        "slot.booked",
        change.subject,
        reason=found.window,
        message=f"{change.id} works {found.start:%Y-%m-%dT%H:%M:%SZ} to {found.end:%H:%M:%SZ}",
    )
    if (change.content.get("implementation") or {}).get("kind") == "model":
        approve_model(unit, case.catalogue.settings, change, case.catalogue.policy)
    queue(
        unit,
        change_texts.scheduled(
            change=change.id,
            title=change.title,
            revision=change.revision,
            systems=change.systems,
            start=found.start,
            end=found.end,
            zone=str(case.calendar.zone),
        ),
    )


def _implementing(unit: Unit, case: Case) -> None:
    _set(unit, case, started_at=unit.now)


def _given_back(unit: Unit, case: Case) -> None:
    """Give back what a change that goes back, or is given up, had taken."""
    change = case.change
    state = "superseded" if change.state == "cancelled" and change.release_id else "withdrawn"
    close_ballot(unit, change, state, reason=change.state, message=f"the change is {change.state}")
    release_slot(unit, change.id)
    _close_permits(unit, case)


def _rejected(unit: Unit, case: Case) -> None:
    close_ballot(unit, case.change, "rejected", reason="rejected", message="rejected")
    if case.change.release_id is None:
        release_slot(unit, case.change.id)
        queue(
            unit,
            change_texts.rejected(
                change=case.change.id, title=case.change.title, revision=case.change.revision
            ),
        )


def _review(unit: Unit, case: Case) -> None:
    change = case.change
    close_ballot(unit, change, "acknowledged", reason="acknowledged", message="acknowledged")
    _set(unit, case, finished_at=change.finished_at or unit.now)
    release_slot(unit, change.id)
    _close_permits(unit, case)
    if change.release_id is None and change.model is not None:
        watch_model(unit, change, case.catalogue.policy)


def _closed(unit: Unit, case: Case) -> None:
    _set(unit, case, closed_at=unit.now)
    release_slot(unit, case.change.id)
    _close_permits(unit, case)


def _set(unit: Unit, case: Case, **values: datetime) -> None:
    unit.execute(update(schema.change).where(schema.change.c.id == case.change.id).values(**values))


def _close_permits(unit: Unit, case: Case) -> None:
    table = schema.permit
    unit.execute(
        update(table)
        .where(table.c.change_id == case.change.id, table.c.closed_at.is_(None))
        .values(closed_at=unit.now)
    )


ENTERING: Mapping[str, Entering] = {
    "assessing": _given_back,
    "authorizing": _authorizing,
    "scheduled": _scheduled,
    "implementing": _implementing,
    "rejected": _rejected,
    "review": _review,
    "closed": _closed,
    "cancelled": _given_back,
}
