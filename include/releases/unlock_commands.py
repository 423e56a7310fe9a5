"""`./hims unlock SERVICE --user USER --reason TEXT`: after a rollback, a second person's word.

The person signs in with their Airflow password, from HIMS_PASSWORD or at a prompt: who has a shell
here is not thereby who they say.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from include.ledger import Source
from include.ledger.connection import open_ledger
from include.output import print_json, print_line
from include.people import load_people
from include.people.sign_in import sign_in
from include.privacy import screen
from include.releases.lock import unlock
from include.settings import load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("service")
    parser.add_argument("--user", required=True, help="who unlocks; their password is asked for")
    parser.add_argument("--reason", required=True, help="why the service may be released again")
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> int:
    """Return 0 when the service is unlocked, 1 when that was refused."""
    settings = load_settings()
    settings.service(options.service)
    person, actor = sign_in(settings, load_people(settings), options.user)
    reason = screen(settings, "comment", options.reason, where="--reason")
    with open_ledger(settings).write(actor, Source(kind="cli"), datetime.now(UTC)) as unit:
        outcome = unlock(unit, options.service, person, reason)
    if options.json:
        print_json({"ok": outcome.ok, "reason": outcome.reason, "message": outcome.message})
    else:
        print_line(outcome.message)
    return 0 if outcome.ok else 1
