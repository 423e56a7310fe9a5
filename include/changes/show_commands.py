"""`./hims change show|list|why|agenda`: what the ledger says about changes."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from include.changes.identity import open_desk
from include.output import print_json, print_line

_MARKS = {"go": "✓", "no_go": "✗", "inconclusive": "?"}


def add_action(name: str, parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of one action."""
    if name in ("show", "why"):
        parser.add_argument("id", metavar="ID", help="like CHG-000001")
    if name == "list":
        parser.add_argument("--state", help="only in this state, like authorizing")
        parser.add_argument("--type", help="only of this type, like emergency")
        parser.add_argument("--system", help="only those that touch this system")


def run(options: argparse.Namespace) -> int:
    """Return 0 if there is something to show (and, for `why`, nothing in the way), else 1."""
    desk, _ = open_desk(options)
    match options.action:
        case "show":
            return _show(options, desk)
        case "why":
            return _why(options, desk)
        case "list":
            return _list(options, desk)
        case _:
            from include.changes.agenda import agenda, as_markdown

            items = agenda(desk)
            if options.json:
                print_json({"items": items})
            else:
                print_line(as_markdown(desk, items))
            return 0


def _show(options: argparse.Namespace, desk: Any) -> int:
    from include.changes.duties import TITLES
    from include.changes.view import view

    shown = view(desk, desk.load(options.id))
    if options.json:
        print_json(shown)
        return 0
    print_line(f"{shown['id']}  {shown['title']}")
    print_line(
        f"  {shown['type']}, {shown['state']}, revision {shown['revision']}, "
        f"risk {shown['risk']['level']}, asked for by {shown['requester']}"
    )
    print_line(f"  touches {', '.join(shown['systems']) or 'nothing yet'}")
    if shown["on_hold"]:
        print_line(f"  on hold: {shown['on_hold']}")
    if shown["slot"]:
        print_line(f"  booked {shown['slot']['start']} – {shown['slot']['end']}")
    for vote in shown["votes"]:
        void = "" if vote["counts"] else "  (does not count)"
        print_line(f"  {vote['seat']}: {vote['voter']} {vote['choice']}{void}")
    for duty in shown["duties"]:
        print_line(f"  {TITLES[duty['duty']]}: {duty['state']}, due {duty['due']}")
    for item in shown["conditions"]:
        who = "" if item["verdict"] == "go" else f"  → {item['who']}"
        print_line(f"  {_MARKS[item['verdict']]} {item['code']}: {item['message']}{who}")
    words = [item["code"] for item in shown["conditions"] if item["code"].startswith("checklist.")]
    if words:
        example = f"./hims change attest {shown['id']} {words[0].partition('.')[2]} --user YOU"
        print_line(f"  somebody's word on an item, where none is known: {example}")
    return 0


def _why(options: argparse.Namespace, desk: Any) -> int:
    from include.changes.why import why

    change = desk.load(options.id)
    if change.release_id is not None:
        from include.permits.commands import run as why_release

        return why_release(options)
    found = why(desk, change)
    if options.json:
        print_json(found)
    else:
        print_line(f"{change.id}, {change.state}: {found['message']}")
        for item in found["conditions"]:
            who = "" if item["verdict"] == "go" else f"  → {item['who']}"
            print_line(f"  {_MARKS[item['verdict']]} {item['code']:<24} {item['message']}{who}")
    return 0 if found["allowed"] else 1


def _known(what: str, given: str | None, known: Iterable[str]) -> None:
    from include.errors import RequestError, did_you_mean

    if given is not None and given not in known:
        said = did_you_mean(given[:60], known)
        raise RequestError(f'--{what}: there is no {what} "{given[:60]}"{said}')


def _list(options: argparse.Namespace, desk: Any) -> int:
    from sqlalchemy import select

    from include.changes.change import load_changes
    from include.changes.machine import ENDED, LIVE, MACHINES
    from include.changes.view import summary
    from include.ledger import schema

    kinds = [name for name in MACHINES if name != "release"]
    _known("state", options.state, (*LIVE, *ENDED))
    _known("type", options.type, kinds)
    _known("system", options.system, desk.catalogue.systems.titles)
    table = schema.change
    query = select(table.c.id)
    if options.state is not None:
        query = query.where(table.c.state == options.state)
    if options.type is not None:
        query = query.where(table.c.type == options.type)
    if options.system is not None:
        query = query.where(table.c.systems.contains([options.system]))
    with desk.ledger.read() as connection:
        found = [summary(change) for change in load_changes(connection, query)]
    if options.json:
        print_json({"changes": found})
    else:
        for item in found:
            print_line(
                f"{item['id']}  {item['state']:<13} {item['type']:<12} "
                f"{item['risk_level'] or '-':<8} {item['title']}"
            )
        if not found:
            print_line("no changes")
    return 0 if found else 1
