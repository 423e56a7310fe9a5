"""`./hims audit sweep`: what Airflow's event log knows and the ledger does not."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime

from include.errors import RequestError
from include.output import print_json, print_line
from include.settings import Settings, load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--user",
        help="who reads Airflow's event log (password in HIMS_PASSWORD); "
        "default: the service that reads it on this machine",
    )
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> int:
    """Return 0 when everything was on record, 1 when something had to be added."""
    from include.access.sweep import sweep
    from include.ledger import Actor, Source
    from include.ledger.connection import open_ledger
    from include.people import load_people
    from include.rehearsal.airflow_api import AirflowApi

    settings = load_settings()
    people = load_people(settings)
    user, password = _reader(settings, options.user)
    with AirflowApi(settings.ui_url, user, password) as api:
        swept = sweep(
            open_ledger(settings), api, people, Actor.service("audit_sweep"), Source(kind="cli"),
            datetime.now(UTC),
        )  # fmt: skip
    if options.json:
        print_json(
            {
                "seen": swept.seen,
                "cut": swept.cut,
                "added": [
                    {
                        "event_log_id": item.id, "event": item.event, "owner": item.owner,
                        "when": item.when, "dag_id": item.dag_id, "run_id": item.run_id,
                        "task_id": item.task_id,
                    }
                    for item in swept.added
                ],
            }
        )  # fmt: skip
    else:
        for item in swept.added:
            what = "/".join(part for part in (item.dag_id, item.run_id, item.task_id) if part)
            print_line(f"? {item.event} {what} by {item.owner} was on no record")
        print_line(f"{swept.seen} lines looked at, {len(swept.added)} acts added")
    return 1 if swept.added or swept.cut else 0


def _reader(settings: Settings, user: str | None) -> tuple[str, str]:
    from include.people import load_people
    from include.people.commands import generated_passwords

    given = os.environ.get("HIMS_PASSWORD")
    if user is not None and given:
        return user, given
    passwords = generated_passwords(settings.state_dir)
    readers = [
        person.user for person in load_people(settings).people if person.may("read_everything")
    ]
    # The last of them first: services stand at the end of the list.
    for name in [user] if user is not None else reversed(readers):
        if name in passwords:
            return name, passwords[name]
    raise RequestError(
        "nobody who may read Airflow's event log has a password here; name somebody (--user) and "
        "set HIMS_PASSWORD"
    )
