"""Emergency change rate with retroactive ones apart, and unauthorised changes."""

from __future__ import annotations

from include.notices.wording import count, one_line
from include.reports.facts import ChangeFact, Facts
from include.reports.metrics.metric import Line, Metric, Unit, share


def emergency_rate(facts: Facts) -> Metric:
    """Return the share of implemented changes that did not take the normal way."""
    changes = facts.implemented
    emergencies = sum(change.type == "emergency" for change in changes)
    retroactive = sum(change.retroactive for change in changes)
    hurried = emergencies + retroactive
    if changes:
        said = (
            f"{hurried} of {count(len(changes), 'implemented change')}: "
            f"{count(emergencies, 'emergency').replace('emergencys', 'emergencies')}, "
            f"{retroactive} found or declared afterwards"
        )
    else:
        said = "no data: no change that touched production ended in the period"
    return Metric(
        name="emergency_change_rate",
        family="process",
        title="Emergency change rate",
        formula="(emergency + retroactive) / I; retroactive ones are also given apart",
        unit=Unit.SHARE,
        value=share(hurried, len(changes)),
        numerator=hurried,
        denominator=len(changes),
        said=said,
        parts={
            "emergency": share(emergencies, len(changes)),
            "retroactive": share(retroactive, len(changes)),
            "emergency_count": emergencies,
            "retroactive_count": retroactive,
        },
        rows=[
            Line(
                id=change.id,
                counted=change.type in ("emergency", "retroactive"),
                why=change.type,
            )
            for change in changes
        ],
    )


def unauthorised(facts: Facts) -> Metric:
    """Return how many changes were found that nobody had asked for (target: none)."""
    opened = [
        change
        for change in facts.changes
        if change.opened_at is not None and facts.start <= change.opened_at < facts.end
    ]
    found = [change for change in opened if _found_by_machine(change)]
    refused = sum(facts.refused.values())
    said = "none was found" if not found else f"{count(len(found), 'change')} found in production"
    if refused:
        said += f"; {count(refused, 'attempt')} without leave refused"
    return Metric(
        name="unauthorised_changes",
        family="process",
        title="Unauthorised changes",
        formula=(
            "number of retroactive changes opened in the period by reconciliation, which compares "
            "what runs with what was allowed; the target is 0"
        ),
        unit=Unit.COUNT,
        value=len(found),
        numerator=len(found),
        denominator=None,
        said=said,
        parts={"refused_count": refused},
        rows=[
            Line(id=change.id, counted=True, why=one_line(change.title, 160)) for change in found
        ],
    )


def _found_by_machine(change: ChangeFact) -> bool:
    return change.retroactive and change.requester.startswith("service:")
