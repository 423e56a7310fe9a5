"""Editing a change: a new revision, what that does to the votes, and what voters are told."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from include.changes.ballot import close_ballot, newest_ballot
from include.changes.change import Change, load_change, revise_change
from include.changes.content import difference, is_significant
from include.changes.desk import Desk
from include.changes.draft import draft
from include.changes.machine import BEFORE, ENDED, advance
from include.changes.request import ChangeRequest
from include.changes.ruling import Ruling, refuse
from include.errors import RequestError
from include.ledger import Unit, schema
from include.notices import change_texts
from include.notices.outbox import queue
from include.people import Person


def edit(
    desk: Desk, change_id: str, request: ChangeRequest, by: Person, *, expected: int | None = None
) -> tuple[Change, Ruling]:
    """Write a new revision. An edit of a significant field voids the votes, and says to each
    voter what changed; a label's edit leaves them.

    Refused once production was touched, and where `expected` is not the newest revision.
    Without any difference, a change that waits to be assessed is assessed anew.
    Raises RequestError for a release's change: its train says what it is.
    """
    with desk.unit() as unit:
        change = load_change(unit.connection, change_id, lock=True)
        ruling = _revise(desk, unit, change, request, by, expected)
    # Handed in again as it is, what waits to be assessed is looked at anew.
    again = ruling.reason == "same" and change.state in ("draft", "assessing")
    if ruling.ok and (ruling.reason == "edited" or again):
        return desk.go_on(change_id)
    return desk.load(change_id), ruling


def _revise(
    desk: Desk, unit: Unit, change: Change, request: ChangeRequest, by: Person, expected: int | None
) -> Ruling:
    if change.release_id is not None:
        raise RequestError(f"{change.id} is what {change.release_id} is about; it is not edited")
    owner = desk.catalogue.people.find(change.requester) or by
    editors = tuple(dict.fromkeys([*change.content.get("editors", []), by.user]))
    content = draft(request, desk.catalogue, by=owner, editors=editors)
    if content["implementers"] == [owner.user] and not request.implementers:
        content["implementers"] = [change.requester]
    changed = difference(change.content, content)
    told = {path: item for path, item in changed.items() if _shown(path)}
    # For whom it is asked says who may vote: no label, though nobody signs it.
    weighty = {
        path: item for path, item in told.items() if is_significant(path) or path == "on_behalf_of"
    }
    if (asked_for := change.content.get("on_behalf_of")) and "on_behalf_of" in told:
        # Who had it handed in for them once goes on having a stake in it.
        content["editors"] = list(dict.fromkeys([*content["editors"], asked_for]))
    problem = None
    if expected is not None and expected != change.revision:
        problem = f"it is at revision {change.revision} now, and you edited {expected}"
    elif change.state in ENDED or (weighty and change.state not in BEFORE):
        problem = f"it is {change.state}; what people approved is no longer edited"
    if problem:
        return refuse(unit, change, "change.edit_refused", "not_editable", problem)
    if not told:
        unit.append(
            "change.edited",
            change.subject,
            reason="same",
            message=f"{change.id}: nothing differs",
        )
        return Ruling(ok=True, reason="same", message="nothing differs")
    if not weighty:
        content["editors"] = change.content.get("editors", [])
    voters = _voters(unit, change)
    revised = revise_change(unit, change, content)
    unit.append(
        "change.edited",
        revised.subject,
        reason="significant" if weighty else "label",
        message=f"{change.id} is at revision {revised.revision}: {', '.join(sorted(told))}",
        difference=told,
    )
    if not weighty:
        return Ruling(ok=True, reason="label", message="the votes stand")
    lines = [
        f"{path}: {_brief(item['from'])} → {_brief(item['to'])}" for path, item in weighty.items()
    ]
    close_ballot(
        unit,
        revised,
        "void",
        reason="edited",
        message="what was voted on was edited: " + "; ".join(lines)[:1500],
    )
    if voters:
        queue(
            unit,
            change_texts.votes_void(
                change=change.id,
                title=revised.title,
                revision=revised.revision,
                voters=voters,
                changed=lines,
            ),
        )
    if revised.state not in ("draft", "assessing"):
        advance(
            unit,
            desk.case(unit, revised),
            "assessing",
            reason="edited",
            message=f"{change.id} is assessed anew",
        )
    return Ruling(ok=True, reason="edited", message="; ".join(lines))


def _voters(unit: Unit, change: Change) -> list[str]:
    ballot = newest_ballot(unit.connection, change)
    if ballot is None:
        return []
    return list(
        unit.execute(
            select(schema.vote.c.voter).where(schema.vote.c.ballot_id == ballot.id)
        ).scalars()
    )


def _shown(path: str) -> bool:
    return path.partition(".")[0] not in ("editors", "request")


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 120 else text[:119] + "…"
