"""`./hims audit …`: what an auditor asks the ledger."""

from __future__ import annotations

import argparse
import importlib

# Imported all at once: an action's module declares its own options. Each is light to load.
ACTIONS: dict[str, tuple[str, str]] = {
    "list": ("include.ledger.listing", "the records, oldest first"),
    "hold": ("include.ledger.hold_commands", "legal holds: what is kept beyond its time"),
    "sweep": ("include.access.sweep_commands", "add what only Airflow's event log knows of"),
    "prune": ("include.ledger.prune_commands", "let go what was kept for its six years"),
    "verify": ("include.audit.verify_commands", "is everything as it was written?"),
    "pack": ("include.audit.pack_commands", "everything about a change, release or time"),
    "seal": ("include.audit.seal_commands", "sign the records so far and anchor that"),
    "keys": ("include.audit.key_commands", "the public keys of the seal; a new one"),
    "acknowledge": ("include.audit.acknowledge_commands", "end the alarm of a failed verification"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare every action of `audit`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, (module_name, summary) in ACTIONS.items():
        action = actions.add_parser(name, help=summary, description=summary)
        importlib.import_module(module_name).add_arguments(action)


def run(options: argparse.Namespace) -> int:
    """Run one action and return its exit status."""
    module = importlib.import_module(ACTIONS[options.action][0])
    return int(module.run(options))
