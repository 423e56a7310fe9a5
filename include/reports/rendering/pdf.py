"""A report as PDF, the same bytes each time.

The file's own fonts are the fourteen that every reader has; they know Western European letters. A
letter that they do not know is shown as `?`; the HTML of the same report has it.
"""

from __future__ import annotations

from fpdf import FPDF
from fpdf.enums import XPos, YPos

from include.instants import format_instant
from include.reports.figure import WIDTH, Box, Dot, Figure, Label, Shape, Stroke
from include.reports.metrics.scorecard import CAUTIONS
from include.reports.report import Block, Grid, Points, Report, Tiles, Words

_INK, _SOFT, _ACCENT, _RULE = (22, 38, 46), (91, 111, 120), (15, 110, 132), (219, 228, 232)
_KNOWN = str.maketrans({
    "→": "->", "≥": ">=", "≤": "<=", "−": "-", "✓": "+", "\u202f": " ", "\u00a0": " ",
})  # fmt: skip
_ROWS = 60


def pdf(report: Report) -> bytes:
    """Return the PDF file."""
    page = _Page(report)
    page.add_page()
    page.first()
    for section in report.sections:
        page.heading(section.title)
        for block in section.blocks:
            page.block(block)
    if report.corrections:
        page.heading("What has come to light since the last report")
        page.block(Points(items=report.corrections, nothing=""))
    page.heading("How the figures are made")
    for metric in report.card.metrics:
        page.words(f"{metric.title}: {metric.text}", bold=True)
        page.words(f"{metric.said}. {metric.formula}.", size=8, colour=_SOFT)
    page.words(" ".join(CAUTIONS), size=8, colour=_SOFT)
    return bytes(page.output())


class _Page(FPDF):
    def __init__(self, report: Report) -> None:
        super().__init__(format="A4")
        self.core_fonts_encoding = "cp1252"
        self.report = report
        self.set_creation_date(report.as_of)
        self.set_title(_known(f"{report.title} {report.period.name}"))
        self.set_auto_page_break(True, margin=18)
        self.set_margins(18, 16, 18)
        self.alias_nb_pages()

    def footer(self) -> None:
        """Write the page's foot."""
        self.set_y(-13)
        self.set_font("Helvetica", size=8)
        self.set_text_color(*_SOFT)
        text = (
            f"{self.report.id}, as the ledger knew it at {format_instant(self.report.as_of)} "
            f"· {self.page_no()}/{{nb}}"
        )
        self.cell(0, 5, _known(text), align="C")

    def first(self) -> None:
        """Write the head of the first page."""
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
        self.set_font("Helvetica", "B" if bold else "", size)
        self.set_text_color(*colour)
        self.multi_cell(0, size * 0.5, _known(text), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.ln(1.2)

    def block(self, block: Block) -> None:
        """Write one block."""
        match block:
            case Words():
                for line in block.text.splitlines():
                    self.words(line)
            case Points():
                for item in block.items:
                    self.words(f"•  {item}")
                if not block.items and block.nothing:
                    self.words(block.nothing, colour=_SOFT)
            case Tiles():
                self.grid(
                    Grid(
                        heads=("Figure", "Value", "In words", "Before"),
                        rows=[
                            (item.metric.title, item.metric.text, item.metric.said, item.before)
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
        if not block.rows:
            self.words(block.nothing, colour=_SOFT)
            return
        self.set_font("Helvetica", size=8)
        self.set_text_color(*_INK)
        self.set_draw_color(*_RULE)
        longest = [
            max(len(head), *(len(row[place]) for row in block.rows[:_ROWS]))
            for place, head in enumerate(block.heads)
        ]
        widths = tuple(max(8, min(length, 46)) for length in longest)
        with self.table(
            col_widths=widths, line_height=4.2, borders_layout="HORIZONTAL_LINES", text_align="LEFT"
        ) as table:
            for cells in (block.heads, *block.rows[:_ROWS]):
                row = table.row()
                for cell in cells:
                    row.cell(_known(cell))
        left = max(0, len(block.rows) - _ROWS) + block.more
        if left:
            self.words(f"… and {left:,} more, in the JSON of this report", size=8, colour=_SOFT)
        self.ln(2)

    def figure(self, figure: Figure) -> None:
        """Draw a figure over the width of the text."""
        scale = self.epw / WIDTH
        tall = figure.height * scale
        if self.get_y() + tall + 12 > self.h - 20:
            self.add_page()
        self.words(figure.title, bold=True)
        left, top = self.l_margin, self.get_y()
        for shape in figure.shapes:
            self.shape(shape, left, top, scale)
        self.set_y(top + tall + 1)
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
                text = _known(shape.text)
                self.set_font("Helvetica", "B" if shape.bold else "", shape.size * scale * 2.83)
                self.set_text_color(shape.colour)
                wide = self.get_string_width(text)
                shift = {"start": 0.0, "middle": wide / 2, "end": wide}[shape.anchor]
                self.text(left + shape.x * scale - shift, top + shape.y * scale, text)


def _known(text: str) -> str:
    return text.translate(_KNOWN).encode("cp1252", "replace").decode("cp1252")
