"""Every rule for one piece of work at one time, with its verdict and who may waive it."""

from __future__ import annotations

from dataclasses import dataclass

from include.calendar.calendar import ChangeCalendar
from include.calendar.conflict import (
    WAIVERS,
    Finding,
    Rule,
    Severity,
    find_conflicts,
)
from include.calendar.proposal import Proposal, Surroundings

_PASSED = {
    Rule.BLACKOUT: "no blackout or freeze holds",
    Rule.OUTSIDE_WINDOW: "one slot of every system holds the work",
    Rule.SYSTEM_BUSY: "no other change works on these systems or beside them",
    Rule.PEOPLE_BUSY: "nobody is at another change",
    Rule.RELEASE_FREEZE: "no frozen release takes these commits",
    Rule.OPEN_INCIDENT: "no P1 or P2 is open on these systems",
    Rule.CUTOFF: "the work and its way back fit before the cutoff",
    Rule.HOLIDAY: "no public holiday that matters here",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One rule: `pass`, `warn`, `block`, or `unknown` where nobody handed in what it asks about.

    `who` may waive it; None where there is nothing to waive.
    """

    code: str
    verdict: str
    message: str
    who: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """All rules for one proposal; `allowed` says what the calendar's own rules come to."""

    id: str
    allowed: bool
    conditions: tuple[Condition, ...]


def explain(
    calendar: ChangeCalendar, proposal: Proposal, surroundings: Surroundings | None = None
) -> Explanation:
    """Return each rule with its verdict, findings first where a rule has several.

    Without `surroundings` the rules about other changes, people, freezes and incidents are
    `unknown`: what nobody looked at is never a pass. They do not decide `allowed` then, as the
    calendar alone cannot know them; a permit does.
    """
    findings = find_conflicts(calendar, proposal, surroundings)
    conditions = [
        condition
        for rule in Rule
        for condition in _conditions(rule, findings, looked=surroundings is not None)
    ]
    conditions += _exceptions(calendar, proposal)
    allowed = not any(finding.severity is Severity.BLOCK for finding in findings)
    return Explanation(id=proposal.id, allowed=allowed, conditions=tuple(conditions))


def _conditions(rule: Rule, findings: tuple[Finding, ...], *, looked: bool) -> list[Condition]:
    found = [
        Condition(
            code=rule.value,
            verdict=finding.severity.value,
            message=finding.message,
            who=finding.waiver,
        )
        for finding in findings
        if finding.code is rule
    ]
    if found:
        return found
    ledger = {Rule.SYSTEM_BUSY, Rule.PEOPLE_BUSY, Rule.RELEASE_FREEZE, Rule.OPEN_INCIDENT}
    if rule in ledger and not looked:
        message = "not known here: it takes the ledger"
        return [Condition(code=rule.value, verdict="unknown", message=message, who=None)]
    if rule is Rule.CUTOFF and any(item.code is Rule.OUTSIDE_WINDOW for item in findings):
        message = "there is no open stretch to end"
        return [Condition(code=rule.value, verdict="block", message=message, who=WAIVERS[rule])]
    return [Condition(code=rule.value, verdict="pass", message=_PASSED[rule], who=None)]


def _exceptions(calendar: ChangeCalendar, proposal: Proposal) -> list[Condition]:
    """Name the exceptions that lift a blackout for this proposal: they are waivers in use."""
    systems = proposal.systems or ("*",)
    return [
        Condition(
            code="exception",
            verdict="pass",
            message=f"{blackout.name} is lifted by {item.owner} ({item.reason}); "
            f"instead: {item.control}",
            who=item.owner,
        )
        for blackout in calendar.blackouts
        if any(blackout.concerns(system, proposal.environment) for system in systems)
        and any(blackout.spans(*proposal.span))
        for item in blackout.exceptions
        if any(item.lifts(system, proposal.id) for system in systems)
        and item.end > proposal.span.start
        and (item.start is None or item.start < proposal.span.end)
    ]
