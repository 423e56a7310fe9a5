"""The access review: the matrix, what people did with it, and what needs somebody's eye.

45 CFR 164.308(a)(1)(ii)(D) asks for a regular review of activity, NIST SP 800-53 AC-2(j) and
AC-6(7) for one of accounts and privileges. Everything in it is recomputed from config/ and the
ledger.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from include.access.matrix import Row, matrix, separation
from include.approvals import Board
from include.instants import format_instant
from include.ledger import Ledger
from include.people import People

# Who is in no list of people and yet no stranger.
_KNOWN = ("anonymous", "cli", "unknown")
_LISTED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a reviewer has to look at."""

    code: str
    user: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """One review of `[since, until)`; `ok` when nothing needs a look."""

    since: datetime
    until: datetime
    people: tuple[Mapping[str, Any], ...]
    delegations: tuple[Mapping[str, Any], ...]
    by_hand: tuple[Mapping[str, Any], ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Return whether there is nothing to look at."""
        return not self.findings

    def content(self) -> dict[str, Any]:
        """Return the review as plain data."""
        return {
            "since": format_instant(self.since),
            "until": format_instant(self.until),
            "ok": self.ok,
            "people": list(self.people),
            "delegations": list(self.delegations),
            "by_hand": list(self.by_hand),
            "findings": [
                {"code": item.code, "user": item.user, "message": item.message}
                for item in self.findings
            ],
        }

    def lines(self) -> Iterator[str]:
        """Yield the review as people read it."""
        yield f"Access review, {format_instant(self.since)} to {format_instant(self.until)}"
        yield ""
        for row in self.people:
            refused = f", {row['denied']} refused" if row["denied"] else ""
            rights = ", ".join(row["rights"]) or "reads only"
            yield f"  {row['user']:<8} {row['name']:<18} {row['acts']:>4} acts{refused}  {rights}"
        if self.delegations:
            yield ""
            yield "Delegations"
            for item in self.delegations:
                state = "in force" if item["in_force"] else "not in force"
                span = f"{item['since'] or 'always'} to {item['until'] or 'further notice'}"
                yield f"  {item['user']:<8} {item['seat']}: {span}, {state}"
        if self.by_hand:
            yield ""
            yield "States forced or cleared by hand"
            for item in self.by_hand:
                yield f"  #{item['seq']} {item['time']} {item['message']}"
        yield ""
        for finding in self.findings:
            yield f"✗ {finding.user}: {finding.message}"
        yield f"{len(self.findings)} to look at" if self.findings else "✓ nothing needs a look"


def review(
    ledger: Ledger, people: People, board: Board, *, since: datetime, until: datetime
) -> Review:
    """Review who may do what at `until`, and what was done in `[since, until)`."""
    records = [
        {"seq": row["seq"], **json.loads(row["body"])}
        for row in ledger.records(since=since, until=until)
    ]
    acts = Counter(item["actor"]["user"] for item in records if item["outcome"] != "denied")
    denied: Counter[str] = Counter()
    for item in records:
        if item["outcome"] == "denied":
            denied[item["actor"]["user"]] += int(item.get("details", {}).get("count", 1))
    rows = matrix(people, board)
    return Review(
        since=since,
        until=until,
        people=tuple(_person(row, acts, denied) for row in rows),
        delegations=tuple(_delegations(board, board.day(until))),
        by_hand=tuple(_by_hand(records))[:_LISTED],
        findings=tuple(_findings(people, board, rows, records, acts, denied)),
    )


def _person(row: Row, acts: Counter[str], denied: Counter[str]) -> dict[str, Any]:
    person = row.person
    return {
        "user": person.user,
        "name": person.name,
        "roles": list(person.roles),
        "seats": list(row.seats),
        "rights": {right: list(through) for right, through in row.held.items()},
        "acts": acts[person.user],
        "denied": denied[person.user],
    }


def _delegations(board: Board, on: date) -> Iterator[dict[str, Any]]:
    for name, seat in board.seats.items():
        for user, since, until in seat.delegates:
            yield {
                "user": user,
                "seat": name,
                "since": since.isoformat() if since else None,
                "until": until.isoformat() if until else None,
                "in_force": user in seat.occupants(on),
            }


def _by_hand(records: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for item in records:
        if item["event"] in ("api_write.done", "api_write.found"):
            yield {
                "seq": item["seq"],
                "time": item["time"],
                "user": item["actor"]["user"],
                "message": item["message"],
                "tasks": item.get("details", {}).get("tasks", []),
            }


def _findings(
    people: People,
    board: Board,
    rows: Sequence[Row],
    records: Sequence[Mapping[str, Any]],
    acts: Counter[str],
    denied: Counter[str],
) -> Iterator[Finding]:
    for conflict in separation(people, board):
        yield Finding(code="separation", user=conflict.user, message=conflict.message)
    for user in sorted(set(acts) | set(denied)):
        if people.find(user) is None and user not in _KNOWN and not user.startswith("service:"):
            message = f"acted {acts[user]} times, and config/people.yaml knows nobody by that name"
            yield Finding(code="stranger", user=user, message=message)
    for user, times in sorted(denied.items()):
        yield Finding(code="refused", user=user, message=f"was refused {times:,} times")
    forced = Counter(item["user"] for item in _by_hand(records))
    for user, times in sorted(forced.items()):
        message = f"forced or cleared states in Airflow by hand, {times} times"
        yield Finding(code="by_hand", user=user, message=message)
    for item in records:
        if item["event"] == "policy.changed" and item["outcome"] != "success":
            yield Finding(code="policy", user=item["actor"]["user"], message=item["message"])
    for row in rows:
        if row.person.airflow_role in ("admin", "op") and not row.person.may("administer_airflow"):
            message = "may administer Airflow without a role that says so (administer_airflow)"
            yield Finding(code="unlisted_access", user=row.person.user, message=message)
