"""Metrics as plain data, for JSON: numbers rounded so that they read the same everywhere."""

from __future__ import annotations

from typing import Any

from include.instants import format_instant
from include.reports.facts import Facts
from include.reports.metrics.metric import Metric
from include.reports.metrics.scorecard import CAUTIONS, Scorecard


def number(value: float | None) -> float | int | None:
    """Return a figure with at most six decimals, whole numbers without any."""
    if value is None:
        return None
    rounded = round(float(value), 6)
    return int(rounded) if rounded.is_integer() else rounded


def metric_document(metric: Metric, *, rows: bool = True) -> dict[str, Any]:
    """Return one metric; durations are in seconds, shares between 0 and 1."""
    document: dict[str, Any] = {
        "name": metric.name,
        "family": metric.family,
        "title": metric.title,
        "formula": metric.formula,
        "unit": str(metric.unit),
        "value": number(metric.value),
        "numerator": number(metric.numerator),
        "denominator": number(metric.denominator),
        "text": metric.text,
        "said": metric.said,
        "parts": {name: number(value) for name, value in metric.parts.items()},
    }
    if rows:
        document["rows"] = [
            {
                "id": line.id,
                "counted": line.counted,
                "why": line.why,
                **({} if line.value is None else {"value": number(line.value)}),
            }
            for line in metric.rows
        ]
    return document


def scorecard_document(card: Scorecard, *, rows: bool = True) -> dict[str, Any]:
    """Return a period's metrics with what they are about."""
    facts: Facts = card.facts
    return {
        "from": format_instant(facts.start),
        "to": format_instant(facts.end),
        "as_of": None if facts.as_of is None else format_instant(facts.as_of),
        "service": facts.service,
        "metrics": [metric_document(metric, rows=rows) for metric in card.metrics],
        "cautions": list(CAUTIONS),
    }
