"""`./hims down`: stop everything that `up` started."""

from __future__ import annotations

import argparse
import time

from include.output import print_json, print_progress
from include.settings import load_settings
from include.stack.launch import stop


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")


def run(options: argparse.Namespace) -> int:
    """Return 0 once nothing of the stack runs any more."""
    begun = time.monotonic()
    stopped = stop(load_settings(), say=print_progress)
    seconds = time.monotonic() - begun
    if options.json:
        print_json({"stopped": stopped, "seconds": round(seconds, 1)})
    else:
        print_progress(f"Everything is stopped ({seconds:.0f} s)." if stopped else "Nothing runs.")
    return 0
