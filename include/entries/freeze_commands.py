"""`./hims freeze add | list | lift | except`: freezes as they are entered while the calendar holds.

They take effect within seconds, also on trains that wait, and are recorded with who entered them.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from include.calendar.command_line import add_environment, add_instant, duration
from include.calendar.wall_time import Span, local_span_text
from include.errors import RequestError
from include.instants import format_instant
from include.output import print_json, print_line

if TYPE_CHECKING:
    from include.entries.desk import Desk
    from include.entries.freeze import Scope


def declare(actions: Any) -> None:
    """Declare the four actions beside the others of `freeze`."""
    add = actions.add_parser("add", help="stop changes for a while, from now on if nothing is said")
    add.add_argument("--kind", choices=["freeze", "blackout"], default="freeze",
                     help="a blackout stops emergencies, too (default: freeze)")  # fmt: skip
    add_instant(add, "--start", "when it begins (default: now)")
    add_instant(add, "--end", "when it ends, exclusive")
    add.add_argument("--for", dest="length", metavar="D", type=duration,
                     help="… or how long it lasts, like 2h")  # fmt: skip
    add.add_argument("--system", dest="systems", metavar="S", action="append", default=[],
                     help="a system that it stops; repeat for several (default: all)")  # fmt: skip
    add_environment(add, dest="environments", action="append", default=[], everywhere=True,
                    help='"*" for everywhere (default: production)')  # fmt: skip
    add.add_argument("--owner", metavar="USER", help="who answers for it (default: --user)")
    _signed(add, _add)

    listing = actions.add_parser("list", help="what holds or lies ahead, entered or of releases")
    listing.add_argument("--all", action="store_true", help="also what is over")
    listing.add_argument("--json", action="store_true", help="print one JSON document")
    listing.set_defaults(entry=_list)

    lift = actions.add_parser(
        "lift", help="end a freeze (FRZ-…), or take an exception (EXC-…) back"
    )
    lift.add_argument("id", metavar="ID")
    _signed(lift, _lift)

    exempt = actions.add_parser("except", help="lift a freeze for named systems or changes")
    exempt.add_argument("id", metavar="FRZ-…")
    exempt.add_argument("--owner", metavar="USER", required=True,
                        help="who answers for it; somebody else than --user")  # fmt: skip
    exempt.add_argument("--control", required=True, metavar="TEXT",
                        help="what guards production instead of the freeze")  # fmt: skip
    add_instant(exempt, "--start", "when it begins (default: now)")
    add_instant(exempt, "--end", "when it ends, exclusive", required=True)
    exempt.add_argument("--system", dest="systems", metavar="S", action="append", default=[],
                        help="only these systems (default: all of the freeze)")  # fmt: skip
    exempt.add_argument("--change", dest="changes", metavar="ID", action="append", default=[],
                        help="only these changes (default: any)")  # fmt: skip
    _signed(exempt, _except)


def _signed(parser: argparse.ArgumentParser, entry: Any) -> None:
    parser.add_argument("--reason", required=True, help="why; it is shown to all who are stopped")
    parser.add_argument("--user", required=True, help="who says so; their password is asked for")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(entry=entry)


def _add(options: argparse.Namespace) -> int:
    from include.entries.desk import open_desk, say
    from include.entries.freeze import enter_freeze
    from include.people.sign_in import known_person

    if (options.end is None) == (options.length is None):
        raise RequestError("say when it ends: either --end or --for")
    desk = open_desk(options.user)
    owner = known_person(desk.people, options.owner or options.user)
    _check_systems(desk, options)
    with desk.unit() as unit:
        start = options.start or unit.now
        span = Span(start, options.end or start + options.length)
        outcome = enter_freeze(
            unit,
            desk.person,
            kind=options.kind,
            span=span,
            scope=_scope(options),
            owner=owner,
            reason=desk.words(options.reason, where="--reason"),
        )
    return say(outcome, as_json=options.json)


def _lift(options: argparse.Namespace) -> int:
    from include.entries.desk import open_desk, say
    from include.entries.freeze import lift

    desk = open_desk(options.user)
    with desk.unit() as unit:
        reason = desk.words(options.reason, where="--reason")
        outcome = lift(unit, desk.person, options.id, reason=reason)
    return say(outcome, as_json=options.json)


def _except(options: argparse.Namespace) -> int:
    from include.entries.desk import open_desk, say
    from include.entries.freeze import except_from_freeze
    from include.people.sign_in import known_person

    desk = open_desk(options.user)
    owner = known_person(desk.people, options.owner)
    _check_systems(desk, options)
    with desk.unit() as unit:
        outcome = except_from_freeze(
            unit,
            desk.person,
            options.id,
            span=Span(options.start or unit.now, options.end),
            scope=_scope(options),
            owner=owner,
            reason=desk.words(options.reason, where="--reason"),
            control=desk.words(options.control, where="--control"),
        )
    return say(outcome, as_json=options.json)


def _list(options: argparse.Namespace) -> int:
    from include.calendar import load_calendar
    from include.entries.freeze import listed
    from include.entries.release_freeze import release_freezes
    from include.ledger.connection import open_ledger
    from include.settings import load_settings

    settings, now = load_settings(), datetime.now(UTC)
    name = "calendar.yaml"
    zone = load_calendar(settings.config_file(name), name=settings.label(name)).zone
    with open_ledger(settings).read() as connection:
        freezes = listed(connection, now)
        releases = release_freezes(connection, now)
    if not options.all:
        freezes = [item for item in freezes if item["state"] in ("ahead", "holds")]
        releases = [item for item in releases if item.span.end > now]
    if options.json:
        print_json({
            "freezes": [
                {**item, "local": local_span_text(Span(item["start"], item["end"]), zone)}
                for item in freezes
            ],
            "releases": [
                {
                    "release": item.release,
                    "phase": "code" if item.refused is None else "feature",
                    "start": item.span.start,
                    "end": item.span.end,
                    "local": local_span_text(item.span, zone),
                    "systems": item.systems,
                    "refused": None if item.refused is None else sorted(item.refused),
                }
                for item in releases
            ],
        })  # fmt: skip
        return 0
    for item in freezes:
        span = Span(item["start"], item["end"])
        print_line(
            f"{item['id']}  {item['state']:<7} {item['kind']} of {', '.join(item['systems'])}"
        )
        print_line(f"    {local_span_text(span, zone)} ({format_instant(span.start)} – "
                   f"{format_instant(span.end)}), {', '.join(item['environments'])}")  # fmt: skip
        print_line(f"    {item['owner']}: {item['reason']}")
        for hole in item["exceptions"]:
            who = ", ".join(hole["changes"] or hole["systems"])
            print_line(f"    {hole['id']} lifts it for {who} until {format_instant(hole['end'])}: "
                       f"{hole['reason']}; instead: {hole['control']}")  # fmt: skip
    for release in releases:
        what = "all commits" if release.refused is None else ", ".join(sorted(release.refused))
        print_line(f"{release.release}: {what} frozen {local_span_text(release.span, zone)}")
    if not freezes and not releases:
        print_line("nothing is frozen")
    return 0


def _check_systems(desk: Desk, options: argparse.Namespace) -> None:
    from include.calendar import load_calendar
    from include.entries.known_systems import check_systems

    name = "calendar.yaml"
    settings = desk.settings
    calendar = load_calendar(settings.config_file(name), name=settings.label(name))
    check_systems(settings, calendar, options.systems)


def _scope(options: argparse.Namespace) -> Scope:
    from include.entries.freeze import Scope

    return Scope(
        systems=tuple(options.systems) or ("*",),
        environments=tuple(getattr(options, "environments", ())) or ("production",),
        changes=tuple(getattr(options, "changes", ())),
    )
