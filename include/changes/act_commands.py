"""`./hims change cancel|hold|again|lead-back|attest|review ID`: what people do with a change."""

from __future__ import annotations

import argparse

from include.changes.identity import add_user, open_desk
from include.output import print_json, print_line

# What needs the password, since it is somebody's word.
_WORDS = ("again", "lead-back", "attest", "review")
_OUTCOMES = ("successful", "successful_with_issues", "rolled_back", "failed")


def add_action(name: str, parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of one action."""
    parser.add_argument("id", metavar="ID")
    if name == "cancel":
        parser.add_argument("--reason", default="", help="why it is given up")
        add_user(parser)
    elif name == "hold":
        parser.add_argument("--reason", help="why nothing may happen")
        parser.add_argument(
            "--resume", action="store_true", help="let it go on: needs the password"
        )
        add_user(parser)
    elif name in ("again", "lead-back"):
        parser.add_argument("--comment", default="", help="why")
        add_user(parser, required=True)
    elif name == "attest":
        parser.add_argument("item", metavar="ITEM", help="an item of a checklist, like alerts")
        parser.add_argument("--not-done", action="store_true", help="say that it is not done")
        parser.add_argument("--comment", default="", help="what was done, or where the proof is")
        add_user(parser, required=True)
    else:
        parser.add_argument("--outcome", required=True, choices=_OUTCOMES)
        parser.add_argument("--comment", required=True, help="what was learnt")
        add_user(parser, required=True)


def run(options: argparse.Namespace) -> int:
    """Return 0 when it is done, 1 when it is refused."""
    from include.changes import standstill
    from include.changes.view import view
    from include.errors import RequestError

    # What stops a change needs no proof; what lets one go on does.
    proven = options.action in _WORDS or getattr(options, "resume", False)
    desk, _ = open_desk(options, sign_in=proven)
    match options.action:
        case "cancel":
            ruling = desk.cancel(options.id, options.reason)
        case "hold":
            if bool(options.reason) == options.resume:
                raise RequestError("give either --reason TEXT or --resume")
            ruling = desk.hold(options.id, options.reason)
        case "again":
            ruling = standstill.begin_again(desk, options.id, options.comment)
        case "lead-back":
            ruling = standstill.lead_back(desk, options.id, options.comment)
        case "attest":
            ruling = desk.attest(
                options.id,
                options.item,
                verdict="no_go" if options.not_done else "go",
                comment=options.comment,
            )
        case _:
            ruling = desk.review(options.id, outcome=options.outcome, comment=options.comment)
    if options.json:
        print_json(
            {**view(desk, desk.load(options.id)), "ok": ruling.ok, "message": ruling.message}
        )
    else:
        print_line(ruling.message)
    return 0 if ruling.ok else 1
