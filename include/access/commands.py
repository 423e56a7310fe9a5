"""`./hims access check` and `./hims access review`: who may do what, and who did."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta
from typing import Any

from include.access.matrix import matrix, separation
from include.approvals.board import board_as_written
from include.errors import RequestError
from include.instants import format_instant, parse_instant
from include.output import print_json, print_line
from include.people import load_people
from include.settings import load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the two questions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser("check", help="does anybody hold rights that must not meet?")
    check.add_argument("--json", action="store_true")
    review = actions.add_parser("review", help="the matrix, and what people did with it")
    review.add_argument("--from", dest="since", metavar="T", help="default: a week before --to")
    review.add_argument("--to", dest="until", metavar="T", help="default: now")
    review.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> int:
    """Return 0 when duties are separated (and, for a review, nothing needs a look), else 1."""
    return _check(options) if options.action == "check" else _review(options)


def _check(options: argparse.Namespace) -> int:
    settings = load_settings()
    people = load_people(settings)
    board = board_as_written(settings, people)
    rows, found = matrix(people, board), separation(people, board)
    if options.json:
        print_json(
            {
                "ok": not found,
                "findings": [
                    {
                        "user": item.user,
                        "rights": list(item.rights),
                        "through": list(item.through),
                        "message": item.message,
                    }
                    for item in found
                ],
                "matrix": [
                    {
                        "user": row.person.user,
                        "name": row.person.name,
                        "roles": list(row.person.roles),
                        "seats": list(row.seats),
                        "rights": {right: list(through) for right, through in row.held.items()},
                    }
                    for row in rows
                ],
            }
        )
        return 1 if found else 0
    for row in rows:
        rights = ", ".join(row.held) or "reads only"
        print_line(f"{row.person.user:<8} {row.person.name:<18} {rights}")
    for item in found:
        print_line(f"✗ {item.user}: {item.message}")
    if not found:
        print_line(f"✓ duties are separated: {len(rows)} people, nobody holds what must not meet")
    return 1 if found else 0


def _review(options: argparse.Namespace) -> int:
    from include.access.review import review
    from include.ledger.connection import open_ledger

    until = parse_instant(options.until) if options.until is not None else datetime.now(UTC)
    week_before = until - timedelta(days=7)
    since = parse_instant(options.since) if options.since is not None else week_before
    if until < since:
        raise RequestError(
            f"--to {format_instant(until)} lies before --from {format_instant(since)}"
        )
    settings = load_settings()
    people = load_people(settings)
    found = review(
        open_ledger(settings), people, board_as_written(settings, people), since=since, until=until
    )
    if options.json:
        content: dict[str, Any] = found.content()
        print_json(content)
    else:
        for line in found.lines():
            print_line(line)
    return 0 if found.ok else 1
