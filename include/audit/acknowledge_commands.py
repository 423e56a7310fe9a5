"""`./hims audit acknowledge --user USER --reason TEXT`: a person ends the alarm of a verification.

Releases go on then. What was found stays wrong, and every verification goes on saying so.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from include.audit.policy import load_audit_policy
from include.audit.watchman import acknowledge
from include.ledger import Source
from include.ledger.connection import open_ledger
from include.output import print_json, print_line
from include.people import load_people
from include.people.sign_in import sign_in
from include.privacy import screen
from include.settings import load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--user", required=True, help="who says so; their password is asked for")
    parser.add_argument("--reason", required=True, help="what was found, and what was done")
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> int:
    """Return 0 when the alarm is over, 1 when that was refused."""
    settings = load_settings()
    roles = load_audit_policy(settings).rules.acknowledged_by
    person, actor = sign_in(settings, load_people(settings), options.user)
    reason = screen(settings, "comment", options.reason, where="--reason")
    with open_ledger(settings).write(actor, Source(kind="cli"), datetime.now(UTC)) as unit:
        outcome = acknowledge(unit, person, reason, roles=roles)
    if options.json:
        print_json({"ok": outcome.ok, "reason": outcome.reason, "message": outcome.message})
    else:
        print_line(outcome.message)
    return 0 if outcome.ok else 1
