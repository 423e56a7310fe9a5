"""Horizontal bars with names."""

from __future__ import annotations

from collections.abc import Sequence

from include.notices.wording import shorten
from include.reports.drawing.sheet import Sheet, draw
from include.reports.figure import ACCENT, INK, SECOND, Box, Figure, Shape

_BAR = 15.0


def bars(title: str, rows: Sequence[tuple[str, float, str]], *, marked: str = "") -> Figure:
    """Return one horizontal bar for each `(name, value, text)`; the marked one stands out."""
    said = "; ".join(f"{name} {text}" for name, _, text in rows) or "no data"
    return draw(title, said, lambda sheet: _on(sheet, rows, marked))


def _on(
    sheet: Sheet, rows: Sequence[tuple[str, float, str]], marked: str
) -> tuple[float, list[Shape]]:
    above = 0.0 if sheet.beside else sheet.line
    each = above + _BAR + 11
    most = max((value for _, value, _ in rows), default=1) or 1
    behind = max((sheet.length(text) for _, _, text in rows), default=0) + 12
    shapes: list[Shape] = []
    for index, (name, value, text) in enumerate(rows):
        y = 6 + each * index
        width = max(1.0, (sheet.width - sheet.beside - behind) * value / most)
        fill = SECOND if name == marked else ACCENT
        if sheet.beside:
            short = shorten(name, sheet.fits(sheet.beside - 10))
            shapes.append(sheet.label(sheet.beside - 10, y + 14, short, "end", INK))
        else:
            short = shorten(name, sheet.fits(sheet.width))
            shapes.append(sheet.label(0, y + sheet.size, short, colour=INK))
        y += above
        shapes.append(
            Box(
                x=sheet.beside, y=y + 3, width=width, height=_BAR, fill=fill, tip=f"{name}: {text}",
                radius=3,
            )
        )  # fmt: skip
        shapes.append(sheet.label(sheet.beside + width + 8, y + 14, text))
    return each * len(rows) + 12, shapes
