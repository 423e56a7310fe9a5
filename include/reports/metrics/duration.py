"""Mean time to complete, with its median and p90, and the waits around it."""

from __future__ import annotations

from include.instants import format_duration
from include.notices.wording import count, rounded
from include.reports.facts import ChangeFact, Facts
from include.reports.metrics.metric import Line, Metric, Unit, lengths, mean, shown


def work_seconds(change: ChangeFact) -> float | None:
    """Return how long the implementation took, None where it has no beginning or no end."""
    if change.started_at is None or change.finished_at is None:
        return None
    return (change.finished_at - change.started_at).total_seconds()


def time_to_complete(facts: Facts) -> Metric:
    """Return the mean length of an implementation, beginning to end."""
    changes = facts.implemented
    timed = [(change, work_seconds(change)) for change in changes]
    values = [seconds for _, seconds in timed if seconds is not None]
    value = mean(values)
    spread = lengths(values)
    if values:
        said = (
            f"mean {shown(value, Unit.DURATION)}, median "
            f"{shown(spread['median'], Unit.DURATION)}, p90 {shown(spread['p90'], Unit.DURATION)} "
            f"over {count(len(values), 'implementation')}"
        )
        if missing := len(changes) - len(values):
            said += f"; {missing} without a beginning or an end on record (found retroactively)"
    else:
        said = "no data: no implementation that ended in the period has a beginning and an end"
    return Metric(
        name="mean_time_to_complete",
        family="process",
        title="Mean time to complete",
        formula=(
            "mean(end − beginning of the implementation) over I; from entering implementing until "
            "validation, or until it was back again"
        ),
        unit=Unit.DURATION,
        value=value,
        numerator=sum(values) if values else None,
        denominator=len(values),
        said=said,
        parts=spread,
        rows=[
            Line(
                id=change.id,
                counted=seconds is not None,
                why=(
                    "no beginning or end" if seconds is None else format_duration(rounded(seconds))
                ),
                value=seconds,
            )
            for change, seconds in timed
        ],
    )
