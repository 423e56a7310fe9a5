"""Metrics in Prometheus's text format: what a node exporter's textfile collector picks up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from include.reports.document import number
from include.reports.metrics.metric import Metric, Unit
from include.reports.metrics.scorecard import Scorecard

_SUFFIX = {
    Unit.SHARE: "_ratio",
    Unit.DURATION: "_seconds",
    Unit.PERCENT: "_percent",
    Unit.DAYS: "_days",
    Unit.PER_WEEK: "_per_week",
}


def exposition(card: Scorecard) -> str:
    """Return the metrics as gauges, format 0.0.4; one without data has no sample.

    An absent sample is Prometheus's own word for "unknown": a zero would be an answer.
    """
    return "".join(f"{line}\n" for line in _lines(card))


def _lines(card: Scorecard) -> Iterator[str]:
    labels = _labels(service=card.facts.service or "all")
    for metric in card.metrics:
        name = f"release_control_{metric.name}"
        yield from _gauge(f"{name}{_suffix(metric)}", metric.title, [(labels, metric.value)])
        if metric.numerator is not None and metric.denominator is not None:
            yield from _gauge(
                f"{name}_denominator",
                f"{metric.title}: what it is a part of, or was counted over",
                [(labels, metric.denominator)],
            )
        counts = [
            (_labels(service=card.facts.service or "all", part=part.removesuffix("_count")), value)
            for part, value in sorted(metric.parts.items())
            if part.endswith("_count")
        ]
        yield from _gauge(f"{name}_counts", f"{metric.title}: counts apart", counts)
        parts = [
            (_labels(service=card.facts.service or "all", part=part), value)
            for part, value in sorted(metric.parts.items())
            if not part.endswith("_count")
        ]
        yield from _gauge(f"{name}_parts", f"{metric.title}: figures that belong with it", parts)
    service = card.facts.service or "all"
    # With its service: files about several of them are read side by side.
    bounds = [
        (_labels(service=service, bound="start"), card.facts.start.timestamp()),
        (_labels(service=service, bound="end"), card.facts.end.timestamp()),
    ]
    yield from _gauge("release_control_period_seconds", "What the figures are about", bounds)


def _gauge(name: str, title: str, samples: Sequence[tuple[str, float | None]]) -> Iterator[str]:
    known = [(labels, value) for labels, value in samples if value is not None]
    if not known:
        return
    yield f"# HELP {name} {title}"
    yield f"# TYPE {name} gauge"
    for labels, value in known:
        yield f"{name}{labels} {number(value)}"


def _suffix(metric: Metric) -> str:
    suffix = _SUFFIX.get(metric.unit, "")
    return "" if metric.name.endswith(suffix) else suffix


def _labels(**values: str) -> str:
    pairs = (f'{name}="{_escaped(value)}"' for name, value in values.items())
    return "{" + ",".join(pairs) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
