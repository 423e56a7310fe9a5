"""What proves a control of the plan (§13.2): a digest in the request, or the ledger's own word."""

from __future__ import annotations

from sqlalchemy import select

from include.changes import checklist
from include.changes.ballot import count, newest_ballot
from include.changes.case import Case
from include.changes.risk import CONTROLS, Risk, answers_of, assess
from include.ledger import schema

# Which words on which items of the checklists prove a control.
_ITEMS = {
    "automated_testing": ("unit_tests", "integration_tests"),
    "security_scanning": ("security_tests",),
    "performance_testing": ("performance_tests",),
    "rollback_planning": ("rollback_plan",),
    "monitoring": ("alerts",),
}


def evidence_of(case: Case) -> dict[str, str]:
    """Return, for each control that has evidence, what it is."""
    given = (case.content.get("risk") or {}).get("controls") or {}
    found = {
        name: f"{proof['uri']} (sha256:{proof['sha256'][:12]}…)"
        for name, proof in given.items()
        if name in CONTROLS and proof and proof.get("sha256")
    }
    table = schema.checklist
    said = {
        row.item: row.decided_by
        for row in case.connection.execute(
            select(table.c.item, table.c.decided_by).where(
                table.c.change_id == case.change.id,
                table.c.content_hash == case.change.content_hash,
                table.c.verdict == "go",
            )
        )
    }
    for control, items in _ITEMS.items():
        if all(item in said for item in items):
            words = ", ".join(f"{item.replace('_', ' ')} by {said[item]}" for item in items)
            found.setdefault(control, words)
    # Alerts that the configuration has need nobody's word.
    alerts = checklist.known(case, "alerts")
    if alerts is not None and alerts.verdict == "go":
        found.setdefault("monitoring", alerts.message)
    ballot = newest_ballot(case.connection, case.change)
    if ballot is not None:
        verdict = count(case.connection, case.change, ballot, case.now)
        if verdict.verdict == "go":
            found.setdefault("change_approval", verdict.message)
    return found


def risk_of(case: Case) -> Risk:
    """Return the change's risk with the evidence that there is now."""
    return assess(
        case.catalogue.risk,
        declared=(case.content.get("risk") or {}).get("level"),
        answers=answers_of(case.content),
        evidence=evidence_of(case),
    )
