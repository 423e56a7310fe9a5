"""The five DORA metrics by their current definitions, each per deployment to production.

A deployment is one switch of production traffic. It failed if it needed immediate intervention: it
was rolled back, or it caused a P1 or P2 while it was observed (`reports.observed_for`). Several
incidents on one deployment are one failure: the rates count deployments, never rows of a join.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from include.instants import format_duration, format_instant
from include.notices.wording import count
from include.reports.facts import ChangeFact, DeploymentFact, Facts, IncidentFact
from include.reports.metrics.metric import Line, Metric, Unit, lengths, quantile, share, shown

_URGENT = ("P1", "P2")
_NOTHING = "no data: nothing was deployed to production in the period"


def urgent(deployment: DeploymentFact, observed: timedelta) -> list[IncidentFact]:
    """Return the incidents that made a deployment need immediate intervention."""
    return [
        incident
        for incident in deployment.incidents
        if incident.severity in _URGENT
        and deployment.at <= incident.opened_at < deployment.at + observed
    ]


def failed(deployment: DeploymentFact, observed: timedelta) -> bool:
    """Return whether it needed immediate intervention."""
    return deployment.returned_at is not None or bool(urgent(deployment, observed))


def recovered_at(deployment: DeploymentFact, observed: timedelta) -> datetime | None:
    """Return when service was restored after a failed deployment, None if it is not yet."""
    if deployment.returned_at is not None:
        return deployment.returned_at
    ends = [incident.closed_at for incident in urgent(deployment, observed)]
    known = [end for end in ends if end is not None]
    return max(known) if known and len(known) == len(ends) else None


def dora(facts: Facts) -> list[Metric]:
    """Return the five, in DORA's order."""
    return [
        _lead_time(facts),
        _frequency(facts),
        _recovery(facts),
        _fail_rate(facts),
        _rework(facts),
    ]


def _lead_time(facts: Facts) -> Metric:
    timed = [(deployment, deployment.leads) for deployment in facts.deployments]
    ahead = sum(len(item.commits) - len(found) for item, found in timed)
    values = [value for _, found in timed for value in found]
    value = quantile(values, 0.5)
    if values:
        said = (
            f"median {shown(value, Unit.DURATION)}, p90 "
            f"{shown(quantile(values, 0.9), Unit.DURATION)} over {count(len(values), 'commit')} in "
            f"{count(sum(bool(found) for _, found in timed), 'deployment')}"
        )
        if ahead:
            said += f"; {count(ahead, 'commit')} left out, dated after the deployment"
    elif facts.deployments:
        said = "no data: no deployment says when its commits were made"
    else:
        said = _NOTHING
    return Metric(
        name="change_lead_time",
        family="dora",
        title="Change lead time",
        formula="median over commits of (deployed to production − committed)",
        unit=Unit.DURATION,
        value=value,
        numerator=None,
        denominator=len(values),
        said=said,
        parts={**lengths(values), "left_out_count": ahead},
        rows=[
            Line(
                id=deployment.release or str(deployment.id),
                counted=bool(found),
                why=count(len(found), "commit"),
                value=quantile(found, 0.5),
            )
            for deployment, found in timed
        ],
    )


def _frequency(facts: Facts) -> Metric:
    number = len(facts.deployments)
    weeks = (facts.end - facts.start) / timedelta(weeks=1)
    days = {deployment.at.date() for deployment in facts.deployments}
    return Metric(
        name="deployment_frequency",
        family="dora",
        title="Deployment frequency",
        formula="deployments to production / weeks of the period",
        unit=Unit.PER_WEEK,
        value=share(number, weeks),
        numerator=number,
        denominator=weeks,
        said=(
            f"{count(number, 'deployment')} on {count(len(days), 'day')} (UTC)"
            if number
            else "nothing was deployed to production in the period"
        ),
        parts={"deployments_count": number},
        rows=[
            Line(id=item.release or str(item.id), counted=True, why=item.version)
            for item in facts.deployments
        ],
    )


