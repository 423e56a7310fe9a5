"""Defect leakage, and what gates measured: coverage, code quality, open vulnerabilities."""

from __future__ import annotations

from datetime import datetime

from include.notices.wording import count
from include.reports.facts import LEAKED_WITHIN, Facts, MeasureFact
from include.reports.metrics.metric import Line, Metric, Unit, mean, share, shown

# The evidence's `measure`, what it is called, and how it reads.
COVERAGE, CODE_QUALITY, VULNERABILITIES = "coverage", "code_quality", "open_vulnerabilities"
DEFECTS = "defects_found"


def defect_leakage(facts: Facts) -> Metric:
    """Return the share of known defects that were found only after the release."""
    after = {
        incident.id: incident
        for deployment in facts.deployments
        for incident in deployment.incidents
        if deployment.at <= incident.opened_at < deployment.at + LEAKED_WITHIN
    }
    found = _found_before(facts)
    before = sum(item.value for item in found)
    value = share(len(after), len(after) + before) if found else None
    if not facts.deployments:
        said = "no data: nothing was deployed in the period"
    elif value is not None:
        said = f"{count(len(after), 'defect')} found after release, {before:.0f} before"
    elif found:
        said = "no data: no defect was found before or after release"
    else:
        said = (
            f"{count(len(after), 'defect')} found after release; no rate, for no gate recorded how "
            "many were found before"
        )
    young = sum(
        facts.observed_until(deployment.at, LEAKED_WITHIN) is not None
        for deployment in facts.deployments
    )
    if young:
        said += f"; {count(young, 'deployment')} not yet observed for 30 days"
    return Metric(
        name="defect_leakage",
        family="quality",
        title="Defect leakage",
        formula=(
            "found after / (found before + found after). After: incidents caused by what was "
            "deployed in the period, within 30 days. Before: defects that its gates found until it "
            "was deployed, before the period too."
        ),
        unit=Unit.SHARE,
        value=value,
        numerator=len(after),
        denominator=(len(after) + before) if found else None,
        said=said,
        parts={
            "still_observed_count": young,
            "after_count": len(after),
            "before_count": before if found else None,
        },
        rows=[
            *(Line(id=key, counted=True, why=item.severity) for key, item in sorted(after.items())),
            *(
                Line(id=item.release, counted=False, why=f"{item.gate} found", value=item.value)
                for item in found
            ),
        ],
    )


def measured(
    facts: Facts, name: str, title: str, unit: Unit, *, worst: str, total: bool = False
) -> Metric:
    """Return what gates measured last for each service: their mean, or with `total` their sum."""
    of_name = [item for item in facts.measures if item.name == name]
    last = {item.service: item for item in of_name}
    values = [last[service].value for service in sorted(last)]
    value = (sum(values) if total else mean(values)) if values else None
    if values:
        said = "; ".join(
            f"{service} {shown(item.value, unit)} ({item.release})"
            for service, item in sorted(last.items())
        )
    else:
        said = f"no data: no gate recorded {title.lower()} in the period"
    return Metric(
        name=name,
        family="quality",
        title=title,
        formula=(
            f"{'sum' if total else 'mean'} over services of the newest value that a gate recorded "
            "as evidence in the period"
        ),
        unit=unit,
        value=value,
        numerator=sum(values) if values else None,
        denominator=len(values),
        said=said,
        parts={
            worst: (min if worst == "lowest" else max)(item.value for item in of_name)
            if of_name
            else None
        },
        rows=[
            Line(
                id=item.release,
                counted=last[item.service] is item,
                why=f"{item.gate} {item.uri}".strip(),
                value=item.value,
            )
            for item in of_name
        ],
    )


def quality(facts: Facts) -> list[Metric]:
    """Return the plan's four quality metrics."""
    return [
        defect_leakage(facts),
        measured(facts, COVERAGE, "Test coverage", Unit.PERCENT, worst="lowest"),
        measured(facts, CODE_QUALITY, "Code quality", Unit.SCORE, worst="lowest"),
        measured(
            facts,
            VULNERABILITIES,
            "Open vulnerabilities",
            Unit.COUNT,
            worst="highest",
            total=True,
        ),
    ]


def _found_before(facts: Facts) -> list[MeasureFact]:
    """Return how many defects each gate of what was deployed had found by then, its last word."""
    switched: dict[str | None, datetime] = {}
    for deployment in facts.deployments:
        switched[deployment.release] = max(
            deployment.at, switched.get(deployment.release, deployment.at)
        )
    last = {
        (item.release, item.gate): item
        for item in facts.defects
        if item.release in switched and item.at <= switched[item.release]
    }
    return list(last.values())
