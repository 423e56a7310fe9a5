"""The two moments at which people's words on a change are asked for: before the work and after it.

Every item of the checklist (plan §3.3) that no machine has judged needs a word of its own, by
somebody whose word counts on it; nothing is taken for done because something else was. Words count
only for the content that was asked about: like a vote, not for what was edited meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Connection

from include.approvals import Board
from include.changes import checklist
from include.changes.change import Change, driven_by_train, load_change
from include.changes.desk import Desk
from include.changes.items import AFTER, BEFORE, TITLES
from include.changes.ruling import Ruling
from include.errors import RequestError
from include.instants import format_instant, parse_instant
from include.ledger import Actor, Outcome, Unit, schema
from include.notices import change_texts
from include.notices.outbox import queue
from include.privacy import screen

DONE, NOT_DONE = "done", "not done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What is asked, and how long people have for their answers.

    `itself` is the item for which the answer as a whole, yes or no, is the word.
    """

    title: str
    items: Callable[[Change], tuple[str, ...]]
    patience: timedelta
    itself: str | None = None


CHECKPOINTS = {
    "before": Checkpoint(
        title="go or no-go",
        items=lambda change: (*checklist.tests_of(change.content), *BEFORE),
        patience=timedelta(hours=2),
        itself="go_no_go",
    ),
    # Nobody waits for it, and what it asks for takes days to know.
    "after": Checkpoint(
        title="done as it should",
        items=lambda _change: AFTER,
        patience=timedelta(days=5),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What whoever bears one of `groups` is asked: a word on each of `items`, until `until`.

    `speakers` says for each item whose word counts, `lacking` of some why nothing else judges them.
    Without items, only the yes or no is asked for.
    """

    change: Change
    title: str
    items: tuple[str, ...]
    speakers: Mapping[str, tuple[str, ...]]
    groups: tuple[str, ...]
    until: datetime
    lacking: Mapping[str, str]


def ask(
    desk: Desk,
    change_id: str,
    part: str,
    *,
    key: str,
    link: str | None = None,
    until: datetime | None = None,
) -> Asked | None:
    """Ask, and tell those who can answer, for a word on each item that no machine has judged.

    None where nothing is open. `part` is a key of CHECKPOINTS, `key` names the run that asks;
    `until` is given where what is left of a question is asked again. Raises RequestError for a
    change that is not on its way through its slot: nobody is asked for a go that leads nowhere.
    """
    point, board = CHECKPOINTS[part], desk.catalogue.board
    with desk.unit() as unit:
        change = load_change(unit.connection, change_id)
        if problem := driven_by_train(change) or _nothing_ahead(change):
            raise RequestError(f"{change.id}: {problem}")
        case = desk.case(unit, change)
        open_ = checklist.outstanding(case, point.items(change))
        lacking = {item: said for item in open_ if (said := checklist.lacking(case, item))}
        until = until or unit.now + point.patience
        unit.append(
            "checklist.asked",
            change.subject,
            reason=part,
            message=f"{change.id} waits for a word on: {_listed(open_) or 'nothing'}",
            details={"run": key, "items": open_, "until": format_instant(until)},
        )
        if not open_:
            return None
        speakers = {item: board.speakers(item) for item in open_}
        groups = tuple(dict.fromkeys(group for names in speakers.values() for group in names))
        bearers = [
            person.name
            for group in groups
            for person in board.bearers(desk.catalogue.people, group, unit.now)
        ]
        queue(unit, change_texts.checklist_asks(
            change=change.id, title=change.title, checkpoint=point.title,
            items=[_with_reason(item, lacking) for item in open_],
            people=list(dict.fromkeys(bearers)), until=until, zone=str(board.zone),
            key=f"{key}:{change.revision}:{len(open_)}", link=link,
        ))  # fmt: skip
    return Asked(
        change=change,
        title=f"{change.id}: {point.title}",
        items=tuple(item for item in open_ if item != point.itself),
        speakers=speakers,
        groups=groups,
        until=until,
        lacking=lacking,
    )


def _with_reason(item: str, lacking: Mapping[str, str]) -> str:
    return TITLES[item] + (f": {lacking[item]}" if item in lacking else "")


def _nothing_ahead(change: Change) -> str:
    if change.state in ("scheduled", "implementing", "validating"):
        return ""
    return f"it is {change.state}; words are asked for on what is scheduled or under way"


def asked_until(desk: Desk, change_id: str, part: str, *, key: str) -> datetime | None:
    """Return until when the question of a run can be answered; None if its content is gone."""
    with desk.ledger.read() as connection:
        change = load_change(connection, change_id)
        asked = _asked(connection, change, part, key)
    return parse_instant(asked["details"]["until"]) if asked is not None else None


# What leaves a question open for whoever may still answer it.
AGAIN = ("incomplete", "contradiction", "not_eligible")


def say(
    desk: Desk,
    change_id: str,
    part: str,
    *,
    go: bool,
    words: Mapping[str, str],
    comment: str,
    by: Actor,
    key: str,
) -> Ruling:
    """Write a person's words down, each for its item: `words` says DONE or NOT_DONE of items.

    A yes counts once every item that was asked about has its word; those that have none are named,
    and stay open (`incomplete`). Refused, with a record, is who has no word on any of it, an answer
    that contradicts itself, and one to a question about content that was edited since.
    """
    comment = screen(desk.settings, "comment", comment)
    point, board = CHECKPOINTS[part], desk.catalogue.board
    person = desk.catalogue.people.find(by.user)
    groups = board.groups(person, desk.clock()) if person is not None else frozenset()
    with desk.unit(by) as unit:
        change = load_change(unit.connection, change_id, lock=True)
        asked = _asked(unit.connection, change, part, key)
        if asked is None:
            message = (
                f"{change.id} was edited after this was asked; the answer counts for nothing, and "
                "the change is asked about anew when it is next to be implemented"
            )
            return _refused(unit, change, "content_changed", message)
        open_ = checklist.outstanding(desk.case(unit, change), point.items(change))
        if go and not open_:
            message = f"{change.id}: every item has its word already"
            unit.append("checklist.said", change.subject, message=message)
            return Ruling(ok=True, reason="go", message=message)
        said = _sorted(point, asked["details"]["items"], open_, words, go=go)
        mine = {item for item in (*open_, point.itself) if item and _may(board, groups, item)}
        objection = _objection(point, said, mine, go=go)
        if objection is not None:
            reason, problem = objection
            return _refused(unit, change, reason, f"{by.name} {problem} ({change.id})")
        foreign = [item for item in (*said.done, *said.not_done) if item not in mine]
        for item in (*said.done, *said.not_done):
            if item in mine:
                word = checklist.word(good=item in said.done)
                checklist.attest(unit, change, item, verdict=word, comment=comment)
        itself = [point.itself] if point.itself in open_ and point.itself not in mine else []
        left = [*said.silent, *foreign, *itself]
        if go and left:
            message = (
                f"{change.id}: {by.name} says yes, and these have no word that counts yet: "
                + "; ".join(_who(board, item) for item in left)
            )
            return _refused(unit, change, "incomplete", message)
        denied = list(said.not_done)
        if point.itself and point.itself in mine and (not go or point.itself in open_):
            word = checklist.word(good=go)
            checklist.attest(unit, change, point.itself, verdict=word, comment=comment)
            denied.append(point.itself)
        queue(unit, change_texts.checklist_said(
            change=change.id, title=change.title, checkpoint=point.title, go=go, by=by.name,
            not_done=[TITLES[item] for item in said.not_done], comment=comment, key=key,
        ))  # fmt: skip
    if go:
        return Ruling(ok=True, reason="go", message=f"{by.name} says go")
    return Ruling(ok=False, reason="no_go", message=f"{by.name} says no: {_listed(denied)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """The items of a form by what was said of them."""

    done: tuple[str, ...]
    not_done: tuple[str, ...]
    silent: tuple[str, ...]


def _sorted(
    point: Checkpoint, asked: Iterable[str], open_: list[str], words: Mapping[str, str], *, go: bool
) -> _Said:
    # A word on what was not asked about was given without being shown it.
    shown = set(asked)
    form = [item for item in open_ if item != point.itself]

    def of(word: str) -> tuple[str, ...]:
        return tuple(item for item in form if item in shown and words.get(item) == word)

    done, not_done = of(DONE), of(NOT_DONE)
    silent = tuple(item for item in form if item not in (*done, *not_done))
    return _Said(done=done, not_done=not_done, silent=silent)


def _objection(
    point: Checkpoint, said: _Said, mine: set[str], *, go: bool
) -> tuple[str, str] | None:
    spoken = {*said.done, *said.not_done, *([point.itself] if point.itself else [])}
    if not mine or (spoken and not spoken & mine):
        return "not_eligible", "has no word on what is asked"
    if go and said.not_done:
        return "contradiction", (
            f"says yes, and finds not done: {_listed(said.not_done)}; one of the two is wrong"
        )
    if not go and point.itself not in mine and not mine & set(said.not_done):
        return "contradiction", "says no, and names nothing that is not done"
    return None


def _may(board: Board, groups: frozenset[str], item: str) -> bool:
    return bool(groups & set(board.speakers(item)))


def _who(board: Board, item: str) -> str:
    return f"{TITLES[item]} ({', '.join(board.speakers(item)).replace('_', ' ')})"


def _listed(items: Iterable[str]) -> str:
    return ", ".join(TITLES[item] for item in items)


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


def _asked(connection: Connection, change: Change, part: str, key: str) -> dict[str, Any] | None:
    """Return the newest record of what this run asked about the change's present content."""
    record = schema.record
    bodies = connection.execute(
        select(record.c.body)
        .where(record.c.change == change.id, record.c.event == "checklist.asked")
        .order_by(record.c.seq.desc())
    ).scalars()
    for body in bodies:
        said: dict[str, Any] = json.loads(body)
        if (said.get("reason"), said.get("details", {}).get("run")) == (part, key):
            same = said["subject"].get("content_hash") == change.content_hash
            return said if same else None
    return None
