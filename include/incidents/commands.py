"""`./hims incident open | respond | grade | link | resolve | review | show | list`."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from include.errors import RequestError
from include.output import print_json, print_line

if TYPE_CHECKING:
    from include.incidents.desk import IncidentDesk
    from include.incidents.incident import Incident

_PARTS = ("what_happened", "root_cause", "resolution", "prevention", "lessons")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(
        name: str, told: str, *, key: bool = True, person: bool = True
    ) -> argparse.ArgumentParser:
        one = actions.add_parser(name, help=told, description=told)
        if key:
            one.add_argument("id", metavar="INC-…")
        if person:
            one.add_argument(
                "--user", required=True, help="who says so; their password is asked for"
            )
        one.add_argument("--json", action="store_true", help="print one JSON document")
        return one

    opening = action("open", "an incident has begun", key=False)
    opening.add_argument("--title", required=True, help="what is wrong; no patient data")
    opening.add_argument("--severity", required=True, metavar="P1|P2|P3|P4")
    opening.add_argument("--system", action="append", default=[], metavar="S", help="repeatable")
    action("respond", "somebody is at it: stops the response clock")
    grading = action("grade", "give it another severity")
    grading.add_argument("severity", metavar="P1|P2|P3|P4")
    grading.add_argument("--reason", required=True)
    linking = action("link", "say which change caused it")
    linking.add_argument("change", metavar="CHG-…")
    linking.add_argument("--take-back", action="store_true", help="it did not after all")
    action("resolve", "it is over").add_argument("--how", required=True, help="how it was mended")
    review = action("review", "hold its retrospective: five parts, and what follows from it")
    for part in _PARTS:
        review.add_argument(f"--{part.replace('_', '-')}", required=True, metavar="TEXT")
    review.add_argument("--follow-up", action="append", default=[], metavar="KIND:TEXT",
                        help="process, technical, monitoring or training: becomes a drafted "
                        "change; repeatable")  # fmt: skip
    action("show", "one incident with its clocks", person=False)
    listing = action("list", "incidents, the newest first", key=False, person=False)
    listing.add_argument("--open", action="store_true", help="only those that are not over")


def run(options: argparse.Namespace) -> int:
    """Run the chosen action: 0 done, 1 refused with a reason, 2 misuse."""
    from include.entries.desk import say

    if options.action in ("show", "list"):
        return _read(options)
    desk = _desk(options.user)
    match options.action:
        case "open":
            incident = desk.open(
                title=options.title, severity=options.severity, systems=options.system
            )
            return _show(incident, as_json=options.json)
        case "respond":
            outcome = desk.respond(options.id)
        case "grade":
            outcome = desk.grade(options.id, options.severity, reason=options.reason)
        case "link":
            outcome = desk.link(options.id, options.change, take_back=options.take_back)
        case "resolve":
            outcome = desk.resolve(options.id, how=options.how)
        case _:
            outcome = desk.review(
                options.id,
                {part: getattr(options, part) for part in _PARTS},
                [_follow_up(text) for text in options.follow_up],
            )
    return say(outcome, as_json=options.json)


def _follow_up(text: str) -> tuple[str, str]:
    kind, colon, what = text.partition(":")
    if not colon:
        raise RequestError(f'--follow-up "{ascii(text)[1:-1][:60]}": write KIND:TEXT')
    return kind.strip(), what.strip()


def _desk(user: str) -> IncidentDesk:
    from include.calendar import load_calendar
    from include.entries.desk import open_desk
    from include.incidents.desk import IncidentDesk
    from include.ledger import Source

    signed = open_desk(user)
    calendar = load_calendar(signed.settings.config_file("calendar.yaml"))
    return IncidentDesk(
        ledger=signed.ledger,
        settings=signed.settings,
        person=signed.person,
        actor=signed.actor,
        source=Source(kind="cli"),
        clock=lambda: datetime.now(UTC),
        zone=str(calendar.zone),
    )


def _read(options: argparse.Namespace) -> int:
    from include.incidents.incident import list_incidents, load_incident
    from include.ledger.connection import open_ledger
    from include.settings import load_settings

    now = datetime.now(UTC)
    with open_ledger(load_settings()).read() as connection:
        if options.action == "show":
            return _show(load_incident(connection, options.id), as_json=options.json)
        found = list_incidents(connection, only_open=options.open)
    if options.json:
        print_json({"incidents": [incident.document(now) for incident in found]})
        return 0
    for incident in found:
        print_line(f"{incident.id}  {incident.severity}  {incident.state:<9} {incident.title}")
    if not found:
        print_line("no incident is open" if options.open else "there was no incident")
    return 0


def _show(incident: Incident, *, as_json: bool) -> int:
    from include.instants import format_instant

    now = datetime.now(UTC)
    if as_json:
        print_json(incident.document(now))
        return 0
    print_line(f"{incident.id} ({incident.severity}, {incident.state}): {incident.title}")
    print_line(f"    systems: {', '.join(incident.systems) or 'none named'}")
    print_line(f"    opened {format_instant(incident.opened_at)} by {incident.opened_by}")
    for clock in incident.clocks:
        print_line(f"    {clock.name} due {format_instant(clock.due)}: {clock.state(now)}")
    if incident.changes:
        print_line(f"    caused by {', '.join(incident.changes)}")
    if incident.follow_ups:
        print_line(f"    follow-up changes: {', '.join(incident.follow_ups)}")
    return 0