def _recovery(facts: Facts) -> Metric:
    bad = [item for item in facts.deployments if failed(item, facts.observed)]
    timed = [(item, recovered_at(item, facts.observed)) for item in bad]
    values = [(end - item.at).total_seconds() for item, end in timed if end is not None]
    value = quantile(values, 0.5)
    open_ = len(bad) - len(values)
    if values:
        said = (
            f"median {shown(value, Unit.DURATION)} over {count(len(values), 'failed deployment')}"
        )
        if open_:
            said += f"; {open_} not recovered yet"
    elif bad:
        said = f"no data: {count(len(bad), 'failed deployment')}, none recovered yet"
    elif facts.deployments:
        said = "no data: no deployment failed"
    else:
        said = _NOTHING
    return Metric(
        name="failed_deployment_recovery_time",
        family="dora",
        title="Failed deployment recovery time",
        formula=(
            "median over failed deployments of (service restored − deployed); restored is when "
            "traffic was back, else when the last urgent incident it caused was closed"
        ),
        unit=Unit.DURATION,
        value=value,
        numerator=None,
        denominator=len(values),
        said=said,
        parts={**lengths(values), "open_count": open_},
        rows=[
            Line(
                id=item.release or str(item.id),
                counted=end is not None,
                why=_how(item, facts.observed),
                value=None if end is None else (end - item.at).total_seconds(),
            )
            for item, end in timed
        ],
    )


def _fail_rate(facts: Facts) -> Metric:
    judged = [(item, failed(item, facts.observed)) for item in facts.deployments]
    bad = sum(failing for _, failing in judged)
    young = sum(
        facts.observed_until(item.at, facts.observed) is not None
        for item, failing in judged
        if not failing
    )
    said = f"{bad} of {count(len(judged), 'deployment')}" if judged else _NOTHING
    if young:
        said += f"; {young} not yet observed for {format_duration(facts.observed)}"
    return Metric(
        name="change_fail_rate",
        family="dora",
        title="Change fail rate",
        formula=(
            "deployments that needed immediate intervention (rolled back, or a P1 or P2 caused "
            f"within {format_duration(facts.observed)}) / deployments"
        ),
        unit=Unit.SHARE,
        value=share(bad, len(facts.deployments)),
        numerator=bad,
        denominator=len(judged),
        said=said,
        parts={"still_observed_count": young},
        rows=[
            Line(
                id=item.release or str(item.id),
                counted=failing,
                why=_how(item, facts.observed) if failing else _so_far(item, facts),
            )
            for item, failing in judged
        ],
    )


def _rework(facts: Facts) -> Metric:
    changes = {change.id: change for change in facts.changes}
    again = [item for item in facts.deployments if _unplanned(item, changes)]
    return Metric(
        name="deployment_rework_rate",
        family="dora",
        title="Deployment rework rate",
        formula=(
            "unplanned deployments made because of an incident in production (hotfix releases and "
            "emergency changes) / deployments"
        ),
        unit=Unit.SHARE,
        value=share(len(again), len(facts.deployments)),
        numerator=len(again),
        denominator=len(facts.deployments),
        said=(
            f"{len(again)} of {count(len(facts.deployments), 'deployment')}"
            if facts.deployments
            else _NOTHING
        ),
        rows=[
            Line(
                id=item.release or str(item.id),
                counted=_unplanned(item, changes),
                why=item.type or "no release type",
            )
            for item in facts.deployments
        ],
    )


def _unplanned(item: DeploymentFact, changes: dict[str, ChangeFact]) -> bool:
    change = changes.get(item.change or "")
    return item.type == "hotfix" or (change is not None and change.type == "emergency")


def _so_far(item: DeploymentFact, facts: Facts) -> str:
    until = facts.observed_until(item.at, facts.observed)
    return f"stayed, observed until {format_instant(until)}" if until else "stayed"


def _how(item: DeploymentFact, observed: timedelta) -> str:
    reasons = ["rolled back"] if item.returned_at is not None else []
    reasons += [f"{incident.id} ({incident.severity})" for incident in urgent(item, observed)]
    return ", ".join(reasons) or "stayed"
