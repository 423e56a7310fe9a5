"""`./hims release …`: one subparser and one function per action."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from include.output import print_json
from include.releases.history import History
from include.releases.notes import collect_notes, render_notes
from include.releases.plan_commands import declare as declare_plan
from include.releases.versions import Version


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions; each sets `perform`, which takes the options and returns the status."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_notes(actions.add_parser("notes", help="what the commits of base..head bring"))
    declare_plan(actions.add_parser("plan", help="a train's dates, backwards from its slot"))


def run(options: argparse.Namespace) -> int:
    """Run the chosen action."""
    return int(options.perform(options))


def _add_notes(parser: argparse.ArgumentParser) -> None:
    parser.description = "Print release notes for the commits of base..head, in Markdown."
    parser.add_argument("--repo", required=True, type=Path, metavar="DIR", help="the repository")
    parser.add_argument("--base", required=True, metavar="REV", help="the release before")
    parser.add_argument("--head", required=True, metavar="REV", help="what is released")
    parser.add_argument("--version", metavar="X.Y.Z", help="the version for the heading")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(perform=_notes)


def _notes(options: argparse.Namespace) -> int:
    version = Version.parse(options.version) if options.version else None
    commits = History(options.repo).commits(options.base, options.head)
    if options.json:
        print_json(collect_notes(commits))
    else:
        sys.stdout.write(render_notes(commits, version=version))
    return 0
