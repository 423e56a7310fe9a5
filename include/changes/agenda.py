"""The weekly CAB: what needs people, with evidence and conflicts, and what changed since (§3.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import case as sql_case
from sqlalchemy import select

from include.changes.ballot import count, newest_ballot
from include.changes.case import case_of
from include.changes.change import load_change
from include.changes.condition import plain
from include.changes.content import difference, is_significant
from include.changes.desk import Desk
from include.changes.evidence import risk_of
from include.changes.implementation import described
from include.changes.machine import forward, judge
from include.changes.view import summary, votes
from include.instants import format_instant
from include.ledger import schema
from include.output import plain_value
from include.releases.notes import escape_markdown
from include.windows.closing import declared

URGENCY = ("critical", "high", "normal", "low")
_ON_CLOSE = {
    "finish": "it finishes after it",
    "hold": "it holds before its next step",
    "roll_back": "it is led back",
}


def waiting(desk: Desk, *, most: int | None = None) -> list[str]:
    """Return the changes with an open ballot, the most urgent first, then the oldest."""
    ballot, change = schema.ballot, schema.change
    rank = sql_case({name: index for index, name in enumerate(URGENCY)}, value=change.c.priority)
    emergency = sql_case((change.c.type == "emergency", 0), else_=1)
    query = (
        select(ballot.c.change_id)
        .join(change, change.c.id == ballot.c.change_id)
        .where(ballot.c.state == "open", ballot.c.closes_at > desk.clock())
        .where(change.c.release_id.is_(None), change.c.state == "authorizing")
        .order_by(emergency, rank, ballot.c.opened_at, change.c.id)
    )
    with desk.ledger.read() as connection:
        return list(connection.execute(query.limit(most)).scalars())


def agenda(desk: Desk, names: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """Return the items of the agenda: for each change what one has to know to decide."""
    chosen = waiting(desk, most=desk.catalogue.policy.agenda.most) if names is None else names
    return [item(desk, name) for name in chosen]


def item(desk: Desk, change_id: str) -> dict[str, Any]:
    """Return one item: risk table, conflicts, evidence, who must vote, what changed since."""
    with desk.ledger.read() as connection:
        change = load_change(connection, change_id)
        case = case_of(change, connection, desk.clock(), desk.settings)
        ballot = newest_ballot(connection, change)
        way = forward(change)
        tally = None if ballot is None else count(connection, change, ballot, case.now)
        return {
            **summary(change),
            "description": change.content.get("description"),
            "rollback_plan": change.content.get("rollback_plan"),
            "implementation": described(change.content.get("implementation") or {}),
            "on_close": declared(change.content).value,
            "risk": plain_value(risk_of(case)),
            "conflicts": [
                condition
                for condition in (plain(judge(case, way)) if way else [])
                if condition["code"] != "votes"
            ],
            "closes_at": None if ballot is None else format_instant(ballot.closes_at),
            "must_vote": [] if tally is None else list(tally.missing),
            "votes": votes(connection, change, ballot, case),
            "changed": _changed(connection, change),
        }


def _changed(connection: Any, change: Any) -> dict[str, Any]:
    """Return what differs from the revision that was voted on last, significant fields only."""
    vote, revision = schema.vote, schema.revision
    last = connection.execute(
        select(vote.c.content_hash)
        .where(vote.c.change_id == change.id)
        .order_by(vote.c.id.desc())
        .limit(1)
    ).scalar()
    if last is None or last == change.content_hash:
        return {}
    before = connection.execute(
        select(revision.c.content)
        .where(revision.c.change_id == change.id, revision.c.content_hash == last)
        .order_by(revision.c.number.desc())
        .limit(1)
    ).scalar()
    changed = difference(before or {}, change.content)
    return {path: value for path, value in changed.items() if is_significant(path)}


def as_markdown(desk: Desk, items: Iterable[Mapping[str, Any]]) -> str:
    """Return the agenda for people."""
    lines = [f"# Change Advisory Board, {desk.clock():%Y-%m-%d}", ""]
    for entry in items:
        lines += [*lines_of(entry), ""]
    if len(lines) == 2:
        lines.append("Nothing waits for the board.")
    return "\n".join(lines)


def lines_of(entry: Mapping[str, Any]) -> list[str]:
    """Return one item in Markdown; what people wrote is shown as the text it is."""
    risk = entry["risk"]
    lines = [
        f"## {entry['id']}: {escape_markdown(entry['title'])}",
        "",
        f"{entry['type'].capitalize()}, priority {entry['priority']}, asked for by "
        f"{escape_markdown(entry['team'] or entry['requester'])}; revision {entry['revision']}",
        "",
        escape_markdown(entry["description"] or "(no description)"),
        "",
        f"- Touches: {escape_markdown(', '.join(entry['systems']))}",
        f"- Does: {escape_markdown(entry['implementation'])}",
        f"- Way back: {escape_markdown(entry['rollback_plan'] or 'none given')}",
        f"- If its window closes on it: {_ON_CLOSE[entry['on_close']]}",
        f"- Risk **{risk['level']}**: declared {risk['declared'] or 'nothing'}, computed "
        f"{risk['computed']} ({risk['likelihood']} × {risk['impact']} = {risk['score']})",
        "",
        "| risk or control | said or shown | counts |",
        "|---|---|---|",
        *(
            f"| {line['title']} | {escape_markdown(line['answer'])} | {line['counts']:+g} |"
            for line in risk["lines"]
        ),
        "",
    ]
    lines += [
        f"- {'✓' if condition['verdict'] == 'go' else '✗'} {escape_markdown(condition['message'])}"
        for condition in entry["conflicts"]
    ]
    if entry["changed"]:
        lines += ["", "**Changed since the last vote**", ""]
        lines += [
            f"- {escape_markdown(path)}: {escape_markdown(str(value['from']))} → "
            f"{escape_markdown(str(value['to']))}"
            for path, value in entry["changed"].items()
        ]
    return lines
