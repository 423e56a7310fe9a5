"""A report as Markdown, short enough to be read in a chat; names from outside cannot format it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from include.reports.figure import Figure
from include.reports.report import Block, Grid, Points, Report, Tiles, Words

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~&!])")
_ROWS = 30


def markdown(report: Report) -> str:
    """Return the report; figures are told in words."""
    return "\n".join(_lines(report)).rstrip("\n") + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"# {_plain(report.title)}: {_plain(report.period.words)}"
    yield ""
    yield _plain(report.summary)
    if report.provisional:
        yield ""
        yield "_Provisional: the period, or the time to observe it, is not over._"
    for section in report.sections:
        yield ""
        yield f"## {_plain(section.title)}"
        for block in section.blocks:
            yield ""
            yield from _block(block)
    if report.corrections:
        yield ""
        yield "## What has come to light since the last report"
        yield ""
        yield from (f"- {_plain(item)}" for item in report.corrections)


def _block(block: Block) -> Iterator[str]:
    match block:
        case Words():
            yield _plain(block.text)
        case Points():
            yield from _title(block.title)
            if block.items:
                yield from (f"- {_plain(item)}" for item in block.items)
            else:
                yield _plain(block.nothing)
        case Tiles():
            for tile in block.items:
                metric = tile.metric
                yield f"- **{_plain(metric.title)}: {_plain(metric.text)}** ({_plain(metric.told)})"
        case Figure():
            yield f"_{_plain(block.title)}:_ {_plain(block.said)}"
        case Grid():
            yield from _title(block.title)
            if not block.rows:
                yield _plain(block.nothing)
                return
            yield "| " + " | ".join(_plain(head) for head in block.heads) + " |"
            yield "|" + " --- |" * len(block.heads)
            for row in block.rows[:_ROWS]:
                yield "| " + " | ".join(_plain(cell) for cell in row) + " |"
            left = len(block.rows) - _ROWS + block.more if len(block.rows) > _ROWS else block.more
            if left:
                yield f"\n… and {left:,} more"


def _title(title: str) -> Iterator[str]:
    if title:
        yield f"**{_plain(title)}**"
        yield ""


def _plain(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
