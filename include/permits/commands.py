"""`./hims why RELEASE`: what stands between a release and production, and who can change it."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from sqlalchemy import select

from include.changes.condition import Condition, plain, refusals
from include.errors import RequestError
from include.ledger import Actor, Source, schema
from include.ledger.connection import open_ledger
from include.ledger.record import storable
from include.output import print_json, print_line
from include.permits.conditions import evaluate
from include.releases.train import open_train
from include.releases.window_clock import measure
from include.settings import load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("id", help="a release, like hims-api-2.3.0, or a change, like CHG-000001")
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> int:
    """Return 0 if a permit would be issued now, 1 if not, or if there is nothing by that id."""
    settings = load_settings()
    ledger = open_ledger(settings)
    now = datetime.now(UTC)
    table = schema.release
    wanted = storable(options.id)
    with ledger.read() as connection:
        row = connection.execute(
            select(table.c.id, table.c.run_id, table.c.state).where(
                (table.c.id == wanted) | (table.c.change_id == wanted)
            )
        ).first()
        known = (
            row is not None
            or connection.execute(
                select(schema.change.c.id).where(schema.change.c.id == wanted)
            ).first()
        )
    if not known:
        return _unknown(options, storable(options.id))
    if row is None:
        from include.changes.show_commands import run as why_change

        # A change that no train drives: its own machine says what stands in the way.
        options.action = "why"
        return why_change(options)
    train = open_train(
        ledger,
        settings,
        run_id=row.run_id,
        actor=Actor(user="cli", name="cli", auth="shell"),
        source=Source(kind="cli"),
        clock=lambda: now,
        secrets=_no_secrets,
    )
    with ledger.read() as connection:
        needs = measure(train, connection).needed
        conditions = evaluate(train, connection, needs=needs, now=now)
    allowed = not refusals(conditions)
    if options.json:
        print_json({"id": options.id, "allowed": allowed, "conditions": plain(conditions)})
        return 0 if allowed else 1
    if row.state != "running":
        print_line(f"{row.id} has ended ({row.state}); what a permit would say today:")
    else:
        print_line(f"{row.id}: {'a permit would be issued now' if allowed else 'no permit now'}")
    marks = {"go": "✓", "no_go": "✗", "inconclusive": "?"}
    for item in conditions:
        settled = item.verdict == "go" or row.state != "running"
        who = "" if settled else f"  → {item.who}"
        print_line(f"  {marks[item.verdict]} {item.code:<20} {item.message}{who}")
    return 0 if allowed else 1


def _unknown(options: argparse.Namespace, wanted: str) -> int:
    """Say that there is nothing to ask about: a well-formed no, as from `audit list`."""
    nothing = Condition(
        code="known",
        verdict="no_go",
        message=f"the ledger knows no release or change {wanted[:80]}; "
        "`./hims audit list` shows what it knows",
        who="release manager",
    )
    if options.json:
        answer = {"id": wanted, "allowed": False, "conditions": plain((nothing,))}
        print_json(answer)
    else:
        print_line(nothing.message)
    return 1


def _no_secrets(name: str) -> str:
    raise RequestError(f"this command reads the ledger alone, not {name}")
