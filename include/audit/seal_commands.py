"""`./hims audit seal [--watch]`: sign the tree as it is now and anchor the head.

With `--watch` it goes on doing so, each record within a second or so of its commit, until it is
told to end; `./hims up` does that itself.
"""

from __future__ import annotations

import argparse
import base64
import signal
import threading
from datetime import UTC, datetime

from include.audit.desk import open_desk
from include.audit.watch import SealWatch
from include.errors import RequestError
from include.ledger.connection import open_ledger
from include.output import print_json, print_line, print_progress
from include.settings import Settings, load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--watch", action="store_true", help="go on, twice a second")
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> int:
    """Return 0 when there is a head and every anchor has it, 1 when not."""
    settings = load_settings()
    if options.watch:
        if options.json:
            raise RequestError("--watch prints no document: it does not end by itself")
        return _watch(settings)
    now = datetime.now(UTC)
    ledger = open_ledger(settings)
    sealed = open_desk(settings, now, sign=True).sealer(ledger).seal(now)
    head = sealed.head
    if options.json:
        print_json(
            {
                "size": 0 if head is None else head.size,
                "root": None if head is None else f"sha256:{head.checkpoint.root.hex()}",
                "note": None if head is None else head.note,
                "new": sealed.new,
                "anchored": list(sealed.places),
                "problems": list(sealed.problems),
            }
        )
    elif head is None:
        print_line("there is nothing to seal")
    else:
        root = base64.b64encode(head.checkpoint.root).decode()
        print_line(f"{head.size} records are sealed, root {root}")
        for place in sealed.places:
            print_line(f"  anchored at {place}")
    for problem in sealed.problems:
        if not options.json:
            print_line(f"  ? {problem}")
    return 0 if head is not None and not sealed.problems else 1


def _watch(settings: Settings) -> int:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    print_progress("sealing what is new, twice a second")
    SealWatch(settings, lambda: open_ledger(settings, keep=1), print_progress).run(stop)
    return 0
