"""A report as one HTML file that needs nothing else: styles and figures are inside.

Every figure at a glance leads to its formula and to the rows behind it, at the end of the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

from include.instants import format_instant
from include.notices.wording import moment
from include.reports.figure import Figure
from include.reports.metrics.metric import Metric
from include.reports.metrics.scorecard import CAUTIONS, FAMILIES
from include.reports.rendering.style import STYLE
from include.reports.rendering.svg import svg
from include.reports.report import Block, Grid, Points, Report, Tiles, Words

_ROWS = 400
# Characters.
_SHORT = 16
# What is read as one: a change or an incident, times of a day with their zone, a period.
_ONE = re.compile(
    r"\b[A-Z]{2,4}-\d+\b|(?<![\w:])\d\d:\d\d(?:–\d\d:\d\d)?(?: [A-Z]{3,4}\b)?"
    r"|\b\d{4}-(?:W\d\d|Q\d|\d\d)\b(?!-)"
)


def html(report: Report) -> str:
    """Return the page."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    zone = str(report.period.zone)
    about = report.service or "All services"
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(report.title)} {escape(report.period.name)}</title>"
    yield f"<style>{STYLE}</style>\n</head>\n<body>"
    yield f'<header><div><p class="org">{escape(report.organisation)} · {escape(about)}</p>'
    yield f"<h1>{escape(report.title)}</h1>"
    yield f'<p class="period">{escape(report.period.words)} <span>{report.period.name}</span></p>'
    yield f'<p class="summary">{escape(report.summary)}</p>'
    if report.provisional:
        yield '<p class="flag">Provisional: the period, or the time to observe it, is not over.</p>'
    yield "</div></header>\n<nav>"
    for number, section in enumerate(report.sections, start=1):
        yield f'<a href="#section-{number}">{escape(section.title)}</a>'
    yield '<a href="#figures">Figures and rows</a></nav>\n<main>'
    for number, section in enumerate(report.sections, start=1):
        yield f'<section id="section-{number}"><h2>{escape(section.title)}</h2>'
        for block in section.blocks:
            yield from _block(block)
        yield "</section>"
    if report.corrections:
        yield "<section><h2>What has come to light since the last report</h2>"
        yield from _block(Points(items=report.corrections, nothing=""))
        yield "</section>"
    yield from _figures(report)
    yield "</main>\n<footer>"
    yield "".join(f"<p>{escape(text)}</p>" for text in CAUTIONS)
    yield (
        f"<p>What the ledger knew at {escape(moment(report.as_of, zone))}; "
        f"period {format_instant(report.period.start)} to {format_instant(report.period.end)}; "
        f"calendar sha256:{report.calendar_digest[:12]}. The same period gives the same bytes.</p>"
    )
    yield "</footer>\n</body>\n</html>"


def _block(block: Block) -> Iterator[str]:
    match block:
        case Words():
            yield "".join(f"<p>{escape(line)}</p>" for line in block.text.splitlines() if line)
        case Points():
            yield from _title(block.title)
            if block.items:
                yield "<ul>" + "".join(f"<li>{_whole_words(item)}</li>" for item in block.items)
                yield "</ul>"
            elif block.nothing:
                yield f'<p class="nothing">{escape(block.nothing)}</p>'
        case Grid():
            yield from _grid(block)
        case Tiles():
            yield '<div class="tiles">'
            for tile in block.items:
                metric = tile.metric
                empty = " empty" if metric.value is None else ""
                yield (
                    f'<a class="tile{empty}" href="#{metric.name}"><b>{escape(metric.title)}</b>'
                    f"<strong>{escape(metric.text)}</strong><span>{escape(metric.told)}</span>"
                    f"<em>{_whole_words(tile.before)}</em></a>"
                )
            yield "</div>"
        case Figure():
            yield (
                f"<figure><figcaption>{escape(block.title)}</figcaption>{svg(block)}"
                f'<p class="said">{escape(block.said)}</p></figure>'
            )


def _title(title: str) -> Iterator[str]:
    if title:
        yield f"<h3>{escape(title)}</h3>"


def _grid(block: Grid) -> Iterator[str]:
    yield from _title(block.title)
    if not block.rows:
        yield f'<p class="nothing">{escape(block.nothing)}</p>'
        return
    heads = "".join(f"<th>{escape(head)}</th>" for head in block.heads)
    yield f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>'
    for row in block.rows:
        cells = "".join(
            f'<td data-head="{escape(head)}"><div{_whole(cell)}>{_whole_words(cell)}</div></td>'
            for head, cell in zip(block.heads, row, strict=True)
        )
        yield f"<tr>{cells}</tr>"
    yield "</tbody></table></div>"
    if block.more:
        yield f'<p class="nothing">… and {block.more:,} more, in the JSON of this report.</p>'


def _figures(report: Report) -> Iterator[str]:
    yield '<section id="figures"><h2>Figures and the rows behind them</h2>'
    family = ""
    for metric in report.card.metrics:
        if metric.family != family:
            family = metric.family
            yield f"<h3>{escape(FAMILIES[family])}</h3>"
        yield from _figure(metric)
    yield "</section>"


def _figure(metric: Metric) -> Iterator[str]:
    yield (
        f'<details id="{metric.name}"><summary><b>{escape(metric.title)}</b> '
        f"<strong>{escape(metric.text)}</strong></summary>"
        f'<p>{escape(metric.told)}</p><p class="formula">{escape(metric.formula)}</p>'
    )
    yield from _grid(
        Grid(
            heads=("Counted", "Row", "Why"),
            rows=[("yes" if row.counted else "no", row.id, row.why) for row in metric.rows[:_ROWS]],
            nothing="No rows.",
            more=max(0, len(metric.rows) - _ROWS),
        )
    )
    yield "</details>"


def _whole_words(text: str) -> str:
    """Escape a sentence; what is read as one in it is not broken at a hyphen or a dash."""
    return _ONE.sub(r'<span class="whole">\g<0></span>', escape(text))


def _whole(cell: str) -> str:
    """Keep one short word in one piece: a table as narrow as it can be breaks it in its middle."""
    return ' class="whole"' if cell and len(cell) <= _SHORT and " " not in cell else ""
