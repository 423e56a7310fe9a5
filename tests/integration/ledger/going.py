"""Two people who let go what has had its time."""

from __future__ import annotations

from datetime import datetime

from include.ledger import Actor, Ledger, Source
from include.ledger.pruning import ask, confirm
from include.ledger.retention import Plan, plan_pruning

CORA = Actor(user="cora", name="Cora Ellis", auth="test")
SAM = Actor(user="sam", name="Sam Okafor", auth="test")
CLI = Source(kind="cli")


def let_go(ledger: Ledger, now: datetime) -> Plan:
    """Prune what may go; the plan is what went."""
    with ledger.read() as connection:
        plan = plan_pruning(connection, now)
    if not plan:
        return plan
    asked = ask(ledger, CORA, CLI, now, "six years are over", allowed=True)
    assert asked.ok, asked.message
    assert asked.plan is not None
    done = confirm(ledger, asked.plan.digest, SAM, CLI, now, allowed=True)
    assert done.ok, done.message
    assert done.plan is not None
    return done.plan
