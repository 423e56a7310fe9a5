"""All metrics of a period, in the order in which people read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from include.reports.facts import Facts
from include.reports.metrics.bottleneck import bottleneck_roles, bottleneck_states
from include.reports.metrics.calendar_use import freeze_days, window_use
from include.reports.metrics.dora import dora
from include.reports.metrics.duration import time_to_complete
from include.reports.metrics.emergency import emergency_rate, unauthorised
from include.reports.metrics.metric import Metric
from include.reports.metrics.quality import quality
from include.reports.metrics.success import rollback_rate, success_rate

FAMILIES = {
    "process": "Process",
    "quality": "Quality",
    "dora": "Delivery (DORA)",
    "bottlenecks": "Bottlenecks",
    "calendar": "Calendar",
}
CAUTIONS = (
    "No figure here is a goal: a measure that becomes a target stops being a good measure.",
    "Figures of different services or teams are not compared; each has its own context.",
    "Meeting a rule is no reason to stop improving what it is there for.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorecard:
    """The metrics of one period."""

    facts: Facts
    metrics: Sequence[Metric]

    def __getitem__(self, name: str) -> Metric:
        """Return the metric of that name; KeyError if there is none."""
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise KeyError(name)


def score(facts: Facts) -> Scorecard:
    """Return every metric of a period."""
    return Scorecard(
        facts=facts,
        metrics=(
            success_rate(facts),
            time_to_complete(facts),
            rollback_rate(facts),
            emergency_rate(facts),
            unauthorised(facts),
            *quality(facts),
            *dora(facts),
            bottleneck_states(facts),
            bottleneck_roles(facts),
            freeze_days(facts),
            window_use(facts),
        ),
    )
