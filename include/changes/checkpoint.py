"""The two moments at which a person's word on a change is asked for: before the work and after it.

One answer speaks for every item of the checklist (plan §3.3) that no machine has judged, and only
for the content that was asked about: like a vote, it does not count for what was edited meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.engine import Connection

from include.changes import checklist
from include.changes.change import Change, load_change
from include.changes.desk import Desk
from include.changes.ruling import Ruling
from include.ledger import Actor, Outcome, Unit, schema
from include.notices import change_texts
from include.notices.outbox import queue
from include.privacy import screen


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What is asked, and how long people have for their answer."""

    title: str
    items: Callable[[Change], tuple[str, ...]]
    patience: timedelta


CHECKPOINTS = {
    "before": Checkpoint(
        title="go or no-go",
        items=lambda change: (*checklist.tests_of(change.content), *checklist.BEFORE),
        patience=timedelta(hours=2),
    ),
    # Nobody waits for it, and what it asks for takes days to know.
    "after": Checkpoint(
        title="done as it should",
        items=lambda _change: checklist.AFTER,
        patience=timedelta(days=5),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What whoever bears one of `groups` is asked: their word on `items`, until `until`."""

    change: Change
    title: str
    items: tuple[str, ...]
    groups: tuple[str, ...]
    until: datetime


def ask(
    desk: Desk, change_id: str, part: str, *, key: str, link: str | None = None
) -> Asked | None:
    """Ask, and tell those who can answer, for a word on the items that no machine has judged.

    None where nothing is open. `part` is a key of CHECKPOINTS, `key` names the run that asks.
    """
    point, board = CHECKPOINTS[part], desk.catalogue.board
    groups = board.checkpoints["go_no_go"]
    with desk.unit() as unit:
        change = load_change(unit.connection, change_id)
        items = tuple(checklist.outstanding(desk.case(unit, change), point.items(change)))
        titles = [checklist.TITLES[item] for item in items]
        unit.append(
            "checklist.asked",
            change.subject,
            reason=part,
            message=f"{change.id} waits for a word on: {', '.join(titles) or 'nothing'}",
            details={"run": key},
        )
        if not items:
            return None
        until = unit.now + point.patience
        bearers = [
            person.name
            for group in groups
            for person in board.bearers(desk.catalogue.people, group, unit.now)
        ]
        queue(unit, change_texts.checklist_asks(
            change=change.id, title=change.title, checkpoint=point.title, items=titles,
            people=list(dict.fromkeys(bearers)), until=until, zone=str(board.zone),
            key=f"{key}:{change.revision}", link=link,
        ))  # fmt: skip
    return Asked(
        change=change,
        title=f"{change.id}: {point.title}",
        items=items,
        groups=tuple(groups),
        until=until,
    )


def say(
    desk: Desk, change_id: str, part: str, *, go: bool, comment: str, by: Actor, key: str
) -> Ruling:
    """Write a person's word on every item that is open at this checkpoint; a no is on all of them.

    Refused, with a record, is who answers no go/no-go checkpoint, and an answer to a question about
    content that was edited since.
    """
    comment = screen(desk.settings, "comment", comment)
    point, board = CHECKPOINTS[part], desk.catalogue.board
    person = desk.catalogue.people.find(by.user)
    groups = board.groups(person, desk.clock()) if person is not None else frozenset()
    with desk.unit(by) as unit:
        change = load_change(unit.connection, change_id, lock=True)
        if not groups & set(board.checkpoints["go_no_go"]):
            message = f"{by.name} answers no checkpoint of {change.id}"
            return _refused(unit, change, "not_eligible", message)
        if _asked_about(unit.connection, change, part, key) != change.content_hash:
            message = (
                f"{change.id} was edited after this was asked; the answer counts for nothing, and "
                "the change is asked about anew when it is next to be implemented"
            )
            return _refused(unit, change, "content_changed", message)
        items = checklist.outstanding(desk.case(unit, change), point.items(change))
        for item in items:
            checklist.attest(unit, change, item, verdict="go" if go else "no_go", comment=comment)
        if not items:
            unit.append("checklist.said", change.subject, message="nothing was asked any more")
        queue(unit, change_texts.checklist_said(
            change=change.id, title=change.title, checkpoint=point.title, go=go, by=by.name,
            comment=comment, key=key,
        ))  # fmt: skip
    if go:
        return Ruling(ok=True, reason="go", message=f"{by.name} says go")
    missing = "; ".join(checklist.TITLES[item] for item in items)
    return Ruling(ok=False, reason="no_go", message=f"{by.name} says no: {missing}")


def unanswered(desk: Desk, change_id: str, part: str, *, key: str, why: str) -> Ruling:
    """Record and tell that a question got no answer that counts: no silence is ever a go."""
    point = CHECKPOINTS[part]
    message = f"{change_id}: {point.title}: {why}; nothing goes ahead"
    with desk.unit() as unit:
        change = load_change(unit.connection, change_id)
        unit.append(
            "checklist.unanswered", change.subject, outcome=Outcome.FAILURE, reason=part,
            message=message[:2000],
        )  # fmt: skip
        queue(unit, change_texts.checklist_unanswered(
            change=change.id, title=change.title, checkpoint=point.title, why=why, key=key
        ))  # fmt: skip
    return Ruling(ok=False, reason="unanswered", message=message)


def _refused(unit: Unit, change: Change, reason: str, message: str) -> Ruling:
    unit.append(
        "checklist.refused", change.subject, outcome=Outcome.DENIED, reason=reason, message=message
    )
    return Ruling(ok=False, reason=reason, message=message)


def _asked_about(connection: Connection, change: Change, part: str, key: str) -> str | None:
    """Return the hash of the content that this run asked about last."""
    record = schema.record
    bodies = connection.execute(
        select(record.c.body)
        .where(record.c.change == change.id, record.c.event == "checklist.asked")
        .order_by(record.c.seq.desc())
    ).scalars()
    for body in bodies:
        said = json.loads(body)
        if (said.get("reason"), said.get("details", {}).get("run")) == (part, key):
            found: str | None = said["subject"].get("content_hash")
            return found
    return None
