"""`./hims up`: start everything on this machine."""

from __future__ import annotations

import argparse
import time

from include.durable import locked
from include.output import print_json, print_progress
from include.settings import load_settings
from include.stack.dags import wait_for_dags
from include.stack.inspection import inspect
from include.stack.launch import start
from include.stack.layout import Layout
from include.stack.provision import provision


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--json", action="store_true", help="print the stack's state as JSON")
    parser.add_argument(
        "--timeout",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="how long everything may take to become healthy (default 300)",
    )


def run(options: argparse.Namespace) -> int:
    """Return 0 once everything is healthy; StackError says what is not, and why."""
    settings = load_settings()
    begun = time.monotonic()
    print_progress(f"{settings.overall.organisation}: starting Release Control")
    try:
        start(settings, timeout=options.timeout, say=print_progress)
        with locked(Layout(settings.state_dir).provision_lock, wait=600, what="provisioning"):
            provision(settings)
        wait_for_dags(settings, timeout=options.timeout)
    except KeyboardInterrupt:
        print_progress(
            "interrupted: what was started goes on; `./hims down` stops it, `./hims up` goes on"
        )
        raise
    seconds = time.monotonic() - begun
    print_progress(f"Everything runs ({seconds:.0f} s): {settings.ui_url}")
    print_progress("Sign-ins: ./hims people · state: ./hims status · end: ./hims down")
    if options.json:
        from include.stack.commands.status import document

        print_json(document(inspect(settings)))
    return 0
