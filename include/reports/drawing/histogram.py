"""How often values fall into ranges."""

from __future__ import annotations

import math
from collections.abc import Sequence

from include.notices.wording import count
from include.reports.drawing.sheet import Sheet, ceiling, draw
from include.reports.figure import ACCENT, LINE, Box, Figure, Shape, Stroke
from include.reports.metrics.metric import quantile

_TOP, _PLOT = 18.0, 132.0


def histogram(title: str, values: Sequence[float], unit_name: str, *, bins: int = 12) -> Figure:
    """Return how often values fall into each of some equal ranges; the last takes all above."""
    ordered = sorted(values)
    middle = quantile(ordered, 0.5)
    said = (
        "no data"
        if middle is None
        else f"{count(len(ordered), 'value')}, the middle one at {middle:.1f}"
    )
    limit = ordered[min(len(ordered) - 1, int(len(ordered) * 0.98))] if ordered else 1.0
    width = max(1e-9, ceiling(limit / bins))
    counts = [0] * bins
    for value in ordered:
        counts[min(bins - 1, int(value / width))] += 1
    return draw(title, said, lambda sheet: _on(sheet, counts, width, unit_name))


def _on(
    sheet: Sheet, counts: Sequence[int], width: float, unit_name: str
) -> tuple[float, list[Shape]]:
    floor = _TOP + _PLOT
    # There is no scale beside it, only half of the first number below.
    left, right = 2.0 * sheet.size, sheet.width - sheet.right
    step = (right - left) / len(counts)
    most = max(counts) or 1
    names = [f"{width * index:g}" for index in range(len(counts))]
    every = math.ceil((max(map(sheet.length, names)) + sheet.size) / step)
    shapes: list[Shape] = [Stroke(points=[(left, floor), (right, floor)], colour=LINE)]
    for index, number in enumerate(counts):
        tall = _PLOT * number / most
        x = left + step * index
        tip = f"{names[index]} to {width * (index + 1):g} {unit_name}: {number}"
        shapes.append(
            Box(
                x=x + 2, y=floor - tall, width=step - 4, height=tall, fill=ACCENT, tip=tip, radius=2
            )
        )
        if number and sheet.length(str(number)) < step:
            shapes.append(sheet.label(x + step / 2, floor - tall - 4, str(number), "middle"))
        if index % every == 0:
            shapes.append(sheet.label(x, floor + sheet.line, names[index], "middle"))
    base = floor + 2 * sheet.line + 2
    shapes.append(sheet.label((left + right) / 2, base, unit_name, "middle"))
    return base + 6, shapes
