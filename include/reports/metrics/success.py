"""Change success rate, rollback rate: how changes that touched production came out."""

from __future__ import annotations

from datetime import datetime, timedelta

from include.instants import format_duration, format_instant
from include.notices.wording import count
from include.reports.facts import ChangeFact, Facts
from include.reports.metrics.metric import Line, Metric, Unit, share

_CONCERNING = ("P1", "P2", "P3")


def shortcomings(change: ChangeFact, observed: timedelta) -> list[str]:
    """Return why an implemented change is not counted as successful; nothing if it is.

    It is charged with what it caused until `observed` after its end.
    """
    found = []
    if change.retroactive:
        found.append("was never authorised beforehand")
    if change.rolled_back:
        found.append("was rolled back")
    elif change.outcome == "rolled_back":
        found.append("its review says rolled back")
    if change.outcome == "failed":
        found.append("its review says failed")
    if change.outcome == "successful_with_issues":
        found.append("succeeded with issues")
    if change.ended == "closed" and change.outcome is None and not change.rolled_back:
        found.append("was closed without a word on how it went")
    if change.slot is not None and change.started_at is not None:
        if change.started_at < change.slot.start:
            found.append("began before its slot")
        if change.finished_at is not None and change.finished_at > change.slot.end:
            found.append("overran its slot")
    if change.ended == "cancelled" and not change.rolled_back:
        found.append("was given up after it had begun")
    found.extend(
        f"caused {incident.id} ({incident.severity})"
        for incident in change.incidents
        if incident.severity in _CONCERNING
        and change.started_at is not None
        and change.finished_at is not None
        and change.started_at <= incident.opened_at < change.finished_at + observed
    )
    return found


def success_rate(facts: Facts) -> Metric:
    """Return the share of implemented changes that went as they were meant to."""
    changes = facts.implemented
    judged = [(change, shortcomings(change, facts.observed)) for change in changes]
    good = [change for change, reasons in judged if not reasons]
    issues = [change for change in changes if change.outcome == "successful_with_issues"]
    until = {
        change.id: facts.observed_until(change.finished_at, facts.observed)
        for change in good
        if change.finished_at is not None
    }
    young = [end for end in until.values() if end is not None]
    said = _said(facts, f"{len(good)} of {count(len(changes), 'implemented change')} succeeded")
    if changes and young:
        said += f"; {len(young)} of these not yet observed for {format_duration(facts.observed)}"
    return Metric(
        name="change_success_rate",
        family="process",
        title="Change success rate",
        formula=(
            "successful / I. I: changes that ended in the period and had touched production (or "
            "were found retroactively). Successful: inside the slot, not rolled back, closed as "
            "successful, no P1–P3 caused from the beginning of the work until "
            f"{format_duration(facts.observed)} after its end. Cancelled and rejected changes are "
            "neither."
        ),
        unit=Unit.SHARE,
        value=share(len(good), len(changes)),
        numerator=len(good),
        denominator=len(changes),
        said=said,
        parts={
            "with_issues_count": len(issues),
            "still_observed_count": len(young),
            "rejected_count": sum(change.ended == "rejected" for change in facts.ended),
            "cancelled_count": sum(
                change.ended == "cancelled" and not change.counts for change in facts.ended
            ),
        },
        rows=[
            Line(
                id=change.id,
                counted=not reasons,
                why="; ".join(reasons) or _so_far(until.get(change.id)),
            )
            for change, reasons in judged
        ],
    )


def rollback_rate(facts: Facts) -> Metric:
    """Return the share of implemented changes that were led back, wholly or in part."""
    changes = facts.implemented
    back = [change for change in changes if _back(change)]
    canaries = sum(change.canary for change in back)
    partly = sum(_partly(change) for change in back)
    said = _said(
        facts, f"{len(back)} of {count(len(changes), 'implemented change')} were rolled back"
    )
    if canaries:
        said += f"; {canaries} of these before all traffic was on it"
    if partly:
        said += f"; {partly} of these in part"
    return Metric(
        name="rollback_rate",
        family="process",
        title="Rollback rate",
        formula=(
            "rolled back / I (see change success rate); what was led back in part, or as a canary "
            "before all traffic was on it, counts and is flagged"
        ),
        unit=Unit.SHARE,
        value=share(len(back), len(changes)),
        numerator=len(back),
        denominator=len(changes),
        said=said,
        parts={"canary_count": canaries, "partial_count": partly},
        rows=[
            Line(id=change.id, counted=_back(change), why=_way_back(change)) for change in changes
        ],
    )


def _so_far(until: datetime | None) -> str:
    return f"as planned, observed until {format_instant(until)}" if until else "as planned"


def _back(change: ChangeFact) -> bool:
    return change.rolled_back or change.outcome == "rolled_back"


def _partly(change: ChangeFact) -> bool:
    """Whether not all of what was rolled back could be: its outcome is written down as failed."""
    return change.rolled_back and change.outcome == "failed"


def _way_back(change: ChangeFact) -> str:
    if not _back(change):
        return "stayed"
    if change.canary:
        return "led back as a canary, before all traffic was on it"
    return "rolled back in part, and failed" if _partly(change) else "rolled back"


def _said(facts: Facts, words: str) -> str:
    if facts.implemented:
        return words.replace("1 of 1 implemented change were", "the only implemented change was")
    under_way = len(facts.under_way)
    if not facts.ended and not under_way:
        return "no data: no change moved in the period"
    return (
        "no data: no change that touched production ended in the period "
        f"({len(facts.ended)} rejected or cancelled, {under_way} under way)"
    )
