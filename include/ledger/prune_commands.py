"""`./hims audit prune`: let go what was kept for its six years and is on no hold."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from include.ledger.connection import open_ledger
from include.ledger.record import Actor, Source
from include.ledger.retention import prune
from include.output import print_json, print_line
from include.settings import load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> int:
    """Prune; exit status 1 when there is nothing whose time is over."""
    ledger = open_ledger(load_settings())
    actor = Actor.service("retention")
    done = prune(ledger, actor, Source(kind="cli"), datetime.now(UTC), dry=options.dry_run)
    if options.json:
        print_json(
            {
                "pruned": not options.dry_run,
                "records": [
                    {"seq": item.seq, "event": item.event, "time": item.time,
                     "leaf_hash": item.leaf_hash}
                    for item in done.records
                ],
                "texts": list(done.texts),
                "held": done.held,
            }
        )  # fmt: skip
    else:
        verb = "would go" if options.dry_run else "are pruned; their leaf hashes stand"
        print_line(f"{len(done.records)} records and {len(done.texts)} texts {verb}")
        if done.held:
            print_line(f"{done.held} records are past their time and kept by a legal hold")
    return 0 if done.records or done.texts else 1
