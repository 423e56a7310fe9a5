"""`./hims audit hold add|lift|list`: what is kept beyond its time."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from include.errors import RequestError
from include.instants import format_instant
from include.ledger.connection import open_ledger
from include.ledger.hold import Answer, Scope, holds, lift_hold, place_hold
from include.ledger.record import Source
from include.output import print_json, print_line
from include.people import load_people
from include.people.sign_in import sign_in
from include.privacy import screen
from include.settings import Settings, load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the three actions."""
    actions = parser.add_subparsers(dest="hold", required=True, metavar="ACTION")
    add = actions.add_parser("add", help="keep records until the hold is lifted")
    what = add.add_mutually_exclusive_group(required=True)
    what.add_argument("--release", help="everything about this release, like hims-api-2.3.0")
    what.add_argument("--change", help="everything about this change, like CHG-000001")
    what.add_argument("--everything", action="store_true", help="the whole ledger")
    lift = actions.add_parser("lift", help="end a hold")
    lift.add_argument("id", help="like HLD-000001")
    for action in (add, lift):
        action.add_argument("--user", required=True, help="who asks; the password is asked for")
        action.add_argument("--reason", required=True, help="why: the case, who asked for it")
    listing = actions.add_parser("list", help="every hold, oldest first")
    for action in (add, lift, listing):
        action.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> int:
    """Return 0 when it is done (for a list: when a hold is in force), 1 when not."""
    settings = load_settings()
    if options.hold == "list":
        return _list(settings, options)
    for name in ("release", "change"):
        if (said := getattr(options, name, None)) is not None and not said.strip():
            raise RequestError(f"--{name}: names nothing; say which, or --everything")
    return _act(settings, options)


def _act(settings: Settings, options: argparse.Namespace) -> int:
    person, actor = sign_in(settings, load_people(settings), options.user)
    allowed = person.may("hold_records")
    reason = screen(settings, "comment", options.reason, where="--reason")
    with open_ledger(settings).write(actor, Source(kind="cli"), datetime.now(UTC)) as unit:
        if options.hold == "lift":
            answer = lift_hold(unit, options.id, reason, allowed=allowed)
        else:
            kind, subject = _scope(options)
            answer = place_hold(unit, kind, subject, reason, allowed=allowed)
    return _print(answer, json=options.json)


def _scope(options: argparse.Namespace) -> tuple[Scope, str | None]:
    if options.release is not None:
        return "release", options.release.strip()
    return (
        ("change", options.change.strip()) if options.change is not None else ("everything", None)
    )


def _print(answer: Answer, *, json: bool) -> int:
    if json:
        print_json(
            {
                "ok": answer.ok,
                "id": answer.id,
                "reason": answer.reason,
                "message": answer.message,
            }
        )
    else:
        print_line(answer.message)
    return 0 if answer.ok else 1


def _list(settings: Settings, options: argparse.Namespace) -> int:
    with open_ledger(settings).read() as connection:
        found = holds(connection)
    if options.json:
        print_json({"holds": list(found)})
    else:
        for hold in found:
            state = (
                "in force"
                if hold.lifted_at is None
                else f"lifted {format_instant(hold.lifted_at)} by {hold.lifted_by}"
            )
            print_line(
                f"{hold.id}  {hold.what}: since {format_instant(hold.placed_at)} by "
                f"{hold.placed_by}, {state}: {hold.reason}"
            )
        if not found:
            print_line("no holds")
    return 0 if any(hold.lifted_at is None for hold in found) else 1
