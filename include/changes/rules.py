"""Which seats decide on a change: the rule of its type, and what the change itself adds to it."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from include.approvals import Rule
from include.changes.case import Case
from include.settings import Settings


def rule_for(case: Case) -> Rule:
    """Return the decision rule for a change (plan §3.2).

    Mandatory are the seats of its type, those that it asks for (`approvals_required`), and those
    that what it touches asks for: operations for downtime and infrastructure, QA for tests that are
    waived, security for what could weaken it.
    """
    board, content = case.catalogue.board, case.content
    rule = board.rule(case.change.type)
    if case.change.type in ("emergency", "retroactive"):
        return rule
    mandatory = [*rule.mandatory, *(content.get("approvals_required") or ())]
    risk, testing = content.get("risk") or {}, content.get("testing") or {}
    kind = (content.get("implementation") or {}).get("kind")
    infrastructure = set(case.change.systems) & case.catalogue.systems.infrastructure
    if risk.get("downtime_required") or kind == "terraform" or infrastructure:
        mandatory.append("operations_manager")
    if "waived" in testing.values():
        mandatory.append("qa_lead")
    if (risk.get("answers") or {}).get("security_vulnerabilities") in ("medium", "high"):
        mandatory.append("security_officer")
    seats = tuple(dict.fromkeys(seat for seat in mandatory if seat in board.seats))
    asked = tuple(seat for seat in board.seats if seat in {*rule.asked, *seats})
    return replace(rule, mandatory=seats, asked=asked)


def policy_hash(settings: Settings) -> str:
    """Return the SHA-256 of config/approvals.yaml as it is now."""
    content = settings.config_file("approvals.yaml").read_bytes()
    return "sha256:" + hashlib.sha256(content).hexdigest()
