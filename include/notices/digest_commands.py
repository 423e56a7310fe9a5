"""`./hims digest`: what is coming to each team's systems."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from include.calendar import load_calendar
from include.errors import RequestError, did_you_mean
from include.instants import parse_duration
from include.ledger import Source
from include.ledger.connection import open_ledger
from include.notices.digest import digests, send_digests
from include.notices.routing import load_routing
from include.notices.wording import one_line, stretch
from include.output import print_json, print_line
from include.settings import load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `digest`."""
    parser.add_argument("--team", metavar="T", help="only this team of config/notices.yaml")
    parser.add_argument("--ahead", metavar="D", default="14d", help="how far ahead (14d)")
    parser.add_argument("--send", action="store_true", help="tell the teams, too")
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> int:
    """Show the digests; exit status 1 when nothing is coming to anybody."""
    settings = load_settings()
    routing = load_routing(settings)
    names = [team.name for team in routing.teams]
    if options.team is not None and options.team not in names:
        said = f'"{options.team[:80]}" is not a team{did_you_mean(options.team[:80], names)}'
        raise RequestError(said)
    ledger = open_ledger(settings)
    zone = str(load_calendar(settings.config_file("calendar.yaml")).zone)
    now = datetime.now(UTC)
    found = [
        digest
        for digest in digests(ledger, routing, now, parse_duration(options.ahead))
        if options.team in (None, digest.team.name)
    ]
    queued = 0
    if options.send:
        source = Source(kind="cli")
        queued = send_digests(ledger, settings, found, zone=zone, now=now, source=source)
    if options.json:
        print_json({"digests": [digest.document() for digest in found], "queued": queued})
    else:
        for digest in found:
            print_line(f"{digest.team.title} ({', '.join(digest.team.systems)})")
            for one in digest.coming:
                print_line(
                    f"  {stretch(one.start, one.end, zone)}  {one.id}: {one_line(one.title)} "
                    f"[{one.state}; {one_line(', '.join(one.systems))}]"
                )
            if not digest.coming:
                print_line("  nothing")
    return 0 if any(digest.coming for digest in found) else 1
