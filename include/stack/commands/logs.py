"""`./hims logs`: the components' output."""

from __future__ import annotations

import argparse
import sys

from include.output import print_json, print_line
from include.settings import load_settings
from include.stack.layout import Layout
from include.stack.logs import find_log, follow, log_names, tail


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="a component; none lists them")
    parser.add_argument("-f", "--follow", action="store_true", help="go on printing what comes")
    parser.add_argument("-n", "--lines", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(options: argparse.Namespace) -> int:
    """Print the list of logs, or the end of one."""
    layout = Layout(load_settings().state_dir)
    if options.name is None:
        sizes = log_names(layout)
        if options.json:
            print_json([{"name": name, "bytes": size} for name, size in sizes.items()])
        else:
            for name, size in sizes.items():
                print_line(f"{name:<34} {size:>12,} bytes")
        return 0
    path = find_log(layout, options.name)
    lines = tail(path, options.lines)
    if options.json:
        print_json({"name": options.name, "lines": lines})
        return 0
    for line in lines:
        print_line(line)
    if options.follow:
        for chunk in follow(path):
            sys.stdout.write(chunk)
            sys.stdout.flush()
    return 0
