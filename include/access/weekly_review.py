"""The weekly access review: written down, and confirmed by somebody whose task it is."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

from include.access.question import Answered, Question, groups_with, record_answer
from include.access.review import review
from include.approvals.board import board_as_written
from include.durable import write_bytes
from include.errors import RecordMissing
from include.ledger import Actor, Ledger, Outcome, Source, Subject
from include.people import load_people
from include.people.rights import Right
from include.privacy import screen
from include.settings import Settings

RIGHT: Right = "review_access"
WEEK = timedelta(days=7)
OPTIONS = ("Confirm", "Changes needed")


def write_review(
    ledger: Ledger, settings: Settings, *, actor: Actor, source: Source, now: datetime
) -> dict[str, Any]:
    """Write the review of the week before `now` as evidence, record it, and return its facts.

    Asked again by the same run, it writes nothing and returns what it wrote.
    """
    if (known := _written(ledger, str(source.run_id))) is not None:
        return known
    people = load_people(settings)
    found = review(ledger, people, board_as_written(settings, people), since=now - WEEK, until=now)
    text = json.dumps(found.content(), indent=2, ensure_ascii=False).encode()
    key = f"ACR-{now:%Y-%m-%d}"
    path = settings.state_dir / "evidence" / "access" / f"{key}-{now:%H%M%S}.json"
    write_bytes(path, text)
    with ledger.write(actor, source, now) as unit:
        line = unit.append(
            "access.review_written",
            Subject(kind="access_review", id=key),
            outcome=Outcome.SUCCESS if found.ok else Outcome.FAILURE,
            reason="nothing_found" if found.ok else "findings",
            message=f"{key}: {len(found.people)} people, {len(found.findings)} to look at",
            evidence=[
                {"uri": path.as_uri(), "sha256": "sha256:" + hashlib.sha256(text).hexdigest()}
            ],
            details={"review": key, "lines": list(found.lines())[:200]},
        )
    return dict(line.details)


def ask(ledger: Ledger, settings: Settings, run_id: str, step: str, now: datetime) -> Question:
    """Return the question whether the review is as it should be."""
    written = _written(ledger, run_id)
    if written is None:
        raise RecordMissing(f"the ledger knows no access review of run {run_id}")
    body = "\n".join(["```", *written["lines"], "```"])
    return Question(
        subject=f"Access review {written['review']}: may everybody what they should?",
        body=body,
        options=OPTIONS,
        groups=groups_with(load_people(settings), RIGHT),
        patience=WEEK - timedelta(hours=1),
    )


def answer(
    ledger: Ledger,
    settings: Settings,
    run_id: str,
    step: str,
    *,
    choice: str,
    comment: str,
    by: Actor,
    source: Source,
    now: datetime,
) -> Answered:
    """Record what the reviewer said."""
    written = _written(ledger, run_id)
    if written is None:
        raise RecordMissing(f"the ledger knows no access review of run {run_id}")
    with ledger.write(by, source, now) as unit:
        return record_answer(
            unit,
            "access.reviewed",
            Subject(kind="access_review", id=str(written["review"])),
            people=load_people(settings),
            right=RIGHT,
            by=by,
            yes=choice == OPTIONS[0],
            choice=choice,
            comment=screen(settings, "comment", comment),
        )


def _written(ledger: Ledger, run_id: str) -> dict[str, Any] | None:
    for row in reversed(ledger.records(event="access.review_written")):
        body = json.loads(row["body"])
        if body["source"].get("run_id") == run_id:
            found: dict[str, Any] = body["details"]
            return found
    return None
