"""`./hims change …`: changes on the command line, for people, pre-commit and CI."""

from __future__ import annotations

import argparse
import importlib

_ACTIONS = {
    "validate": ("validate_command", "check change request files; needs nothing that runs"),
    "submit": ("submit_commands", "hand in a change"),
    "edit": ("submit_commands", "write a new revision"),
    "cancel": ("act_commands", "give a change up"),
    "hold": ("act_commands", "put a change on hold, or --resume it"),
    "again": ("act_commands", "let a change go on that has stopped, or find it another slot"),
    "lead-back": ("act_commands", "have what was done of a change led back"),
    "attest": ("act_commands", "give your word on an item of a checklist"),
    "review": ("act_commands", "hold a change's review and close it"),
    "show": ("show_commands", "one change with its votes, risk and checklist"),
    "list": ("show_commands", "changes, newest first"),
    "why": ("show_commands", "what stands between a change and its next state"),
    "agenda": ("show_commands", "what the weekly CAB has before it"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions; the module of one is loaded when it is called."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, (module, summary) in _ACTIONS.items():
        action = actions.add_parser(name, help=summary, description=summary)
        importlib.import_module(f"include.changes.{module}").add_action(name, action)
        action.add_argument("--json", action="store_true", help="print one JSON document")


def run(options: argparse.Namespace) -> int:
    """Run one action and return its exit status."""
    module = importlib.import_module(f"include.changes.{_ACTIONS[options.action][0]}")
    return int(module.run(options))
