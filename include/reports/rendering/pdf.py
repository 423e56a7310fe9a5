"""A report as PDF, the same bytes each time, with its font inside.

A file that lacks letters says so on its first page; the HTML of the same report has them all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from fpdf import FPDF
from fpdf.enums import MethodReturnValue, XPos, YPos
from fpdf.fonts import TTFFont

from include.errors import ReportError
from include.instants import format_instant
from include.notices.wording import count, one_line
from include.reports.figure import Box, Dot, Figure, Label, Shape, Stroke
from include.reports.metrics.metric import Metric
from include.reports.metrics.scorecard import CAUTIONS
from include.reports.rendering.letters import (
    FAMILY,
    MISSING,
    font_files,
    joins,
    showable,
)
from include.reports.report import Block, Grid, Points, Report, Tiles, Words

_INK, _SOFT, _ACCENT, _RULE = (22, 38, 46), (91, 111, 120), (15, 110, 132), (219, 228, 232)
# No text of a report has it: what is not for printing is taken out of all of them.
_PAGES = "\x1fpages\x1f"
_ROWS = 60
# A row that does not fit on one page cannot be drawn: what would fill more lines is cut.
_LINES = 54


def pdf(report: Report) -> bytes:
    """Return the PDF file; ReportError, with the place in the report, where it cannot be made."""
    with _at("its fonts"), TemporaryDirectory(prefix="fonts-") as directory:
        fonts = font_files(Path(directory))
        page = _drawn(report, fonts)
        if page.missing:
            page = _drawn(report, fonts, missing=page.missing)
        with _at("the finished file"):
            return bytes(page.output())


@contextmanager
def _at(place: str) -> Iterator[None]:
    """Say where it was if the typesetter gives up: it may stumble over anything, and does not."""
    try:
        yield
    except ReportError:
        raise
    except Exception as error:
        said = one_line(str(error), 300)
        # A key or a number by itself says nothing.
        why = said if " " in said else f"{type(error).__name__} {said}".strip()
        raise ReportError(f"{place}: {why}") from error


def _drawn(report: Report, fonts: Mapping[str, Path], *, missing: int = 0) -> _Page:
    page = _Page(report, fonts)
    with _at("its head"):
        page.add_page()
        page.first(missing)
    for section in report.sections:
        with _at(f"section “{section.title}”"):
            page.heading(section.title)
        for block in section.blocks:
            with _at(f"section “{section.title}”{_called(block)}"):
                page.block(block)
    with _at("what has come to light"):
        if report.corrections:
            page.heading("What has come to light since the last report")
            page.block(Points(items=report.corrections, nothing=""))
    page.heading("How the figures are made")
    for metric in report.card.metrics:
        with _at(f"figure “{metric.title}”"):
            page.made(metric)
    page.words(" ".join(CAUTIONS), size=8, colour=_SOFT)
    return page


def _called(block: Block) -> str:
    title = getattr(block, "title", "")
    return f", “{title}”" if title else ""


class _Page(FPDF):
    def __init__(self, report: Report, fonts: Mapping[str, Path]) -> None:
        super().__init__(format="A4")
        for style, file in fonts.items():
            self.add_font(FAMILY, style, file)
        self.letters = cast("TTFFont", self.fonts[FAMILY]).cmap
        # How many letters the font lacks, so far.
        self.missing = 0
        self.report = report
        self.set_creation_date(report.as_of)
        self.set_title(f"{report.title} {report.period.name}")
        self.set_auto_page_break(True, margin=18)
        self.set_margins(18, 16, 18)
        self.alias_nb_pages(_PAGES)

    def footer(self) -> None:
        """Write the page's foot."""
        self.set_y(-13)
        self.set_font(FAMILY, size=8)
        self.set_text_color(*_SOFT)
        text = self.known(
            f"{self.report.id}, as the ledger knew it at {format_instant(self.report.as_of)} "
            f"· {self.page_no()}/"
        )
        self.cell(0, 5, text + _PAGES, align="C")

    def first(self, missing: int) -> None:
        """Write the head of the first page; `missing` letters of the text cannot be shown."""
        report = self.report
        about = report.service or "All services"
        self.words(f"{report.organisation} · {about}", size=9, colour=_SOFT)
        self.words(report.title, size=22, bold=True, colour=_ACCENT)
        self.words(f"{report.period.words} ({report.period.name})", size=12)
        self.words(report.summary, size=10)
        if report.provisional:
            self.words(
                "Provisional: the period, or the time to observe it, is not over.", bold=True
            )
        if missing:
            self.words(
                f"{count(missing, 'letter')} of this report cannot be shown in this file, whose "
                f"font lacks them: {MISSING} stands for each. Its HTML has them all.",
                bold=True,
            )

    def heading(self, text: str) -> None:
        """Write a section's heading, never alone at the foot of a page."""
        if self.get_y() > self.h - 60:
            self.add_page()
        self.ln(4)
        self.words(text, size=14, bold=True, colour=_ACCENT)

    def words(
        self,
        text: str,
        *,
        size: float = 10,
        bold: bool = False,
        colour: tuple[int, int, int] = _INK,
    ) -> None:
        """Write a paragraph."""
        self.set_font(FAMILY, "B" if bold else "", size)
        self.set_text_color(*colour)
        shown = self.known(text)
        with self.shaping(shown):
            self.multi_cell(0, size * 0.5, shown, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.ln(1.2)

    def block(self, block: Block) -> None:
        """Write one block."""
        match block:
            case Words():
                for line in block.text.splitlines():
                    self.words(line)
            case Points():
                self.title_of(block.title)
                for item in block.items:
                    self.words(f"•  {item}")
                if not block.items and block.nothing:
                    self.words(block.nothing, colour=_SOFT)
            case Tiles():
                self.grid(
                    Grid(
                        heads=("Figure", "Value", "In words", "Before"),
                        rows=[
                            (item.metric.title, item.metric.text, item.metric.told, item.before)
                            for item in block.items
                        ],
                        nothing="",
                    )
                )
            case Grid():
                self.grid(block)
            case Figure():
                self.figure(block)

    def grid(self, block: Grid) -> None:
        """Write a table."""
        self.title_of(block.title)
        if not block.rows:
            self.words(block.nothing, colour=_SOFT)
            return
        self.set_font(FAMILY, size=8)
        self.set_text_color(*_INK)
        self.set_draw_color(*_RULE)
        heads, *rows = (
            [self.known(cell) for cell in cells] for cells in (block.heads, *block.rows[:_ROWS])
        )
        widths = self.widths(heads, rows)
        with (
            self.shaping(*(cell for cells in rows for cell in cells)),
            self.table(
                col_widths=widths,
                line_height=4.2,
                borders_layout="HORIZONTAL_LINES",
                text_align="LEFT",
            ) as table,
        ):
            for cells in (heads, *rows):
                row = table.row()
                for cell, width in zip(cells, widths, strict=True):
                    row.cell(self.cut(cell, width * self.epw / sum(widths)))
        left = max(0, len(block.rows) - _ROWS) + block.more
        if left:
            self.words(f"… and {left:,} more, in the JSON of this report", size=8, colour=_SOFT)
        self.ln(2)

    def title_of(self, title: str) -> None:
        """Write what a list or a table is about, never alone at the foot of a page."""
        if not title:
            return
        if self.get_y() > self.h - 40:
            self.add_page()
        self.words(title, bold=True)

    def widths(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[float, ...]:
        """Return the columns' widths: no word is broken while there is room for the words, and
        no line of the columns that want least."""
        needed, wanted = [], []
        for place, head in enumerate(heads):
            cells = [row[place] for row in rows]
            self.set_font(FAMILY, "B", 8)
            whole = self.get_string_width(head)
            word = whole
            self.set_font(FAMILY, "", 8)
            for cell in cells:
                whole = max(whole, self.get_string_width(cell))
                word = max([word, *map(self.get_string_width, cell.split())])
            edges = 2 * self.c_margin + 0.5
            needed.append(min(word + edges, self.epw / 3))
            wanted.append(max(whole + edges, needed[-1]))
        spare = self.epw - sum(needed)
        if spare < 0:
            return tuple(needed)
        # The least wish first: each gets at most its share of what is left.
        widths = list(needed)
        order = sorted(range(len(heads)), key=lambda place: wanted[place] - needed[place])
        for done, place in enumerate(order):
            given = min(wanted[place] - needed[place], spare / (len(order) - done))
            widths[place] += given
            spare -= given
        return tuple(widths)

    def cut(self, text: str, width: float) -> str:
        """Return a cell's text, what its column can show of it on one page."""
        if self.get_string_width(text) <= _LINES / 2 * (width - 2 * self.c_margin):
            return text
        made = self.multi_cell(
            width, 4.2, text, align="L", dry_run=True, output=MethodReturnValue.LINES
        )
        lines = cast("list[str]", made)
        return text if len(lines) <= _LINES else " ".join(lines[:_LINES]) + "…"

    def made(self, metric: Metric) -> None:
        """Write how a figure is made, its name never alone at the foot of a page."""
        if self.get_y() > self.h - 36:
            self.add_page()
        self.words(f"{metric.title}: {metric.text}", bold=True)
        told = ". ".join(part.rstrip(".") for part in (metric.told, metric.formula))
        self.words(f"{told}.", size=8, colour=_SOFT)

    def figure(self, figure: Figure) -> None:
        """Draw a figure over the width of the text."""
        drawing = figure.wide
        scale = self.epw / drawing.width
        tall = drawing.height * scale
        if self.get_y() + tall + 12 > self.h - 20:
            self.add_page()
        self.words(figure.title, bold=True)
        left, top = self.l_margin, self.get_y()
        # Its colours end with it: a table takes the last one for its cells.
        with self.local_context():
            for shape in drawing.shapes:
                self.shape(shape, left, top, scale)
        self.set_xy(left, top + tall + 1)
        self.words(figure.said, size=8, colour=_SOFT)

    def shape(self, shape: Shape, left: float, top: float, scale: float) -> None:
        """Draw one shape."""
        match shape:
            case Box():
                self.set_fill_color(shape.fill)
                self.rect(
                    left + shape.x * scale,
                    top + shape.y * scale,
                    shape.width * scale,
                    shape.height * scale,
                    style="F",
                )
            case Stroke():
                self.set_draw_color(shape.colour)
                self.set_line_width(shape.width * scale)
                self.polyline([(left + x * scale, top + y * scale) for x, y in shape.points])
            case Dot():
                self.set_fill_color(shape.fill)
                self.circle(
                    left + shape.x * scale, top + shape.y * scale, shape.radius * scale, style="F"
                )
            case Label():
                self.label(shape, left + shape.x * scale, top + shape.y * scale, scale)

    def label(self, label: Label, x: float, y: float, scale: float) -> None:
        """Write a figure's line of text on the baseline `y`, its letters joined as all others."""
        text = self.known(label.text)
        self.set_font(FAMILY, "B" if label.bold else "", label.size * scale * 2.83)
        self.set_text_color(label.colour)
        with self.shaping(text):
            wide = self.get_string_width(text)
            shift = {"start": 0.0, "middle": wide / 2, "end": wide}[label.anchor]
            # A cell as high as its letters has its baseline at four fifths of them.
            self.set_xy(x - shift - self.c_margin, y - 0.8 * self.font_size)
            self.cell(wide + 2 * self.c_margin, self.font_size, text)

    def known(self, text: str) -> str:
        """Return a text as the font can show it; what it lacks is counted."""
        shown, missing = showable(text, self.letters)
        self.missing += missing
        return shown

    @contextmanager
    def shaping(self, *texts: str) -> Iterator[None]:
        """Join letters and turn directions while one of the texts asks for it: it takes time."""
        if any(map(joins, texts)):
            self.set_text_shaping(True, direction="ltr")
        try:
            yield
        finally:
            self.set_text_shaping(False)
