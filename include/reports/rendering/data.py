"""A report as one JSON document: everything that the other forms show, and all rows."""

from __future__ import annotations

from typing import Any

from include.instants import format_instant
from include.reports.document import metric_document, scorecard_document
from include.reports.figure import Figure
from include.reports.report import Block, Grid, Points, Report, Tiles, Words


def data(report: Report) -> dict[str, Any]:
    """Return the report as plain data."""
    period = report.period
    return {
        "id": report.id,
        "kind": str(period.kind),
        "title": report.title,
        "organisation": report.organisation,
        "period": {
            "name": period.name,
            "words": period.words,
            "zone": str(period.zone),
            "from": format_instant(period.start),
            "to": format_instant(period.end),
        },
        "as_of": format_instant(report.as_of),
        "provisional": report.provisional,
        "service": report.service,
        "calendar_digest": report.calendar_digest,
        "summary": report.summary,
        "sections": [
            {"title": section.title, "blocks": [_block(block) for block in section.blocks]}
            for section in report.sections
        ],
        "corrections": list(report.corrections),
        "metrics": scorecard_document(report.card)["metrics"],
    }


def _block(block: Block) -> dict[str, Any]:
    match block:
        case Words():
            return {"words": block.text}
        case Points():
            return _titled(block.title) | {"points": list(block.items) or [block.nothing]}
        case Grid():
            return _titled(block.title) | {
                "heads": list(block.heads),
                "rows": [list(row) for row in block.rows],
                "more": block.more,
            }
        case Tiles():
            return {
                "figures": [
                    {**metric_document(tile.metric, rows=False), "before": tile.before}
                    for tile in block.items
                ]
            }
        case Figure():
            return {"figure": block.title, "said": block.said}


def _titled(title: str) -> dict[str, Any]:
    return {"title": title} if title else {}
