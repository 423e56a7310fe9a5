"""Blocks that several reports share: tiles, figures and tables from the same material."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta

from include.calendar.wall_time import Span, local_span_text
from include.notices.wording import count, one_line
from include.reports.drawing.bars import bars
from include.reports.drawing.heat_map import heat_map
from include.reports.drawing.histogram import histogram
from include.reports.drawing.timeline import timeline
from include.reports.drawing.trend import trend
from include.reports.facts import ChangeFact, Facts
from include.reports.figure import Figure
from include.reports.making import Material
from include.reports.metrics.bottleneck import seconds_in_states
from include.reports.metrics.duration import time_to_complete
from include.reports.metrics.metric import Metric, Unit, mean, shown
from include.reports.metrics.success import shortcomings
from include.reports.report import Grid, Tile, Tiles

_MOST = 60
# Characters of a title that a table or a list shows.
TITLE = 160
_RELEASES = 24
_YEAR = timedelta(days=366)
# In the order in which a change passes through them.
_STATES = (
    "opened", "assessing", "authorizing", "scheduled", "implementing", "validating", "rolling_back",
    "review",
)  # fmt: skip


def tiles(material: Material, names: Sequence[str]) -> Tiles:
    """Return some metrics at a glance, beside the period before."""
    metrics = [material.card[name] for name in names]
    return Tiles(items=[Tile(metric=item, before=material.was(item)) for item in metrics])


def trend_of(
    material: Material, title: str, unit: Unit, series: dict[str, Callable[[Facts], float | None]]
) -> Figure:
    """Return how some figures went over the periods up to this one."""
    return trend(
        title,
        [item.name for item in material.trend],
        {name: [read(part) for part in material.parts] for name, read in series.items()},
        unit,
    )


def value_of(metric: Callable[[Facts], Metric]) -> Callable[[Facts], float | None]:
    """Return what reads a metric's value from facts."""
    return lambda facts: metric(facts).value


def median_of_work(facts: Facts) -> float | None:
    """Return the median length of an implementation."""
    return time_to_complete(facts).parts["median"]


def work_calendar(material: Material, title: str = "Change calendar") -> Figure:
    """Return on which days changes were implemented, over the trend's stretch, a year at most."""
    zone, after = material.period.zone, material.period.after
    first = next(item.first for item in material.trend if after - item.first <= _YEAR)
    days: Counter[date] = Counter(
        change.started_at.astimezone(zone).date()
        for change in material.history.changes
        if change.started_at is not None
        and first <= change.started_at.astimezone(zone).date() < after
    )
    return heat_map(title, first, after, days)


def time_in_states(material: Material) -> Figure:
    """Return the mean time in each state, the longest wait marked."""
    found = seconds_in_states(material.card.facts)
    worst = next((line.id for line in material.card["longest_wait_state"].rows if line.counted), "")
    rows = [
        (state.replace("_", " "), value, shown(value, Unit.DURATION))
        for state in _STATES
        if (value := mean(found.get(state, []))) is not None
    ]
    return bars("Time in each state, mean", rows, marked=worst.replace("_", " "))


def lead_times(material: Material) -> Figure:
    """Return how long commits took to production."""
    days = [
        seconds / 86_400
        for deployment in material.card.facts.deployments
        for seconds in deployment.leads
    ]
    return histogram("Lead time of commits", days, "days from commit to production")


def release_timeline(material: Material) -> Figure:
    """Return freezes and deployments of the period's releases."""
    facts = material.card.facts
    names = dict.fromkeys(
        [item.release for item in facts.freezes]
        + [item.release for item in facts.deployments if item.release]
    )
    rows = []
    for name in list(names)[-_RELEASES:]:
        spans = [
            (item.phase, item.span.start, item.span.end)
            for item in facts.freezes
            if item.release == name
        ]
        dots = [("deployed", item.at) for item in facts.deployments if item.release == name]
        dots += [
            ("rolled back", item.returned_at)
            for item in facts.deployments
            if item.release == name and item.returned_at is not None
        ]
        rows.append((name, spans, dots))
    return timeline(
        "Releases: freezes and deployments",
        facts.start,
        facts.end,
        material.period.zone,
        rows,
        of=len(names),
    )


