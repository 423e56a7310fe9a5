"""Where changes wait: time in each state, and how long each seat takes to vote."""

from __future__ import annotations

from collections import defaultdict

from include.notices.wording import count
from include.reports.facts import Facts
from include.reports.metrics.metric import Line, Metric, Unit, lengths, mean, quantile, shown

WORKING = ("implementing", "validating", "rolling_back")
_ENDS = ("closed", "cancelled", "rejected")


def seconds_in_states(facts: Facts) -> dict[str, list[float]]:
    """Return, for each state, how long each change that ended in the period was in it, in all."""
    found: dict[str, list[float]] = defaultdict(list)
    for change in facts.ended:
        total: dict[str, float] = defaultdict(float)
        for stay in change.stays:
            if stay.end is not None and stay.state not in _ENDS:
                total[stay.state] += (stay.end - stay.start).total_seconds()
        for state, seconds in total.items():
            found[state].append(seconds)
    return dict(found)


def bottleneck_states(facts: Facts) -> Metric:
    """Return the state in which changes wait longest (those in which people work left out)."""
    by_state = seconds_in_states(facts)
    means = {state: mean(values) or 0.0 for state, values in sorted(by_state.items())}
    waits = {state: value for state, value in means.items() if state not in WORKING}
    worst = max(waits, key=lambda state: waits[state], default=None)
    return Metric(
        name="longest_wait_state",
        family="bottlenecks",
        title="Longest wait, by state",
        formula=(
            "mean over changes that ended in the period of the time spent in each state, all stays "
            "added up; the state that is not work with the longest mean"
        ),
        unit=Unit.DURATION,
        value=None if worst is None else waits[worst],
        numerator=None if worst is None else sum(by_state[worst]),
        denominator=None if worst is None else len(by_state[worst]),
        said=(
            "no data: no change ended in the period"
            if worst is None
            else f"{worst}: mean {shown(waits[worst], Unit.DURATION)}, p90 "
            f"{shown(quantile(by_state[worst], 0.9), Unit.DURATION)} over "
            f"{count(len(by_state[worst]), 'change')}"
        ),
        parts=means,
        rows=[
            Line(
                id=state,
                counted=state == worst,
                why=f"{count(len(values), 'change')}, median "
                f"{shown(quantile(values, 0.5), Unit.DURATION)}, p90 "
                f"{shown(quantile(values, 0.9), Unit.DURATION)}",
                value=means[state],
            )
            for state, values in sorted(by_state.items())
        ],
    )


def bottleneck_roles(facts: Facts) -> Metric:
    """Return the seat of the board that takes longest to vote."""
    by_seat: dict[str, list[float]] = defaultdict(list)
    for vote in facts.votes:
        by_seat[vote.seat].append(vote.waited.total_seconds())
    means = {seat: mean(values) or 0.0 for seat, values in sorted(by_seat.items())}
    worst = max(means, key=lambda seat: means[seat], default=None)
    return Metric(
        name="longest_wait_role",
        family="bottlenecks",
        title="Longest wait, by role",
        formula="mean over votes cast in the period of (cast − came before the board), by seat",
        unit=Unit.DURATION,
        value=None if worst is None else means[worst],
        numerator=None if worst is None else sum(by_seat[worst]),
        denominator=None if worst is None else len(by_seat[worst]),
        said=(
            "no data: no vote was cast in the period"
            if worst is None
            else f"{worst.replace('_', ' ')}: mean {shown(means[worst], Unit.DURATION)} over "
            f"{count(len(by_seat[worst]), 'vote')}"
        ),
        parts=means,
        rows=[
            Line(
                id=seat,
                counted=seat == worst,
                why=f"{count(len(values), 'vote')}, median "
                f"{shown(lengths(values)['median'], Unit.DURATION)}, p90 "
                f"{shown(lengths(values)['p90'], Unit.DURATION)}",
                value=means[seat],
            )
            for seat, values in sorted(by_seat.items())
        ],
    )
