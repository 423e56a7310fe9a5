"""`./hims window extend | approve | refuse | list`: more time for one change, by two people."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from include.calendar.command_line import add_instant, duration
from include.calendar.wall_time import Span, local_span_text
from include.errors import RequestError
from include.instants import format_instant
from include.output import print_json, print_line

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from include.calendar import ChangeCalendar
    from include.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    extend = actions.add_parser("extend", help="ask for an extended window for one change")
    extend.add_argument("change", metavar="CHANGE", help="like CHG-000001")
    add_instant(extend, "--start", "when it begins (default: with the change's slot, else now)")
    add_instant(extend, "--end", "when it ends, exclusive")
    extend.add_argument("--for", dest="length", metavar="D", type=duration,
                        help="… or how long it lasts, like 4h")  # fmt: skip
    extend.add_argument("--window", metavar="NAME",
                        help="one of kind extended (default: the calendar's first)")  # fmt: skip
    _signed(extend, _extend, required=True)
    approve = actions.add_parser("approve", help="grant what somebody else asked for")
    approve.add_argument("id", metavar="EXT-…")
    _signed(approve, lambda options: _decide(options, grant=True), required=False)
    refuse = actions.add_parser("refuse", help="say no to it")
    refuse.add_argument("id", metavar="EXT-…")
    _signed(refuse, lambda options: _decide(options, grant=False), required=False)
    listing = actions.add_parser("list", help="what was asked for, and what came of it")
    listing.add_argument("--json", action="store_true", help="print one JSON document")
    listing.set_defaults(entry=_list)


def run(options: argparse.Namespace) -> int:
    """Run the chosen action: 0 done, 1 refused with a reason, 2 misuse."""
    return int(options.entry(options))


def _signed(parser: argparse.ArgumentParser, entry: Any, *, required: bool) -> None:
    parser.add_argument("--reason", required=required, default="", help="why")
    parser.add_argument("--user", required=True, help="who says so; their password is asked for")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(entry=entry)


def _extend(options: argparse.Namespace) -> int:
    from include.entries.desk import open_desk, say
    from include.entries.extension import ask_extension, slot_start, window_of_kind_extended

    if (options.end is None) == (options.length is None):
        raise RequestError("say when it ends: either --end or --for")
    desk = open_desk(options.user)
    with desk.unit() as unit:
        calendar = _calendar(desk.settings, unit.connection, options.change)
        start = options.start or slot_start(unit, options.change) or unit.now
        outcome = ask_extension(
            unit,
            desk.person,
            calendar,
            options.change,
            window=options.window or window_of_kind_extended(calendar),
            span=Span(start, options.end or start + options.length),
            reason=desk.words(options.reason, where="--reason"),
        )
    return say(outcome, as_json=options.json)


def _decide(options: argparse.Namespace, *, grant: bool) -> int:
    from include.entries.desk import open_desk, say
    from include.entries.extension import change_of, decide_extension

    desk = open_desk(options.user)
    with desk.unit() as unit:
        change = change_of(unit.connection, options.id)
        outcome = decide_extension(
            unit,
            desk.person,
            _calendar(desk.settings, unit.connection, change),
            options.id,
            grant=grant,
            reason=desk.words(options.reason, where="--reason"),
        )
    return say(outcome, as_json=options.json)


def _list(options: argparse.Namespace) -> int:
    from include.calendar import load_calendar
    from include.entries.extension import listed_extensions
    from include.ledger.connection import open_ledger
    from include.settings import load_settings

    settings = load_settings()
    with open_ledger(settings).read() as connection:
        found = listed_extensions(connection)
    zone = load_calendar(settings.config_file("calendar.yaml")).zone
    if options.json:
        print_json({
            "extensions": [
                {**item, "local": local_span_text(Span(item["start"], item["end"]), zone)}
                for item in found
            ]
        })  # fmt: skip
        return 0
    for item in found:
        span = Span(item["start"], item["end"])
        print_line(f"{item['id']}  {item['state']:<9} {item['change']} in {item['window']}")
        print_line(f"    {local_span_text(span, zone)} ({format_instant(span.start)} – "
                   f"{format_instant(span.end)})")  # fmt: skip
        decided = f"; decided by {item['decided_by']}" if item["decided_by"] else ""
        print_line(f"    {item['requested_by']}: {item['reason']}{decided}")
    if not found:
        print_line("nobody has asked for an extended window")
    return 0


def _calendar(settings: Settings, connection: Connection, change: str | None) -> ChangeCalendar:
    """Return the calendar that holds for a change: a rehearsal's releases have their own."""
    from include.calendar import load_calendar
    from include.entries.extension import calendar_name

    name = calendar_name(connection, change)
    return load_calendar(settings.config_file(name), name=settings.label(name))
