"""Checkpoints that one person answers: user acceptance and go/no-go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from include.approvals import Board
from include.gates.gate import Verdict, decide
from include.instants import format_duration
from include.ledger import Actor, Outcome
from include.notices import texts
from include.notices.wording import one_line, short_digest
from include.people import People
from include.policies import note_policies
from include.privacy import screen
from include.releases.notes import escape_markdown
from include.releases.phases.briefing import (
    acceptance,
    asked,
    heading,
    planned,
    release_news,
    strategy,
)
from include.releases.phases.cab import count_votes, release_change
from include.releases.phases.code_freeze import artefact
from include.releases.train import Done, Train

TITLES = {"uat": "User acceptance", "go_no_go": "Go/no-go"}
CONSEQUENCES = {
    "uat": "Approve takes it to the CAB. A rejection, or no answer in time, ends this train.",
    "go_no_go": "Go: the deploy starts by itself once the window is open and the backup is proven. "
    "No-go, or no answer in time, ends this train.",
}


def question(
    train: Train, name: str, *, people: Mapping[str, Sequence[str]], until: datetime
) -> tuple[str, str]:
    """Return the subject and the body (Markdown) that the person is shown.

    `people` are the names of those who are asked, by their title; they have time `until` then.
    """
    lines = _acceptance(train) if name == "uat" else _departure(train)
    lines += ["", *asked(people, until, train.plan.zone), "", CONSEQUENCES[name]]
    return f"{TITLES[name]}: {train.plan.title}", "\n".join(lines)


def _acceptance(train: Train) -> list[str]:
    plan = train.plan
    tests = train.result("test_staging")["tests"]
    what = f"{escape_markdown(plan.service.title)} {plan.version}"
    return [
        f"**Does {what} do what its users need?** Try it in staging: "
        f"<{train.result('deploy_staging')['url']}>",
        "",
        *release_news(train),
        "",
        heading("The candidate"),
        "",
        _candidate(train),
        f"- Passed in staging: {', '.join(escape_markdown(test) for test in tests)}",
        f"- Planned for {planned(plan)}",
    ]


def _departure(train: Train) -> list[str]:
    plan = train.plan
    with train.ledger.read() as connection:
        votes = count_votes(connection, plan, release_change(train), train.clock())
    what = f"{escape_markdown(plan.service.title)} {plan.version}"
    return [
        f"**Shall {what} go to production?** It replaces {plan.previous_version}, "
        f"{strategy(plan)}.",
        "",
        _candidate(train),
        f"- User acceptance: {acceptance(train)}",
        f"- CAB: {escape_markdown(votes.message)}",
        f"- Planned for {planned(plan)}",
        f"- It needs {format_duration(plan.work)} of the window, with the backup and the way back",
    ]


def _candidate(train: Train) -> str:
    tag = train.result("tag_candidate")["tag"]
    return f"- Candidate `{tag}`, artefact `{short_digest(artefact(train).digest)}`"


def answer(
    train: Train,
    board: Board,
    people: People,
    name: str,
    *,
    approved: bool,
    comment: str,
    by: Actor,
) -> Done:
    """Record one person's word at a checkpoint as the gate's verdict on this artefact.

    The first word stands. Refused, with a record, is the word of somebody whom the plan does not
    ask: whatever let it through, it was not their right.
    """
    built = artefact(train)
    comment = screen(train.settings, "comment", comment)
    commit = str(train.result("bump_version")["commit"])
    verdict: Verdict = "go" if approved else "no_go"
    said = f": {one_line(comment, 300)}" if comment.strip() else ""
    asked = train.plan.checkpoints[name]
    person = people.find(by.user)
    groups = board.groups(person, train.clock()) if person is not None else frozenset()
    holds = [group for group in asked if group in groups]
    if not holds:
        return _refused(train, name, by)

    def word() -> Done:
        def write(unit: Any) -> None:
            unit.actor = by
            note_policies(unit, train.settings)
            decide(
                unit,
                train.subject,
                train.plan.attempt,
                name,
                commit=commit,
                digest=built.digest,
                verdict=verdict,
                reason="approved" if approved else "rejected",
                message=f"{by.name} says {verdict.replace('_', '-')}{said}",
                meaning=f"{verdict} for {train.release} at {TITLES[name]} as {', '.join(holds)}",
            )

        return Done(
            message=f"{TITLES[name]}: {by.name} says {verdict.replace('_', '-')}{said}",
            reason="approved" if approved else "rejected",
            result={
                "approved": approved,
                "by": by.user,
                "name": by.name,
                "comment": comment[:2000],
            },
            write=write,
            notices=[
                texts.checkpoint_decided(
                    release=train.release,
                    attempt=train.plan.attempt,
                    checkpoint=TITLES[name],
                    decision="approve" if approved else "reject",
                    by=by.name,
                    comment=comment,
                    key=name,
                )
            ],
        )

    train.step(f"answer_{name}", f"checkpoint.{name}", word)
    # What was answered first, whatever was said just now.
    return _as_answered(train, name)


def answered_before(train: Train, name: str) -> Done | None:
    """Return what was answered at a checkpoint, None where nobody has answered yet: a task that was
    killed after the answer does not ask again."""
    return _as_answered(train, name) if train.has(f"answer_{name}") else None


def _as_answered(train: Train, name: str) -> Done:
    outcome = train.result(f"answer_{name}")
    stands = "go" if outcome["approved"] else "no-go"
    because = f": {one_line(outcome['comment'], 300)}" if outcome["comment"].strip() else ""
    return Done(
        ok=bool(outcome["approved"]),
        reason="approved" if outcome["approved"] else "rejected",
        message=f"{TITLES[name]}: {stands} by {outcome['by']}{because}",
        result=outcome,
    )


def _refused(train: Train, name: str, by: Actor) -> Done:
    asked = ", ".join(role.replace("_", " ") for role in train.plan.checkpoints[name])
    message = f"{TITLES[name]}: {by.name} does not answer it, but one of: {asked}"
    with train.ledger.write(by, train.source, train.clock()) as unit:
        unit.append(
            "checkpoint.refused",
            train.subject,
            outcome=Outcome.DENIED,
            reason="not_eligible",
            message=message,
            details={"checkpoint": name},
        )
    return Done(ok=False, reason="not_eligible", message=message)