def implemented(material: Material) -> Grid:
    """Return the changes whose implementation ended in the period."""
    facts, zone = material.card.facts, material.period.zone
    found = sorted(
        (
            change
            for change in facts.changes
            if change.finished_at is not None and facts.start <= change.finished_at < facts.end
        ),
        key=lambda change: (change.started_at or facts.start, change.id),
    )
    rows = [
        (
            change.id,
            one_line(change.title, TITLE),
            change.type,
            one_line(", ".join(change.systems), TITLE),
            local_span_text(_to_minutes(change.started_at, change.finished_at), zone)
            if change.started_at and change.finished_at
            else "",
            outcome(change, facts),
        )
        for change in found
    ]
    return Grid(
        heads=("Change", "What", "Type", "Systems", "When", "Came out"),
        rows=rows[:_MOST],
        nothing="No change was implemented in this period.",
        title=(
            "Changes whose work ended in this period, by when it began "
            "(rates count those that were closed in it)"
        ),
        more=max(0, len(rows) - _MOST),
    )


def _to_minutes(start: datetime, end: datetime) -> Span:
    """Return the minutes that a stretch touches: seconds say nothing in a table of days."""
    minute = timedelta(minutes=1)
    return Span(
        start.replace(second=0, microsecond=0),
        (end + minute - timedelta.resolution).replace(second=0, microsecond=0),
    )


def outcome(change: ChangeFact, facts: Facts) -> str:
    """Return how a change came out, in words; what is still observed has done so only so far."""
    wrong = shortcomings(change, facts.observed)
    if wrong or change.ended is None:
        return "; ".join(wrong) or "in review"
    done = change.finished_at
    young = done is not None and facts.observed_until(done, facts.observed) is not None
    return "as planned so far" if young else "as planned"


def coming(material: Material) -> Grid:
    """Return the changes that have a slot after the period."""
    zone = material.period.zone
    rows = [
        (
            item.id,
            one_line(item.title, TITLE),
            item.type,
            one_line(", ".join(item.systems), TITLE),
            local_span_text(item.slot, zone),
        )
        for item in material.outlook.coming
    ]
    return Grid(
        heads=("Change", "What", "Type", "Systems", "Slot"),
        rows=rows[:_MOST],
        nothing="No change has a slot in the time ahead.",
        title="Changes that have a slot ahead",
        more=max(0, len(rows) - _MOST),
    )


def lessons(material: Material) -> list[str]:
    """Return what reviews said was learnt, each once, with where it was."""
    found: dict[str, list[str]] = {}
    for change, lesson in material.outlook.lessons:
        found.setdefault(lesson, []).append(change)
    return [
        f"{lesson} ({', '.join(changes[:3])}"
        f"{f' and {len(changes) - 3} more' if len(changes) > 3 else ''})"
        for lesson, changes in found.items()
    ]


def incidents(material: Material) -> Grid:
    """Return the incidents that opened in the period, the most severe first."""
    rows = [
        (
            item.id,
            item.severity,
            one_line(item.title, TITLE),
            ", ".join(item.changes) or "not linked to a change",
            "open"
            if item.closed_at is None
            else shown((item.closed_at - item.opened_at).total_seconds(), Unit.DURATION),
        )
        for item in sorted(
            material.card.facts.incidents, key=lambda item: (item.severity, item.opened_at, item.id)
        )
    ]
    return Grid(
        heads=("Incident", "Severity", "What", "Caused by", "Lasted"),
        rows=rows[:_MOST],
        nothing="No incident was opened in this period.",
        title="Incidents opened",
        more=max(0, len(rows) - _MOST),
    )


def refusals(material: Material) -> list[str]:
    """Return what was refused, by kind."""
    return [
        f"{event.replace('.', ' ').replace('_', ' ').capitalize()}: {count(number, 'time')}"
        for event, number in material.card.facts.refused.items()
    ]
