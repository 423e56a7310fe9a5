"""`./hims report KIND [--period P]`: the plan's reports for any period, in any form."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from include.errors import RequestError
from include.instants import parse_instant
from include.ledger import Actor, Source
from include.ledger.connection import open_ledger
from include.output import print_line, print_progress
from include.reports.period import Kind, latest_complete, parse_period
from include.settings import load_settings

_FORMATS = ("html", "pdf", "md", "json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the kind, the period and the forms."""
    parser.add_argument("kind", choices=[str(kind) for kind in Kind])
    parser.add_argument(
        "--period", metavar="P", help="2026-W47, 2026-11 or 2026-Q4 (default: the newest complete)"
    )
    parser.add_argument("--service", metavar="NAME", help="one service alone")
    parser.add_argument(
        "--as-of",
        metavar="T",
        help="as the ledger knew it then (default: when it is due)",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help="where to (default: reports/ of the state, demo/reports/ with --demo)",
    )
    parser.add_argument(
        "--format",
        default="html,pdf,md,json",
        metavar="F,F",
        help="html,pdf,md,json",
    )
    parser.add_argument("--demo", action="store_true", help="ask the ledger of `demo-data`")
    parser.add_argument("--json", action="store_true", help="print the report itself as JSON")


def run(options: argparse.Namespace) -> int:
    """Make the report, write its files and record it; exit status 1 for a period still to come,
    and for a form that could not be made."""
    from include.reports.making import make_report
    from include.reports.rendering.data import data
    from include.reports.storing import store
    from include.reports.surroundings import change_calendar, holidays_of

    formats = [name.strip() for name in options.format.split(",") if name.strip()]
    unknown = [name for name in formats if name not in _FORMATS]
    if unknown or not formats:
        raise RequestError(
            f'--format is some of {", ".join(_FORMATS)}, not "{ascii(options.format)[1:-1][:60]}"'
        )
    settings = load_settings()
    now = datetime.now(UTC)
    kind = Kind(options.kind)
    calendar = change_calendar(settings)
    period = (
        parse_period(kind, options.period, calendar.zone)
        if options.period is not None
        else latest_complete(kind, now, calendar.zone, holidays_of(calendar))
    )
    if options.service is not None:
        settings.service(options.service)
    as_of = None if options.as_of is None else parse_instant(options.as_of)
    if as_of is not None and as_of <= period.start:
        raise RequestError(
            f"--as-of lies before {period.name} begins: nothing could be known about it then"
        )
    if period.start > now:
        print_progress(f"{period.name} is still to come")
        return 1
    ledger = open_ledger(settings, demo=options.demo)
    report = make_report(
        ledger,
        settings,
        period,
        now=now,
        as_of=as_of,
        service=options.service,
    )
    # What is made up is not put in the place of what is not.
    home = settings.state_dir / "demo" if options.demo else settings.state_dir
    directory = options.output or home / "reports" / options.kind
    try:
        made = store(
            ledger,
            report,
            directory,
            actor=Actor.service("reports"),
            source=Source(kind="cli"),
            now=now,
            formats=formats,
        )
    except OSError as error:
        raise RequestError(f"{directory} cannot be written: {error.strerror}") from error
    for lacking in made.lacks:
        print_progress(f"hims: {lacking}; once that is mended, this command makes it")
    if options.json:
        sys.stdout.write(json.dumps(data(report), ensure_ascii=False, indent=2) + "\n")
    else:
        print_line(f"{report.title}, {period.words}: {report.summary}")
        for path in made.files.values():
            print_line(str(path))
    return 1 if made.lacks else 0
