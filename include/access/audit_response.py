"""Answering an audit in the plan's five steps (section 9.2), each a person's recorded word.

1 audit notification · 2 evidence collection · 3 gap analysis · 4 remediation · 5 follow-up
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from include.access.question import Answered, Question, groups_with, record_answer
from include.access.review import review
from include.approvals.board import board_as_written
from include.errors import RecordMissing, RequestError
from include.instants import format_instant, parse_instant
from include.ledger import Actor, Ledger, Source, Subject
from include.ledger.number import next_number
from include.people import load_people
from include.people.rights import Right
from include.privacy import screen
from include.settings import Settings

RIGHT: Right = "answer_audit"
PATIENCE = timedelta(days=30)
OPTIONS = ("Done", "Cannot be done")

# In the plan's order; the words say what the step is for.
STEPS: dict[str, tuple[str, str]] = {
    "preparation": (
        "Audit notification",
        "Tell those concerned, agree on scope and dates with the auditor, and give them a sign-in "
        "of their own (role auditor: they read everything and change nothing).",
    ),
    "evidence": (
        "Evidence collection",
        "Make the pack, verify it, and hand it over with the public key.",
    ),
    "gaps": (
        "Gap analysis",
        "Go through what stands out below and through the auditor's list; say what is missing.",
    ),
    "remediation": (
        "Remediation",
        "Every finding has a change or a decision of its own; name them in the comment.",
    ),
    "follow_up": (
        "Follow-up",
        "Every recommendation is done or has an owner and a date; name what is open.",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """One audit: who audits what, over `[since, until)`, and until when they want an answer."""

    id: str
    title: str
    auditor: str
    since: datetime
    until: datetime

    @property
    def subject(self) -> Subject:
        """Return the audit as the subject of a record."""
        return Subject(kind="audit", id=self.id)


def open_audit(
    ledger: Ledger,
    settings: Settings,
    conf: Mapping[str, Any],
    *,
    actor: Actor,
    source: Source,
    now: datetime,
) -> Audit:
    """Open the audit that a run was started for; asked again by the same run, return it.

    Raises RequestError for a form that makes no sense; nothing is recorded then.
    """
    if (known := _opened(ledger, source.run_id)) is not None:
        return known
    title, auditor = _text(conf, "title"), _text(conf, "auditor")
    since, until = _instant(conf, "since"), _instant(conf, "until")
    if until <= since:
        raise RequestError("until: must be after since")
    title = screen(settings, "change", title, where="title")
    auditor = screen(settings, "change", auditor, where="auditor")
    with ledger.write(actor, source, now) as unit:
        audit = Audit(
            id=f"AUD-{next_number(unit, 'audit'):06d}",
            title=title,
            auditor=auditor,
            since=since,
            until=until,
        )
        unit.append(
            "audit.opened",
            audit.subject,
            message=f"{audit.id}: {auditor} audits {title}",
            details={
                "title": title,
                "auditor": auditor,
                "since": format_instant(since),
                "until": format_instant(until),
            },
        )
    return audit


def ask(ledger: Ledger, settings: Settings, run_id: str, step: str, now: datetime) -> Question:
    """Return the question of a step; RecordMissing if an earlier one has no answer."""
    audit = audit_of(ledger, run_id)
    answers = answered(ledger, audit)
    _in_order(audit, answers, step)
    title, words = STEPS[step]
    parts = [
        f"**{audit.id}** — {audit.auditor} audits {audit.title}",
        f"{format_instant(audit.since)} to {format_instant(audit.until)}",
        words,
        *_particulars(ledger, settings, audit, step),
    ]
    number = list(STEPS).index(step) + 1
    return Question(
        subject=f"{audit.id}, step {number} of {len(STEPS)}: {title}",
        body="\n\n".join(parts),
        options=OPTIONS,
        groups=groups_with(load_people(settings), RIGHT),
        patience=PATIENCE,
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
    """Record what somebody said to a step; the first word on it stands."""
    audit = audit_of(ledger, run_id)
    answers = answered(ledger, audit)
    if (first := answers.get(step)) is not None:
        yes = first["outcome"] == "success"
        return Answered(ok=yes, reason="already_answered", message=str(first["message"]))
    _in_order(audit, answers, step)
    with ledger.write(by, source, now) as unit:
        said = record_answer(
            unit,
            f"audit.{step}",
            audit.subject,
            people=load_people(settings),
            right=RIGHT,
            by=by,
            yes=choice == OPTIONS[0],
            choice=choice,
            comment=screen(settings, "comment", comment),
            details={"step": step},
        )
        if said.ok and step == list(STEPS)[-1]:
            unit.append(
                "audit.closed",
                audit.subject,
                message=f"{audit.id} is answered: {len(STEPS)} steps, each with its record",
            )
    return said


def audit_of(ledger: Ledger, run_id: str) -> Audit:
    """Return the audit that a run answers; RecordMissing if none was opened by it."""
    found = _opened(ledger, run_id)
    if found is None:
        raise RecordMissing(f"the ledger knows no audit that run {run_id} answers")
    return found


def answered(ledger: Ledger, audit: Audit) -> dict[str, Mapping[str, Any]]:
    """Return the record of each step that was answered."""
    found: dict[str, Mapping[str, Any]] = {}
    for row in ledger.records(event="audit"):
        body = json.loads(row["body"])
        step = body["event"].removeprefix("audit.")
        if step in STEPS and body["subject"]["id"] == audit.id:
            found.setdefault(step, body)
    return found


def _in_order(audit: Audit, answers: Mapping[str, Mapping[str, Any]], step: str) -> None:
    for earlier in list(STEPS)[: list(STEPS).index(step)]:
        if earlier not in answers or answers[earlier]["outcome"] != "success":
            raise RecordMissing(
                f"{audit.id}: the ledger has no completed step {earlier}; a task marked "
                "successful by hand counts for nothing"
            )


def _particulars(ledger: Ledger, settings: Settings, audit: Audit, step: str) -> list[str]:
    """Return what the ledger has to say to a step."""
    if step == "evidence":
        records = ledger.records(since=audit.since, until=audit.until)
        since, until = format_instant(audit.since), format_instant(audit.until)
        return [
            f"The ledger has {len(records):,} records of that time.",
            f"`./hims audit verify` and `./hims audit pack --from {since} --to {until} "
            f"-o {audit.id}.zip`",
        ]
    if step == "gaps":
        people = load_people(settings)
        board = board_as_written(settings, people)
        found = review(ledger, people, board, since=audit.since, until=audit.until)
        listed = [f"* {item.user}: {item.message}" for item in found.findings]
        return ["\n".join(listed[:50]) or "The access review of that time finds nothing."]
    return []


def _opened(ledger: Ledger, run_id: str | None) -> Audit | None:
    for row in ledger.records(event="audit.opened"):
        body = json.loads(row["body"])
        if body["source"].get("run_id") == run_id:
            details = body["details"]
            return Audit(
                id=body["subject"]["id"],
                title=details["title"],
                auditor=details["auditor"],
                since=parse_instant(details["since"]),
                until=parse_instant(details["until"]),
            )
    return None


def _text(conf: Mapping[str, Any], key: str) -> str:
    value = conf.get(key)
    if not isinstance(value, str) or not value.strip():
        raise RequestError(f"{key}: is required, as text")
    return " ".join(value.split())[:200]


def _instant(conf: Mapping[str, Any], key: str) -> datetime:
    try:
        return parse_instant(_text(conf, key))
    except RequestError as error:
        said = str(error)
        raise RequestError(said if said.startswith(f"{key}: ") else f"{key}: {said}") from error
