"""`./hims status`: what runs here, and where."""

from __future__ import annotations

import argparse
from typing import Any

from include.output import print_json, print_line
from include.settings import load_settings
from include.stack.inspection import ComponentState, StackState, inspect


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(options: argparse.Namespace) -> int:
    """Return 0 when everything is healthy, 1 when not."""
    state = inspect(load_settings())
    if options.json:
        print_json(document(state))
    else:
        for one in state.components:
            print_line(_line(one))
        print_line()
        print_line(f"healthy: {state.ui}" if state.healthy else "not healthy")
    return 0 if state.healthy else 1


def document(state: StackState) -> dict[str, Any]:
    """Return the stack's state as the JSON document that scripts read."""
    return {
        "healthy": state.healthy,
        "ui": state.ui,
        "components": [
            {
                "name": one.name,
                "state": one.state,
                "pid": one.pid,
                "port": one.port,
                "message": one.message,
            }
            for one in state.components
        ],
    }


def _line(one: ComponentState) -> str:
    where = f"127.0.0.1:{one.port}" if one.port else ""
    pid = f"pid {one.pid}" if one.pid else ""
    return f"{one.name:<34} {one.state:<9} {pid:<12} {where:<16} {one.message}".rstrip()
