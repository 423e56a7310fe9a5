"""`./hims audit prune`: let go what was kept for its six years and is on no hold.

Without options it shows what may go and changes nothing. `--ask` asks for exactly that; within
fourteen days somebody else confirms it with `--confirm PLAN`.
"""

from __future__ import annotations

import argparse
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from include.errors import RequestError
from include.instants import format_instant
from include.ledger.connection import open_ledger
from include.ledger.pruning import Answer, ask, confirm
from include.ledger.record import Source
from include.ledger.retention import Plan, plan_pruning
from include.output import print_json, print_line
from include.people import load_people
from include.people.sign_in import sign_in
from include.privacy import screen
from include.settings import load_settings

_CLI = Source(kind="cli")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    act = parser.add_mutually_exclusive_group()
    act.add_argument("--ask", action="store_true", help="ask that what is shown goes")
    act.add_argument("--confirm", metavar="PLAN", help="let go what somebody else asked for")
    parser.add_argument("--user", help="who asks or confirms; the password is asked for")
    parser.add_argument("--reason", help="with --ask: why now")
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> int:
    """Return 0 when something may go, or it was asked for, or went; 1 when not."""
    acting = options.ask or options.confirm is not None
    if acting and not options.user:
        raise RequestError("say who you are (--user): pruning takes two people by name")
    if not acting and (options.user or options.reason):
        raise RequestError("--user and --reason go with --ask or --confirm")
    if options.ask and not options.reason:
        raise RequestError("say why (--reason): it goes on record")
    if options.confirm is not None and options.reason:
        raise RequestError("--reason goes with --ask")
    now = datetime.now(UTC)
    if not acting:
        with open_ledger(load_settings()).read() as connection:
            plan = plan_pruning(connection, now)
        _print(plan, json=options.json)
        return 0 if plan else 1
    answer = _act(options, now)
    if options.json:
        document: dict[str, Any] = {
            "ok": answer.ok,
            "reason": answer.reason,
            "message": answer.message,
        }
        print_json(document | {"plan": None if answer.plan is None else answer.plan.digest})
    else:
        print_line(answer.message)
        if options.ask and answer.plan is not None:
            print_line(f"  ./hims audit prune --confirm {answer.plan.digest} --user …")
    return 0 if answer.ok else 1


def _act(options: argparse.Namespace, now: datetime) -> Answer:
    from include.audit.policy import load_audit_policy

    settings = load_settings()
    roles = load_audit_policy(settings).rules.pruned_by
    person, actor = sign_in(settings, load_people(settings), options.user)
    ledger, allowed = open_ledger(settings), bool(set(person.roles) & set(roles))
    if options.ask:
        reason = screen(settings, "comment", options.reason, where="--reason")
        return ask(ledger, actor, _CLI, now, reason, allowed=allowed)
    return confirm(ledger, options.confirm, actor, _CLI, now, allowed=allowed)


def _print(plan: Plan, *, json: bool) -> None:
    if json:
        print_json(
            {
                "plan": plan.digest,
                "at": format_instant(plan.at),
                "records": [
                    {"seq": item.seq, "event": item.event, "time": item.time,
                     "leaf_hash": item.leaf_hash}
                    for item in plan.records
                ],
                "texts": list(plan.texts),
                "held": plan.held,
            }
        )  # fmt: skip
        return
    print_line(f"{len(plan.records)} records and {len(plan.texts)} texts may go; nothing went")
    events = Counter(item.event for item in plan.records)
    for event, count in sorted(events.items()):
        print_line(f"  {count:>7}  {event}")
    if plan.records:
        print_line(f"  from {plan.records[0].time} to {plan.records[-1].time}")
    if plan.held:
        print_line(f"{plan.held} records are past their time and kept by a legal hold")
    if plan:
        print_line(f"plan {plan.digest}: ask for it with --ask --user … --reason …")
