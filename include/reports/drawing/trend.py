"""Lines over periods."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta

from include.instants import format_duration
from include.reports.drawing.sheet import Sheet, ceiling, draw
from include.reports.figure import ACCENT, GOOD, LINE, SECOND, Anchor, Dot, Figure, Shape, Stroke
from include.reports.metrics.metric import Unit, shown

_COLOURS = (ACCENT, SECOND, GOOD)
_TOP, _PLOT = 14.0, 152.0
# Lengths in seconds that a scale may go up by: they and their multiples read as people say them.
_QUARTERS = (
    1, 5, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200,
    *(86_400 * days for days in (1, 2, 5, 10, 20, 50, 100)),
)  # fmt: skip


def trend(
    title: str, names: Sequence[str], series: Mapping[str, Sequence[float | None]], unit: Unit
) -> Figure:
    """Return lines over periods; a period without data leaves a gap."""
    said = "; ".join(_at_the_end(name, names, values, unit) for name, values in series.items())
    return draw(title, said, lambda sheet: _on(sheet, names, series, unit))


def _on(
    sheet: Sheet,
    names: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    unit: Unit,
) -> tuple[float, list[Shape]]:
    known = [value for values in series.values() for value in values if value is not None]
    top = _nice(max(known, default=1) or 1, unit)
    floor = _TOP + _PLOT
    left, right = sheet.left, sheet.width - sheet.right
    step = (right - left) / max(1, len(names) - 1)
    shapes: list[Shape] = []
    for part in range(5):
        y = floor - _PLOT * part / 4
        shapes.append(Stroke(points=[(left, y), (right, y)], colour=LINE))
        shapes.append(
            sheet.label(left - 8, y + sheet.size / 3, _short(top * part / 4, unit), "end")
        )
    # The last period is named, and of the others as many as stand clear of it.
    room = 1.5 * max(map(sheet.length, names), default=0) + sheet.size
    every = max(1, math.ceil(len(names) / 5), math.ceil(room / step))
    for index, name in enumerate(names):
        if (len(names) - 1 - index) % every == 0:
            x = left + step * index
            # The outer ones stay within the sheet.
            anchor: Anchor = "middle" if 0 < index < len(names) - 1 else "end" if index else "start"
            shapes.append(sheet.label(x, floor + sheet.line, name, anchor))
    for (name, values), colour in zip(series.items(), _COLOURS, strict=False):
        points: list[tuple[float, float]] = []
        for index, value in enumerate([*values, None]):
            if value is None:
                if len(points) > 1:
                    shapes.append(Stroke(points=tuple(points), colour=colour, width=2.2))
                points = []
                continue
            x, y = left + step * index, floor - _PLOT * min(1, value / top)
            points.append((x, y))
            tip = f"{name}, {names[index]}: {shown(value, unit)}"
            shapes.append(Dot(x=x, y=y, radius=3, fill=colour, tip=tip))
    height, legend = sheet.legend(
        list(zip(series, _COLOURS, strict=False)), left, floor + 2 * sheet.line
    )
    return height, [*shapes, *legend]


def _at_the_end(
    name: str, periods: Sequence[str], values: Sequence[float | None], unit: Unit
) -> str:
    known = [(period, value) for period, value in zip(periods, values, strict=True)
             if value is not None]  # fmt: skip
    if not known:
        return f"{name}: no data"
    period, value = known[-1]
    late = "" if period == periods[-1] else ", no data since"
    return f"{name}: {shown(value, unit)} in {period}{late}"


def _nice(value: float, unit: Unit) -> float:
    if unit is Unit.DURATION:
        return 4 * next((quarter for quarter in _QUARTERS if 4 * quarter >= value), value / 4)
    if unit is Unit.SHARE and value > 0.5:
        return 1.0
    if unit is Unit.PERCENT and value > 50:
        return 100.0
    # A quarter of it is a number that people read, too.
    return ceiling(value, (1, 2, 4, 8, 10))


def _short(value: float, unit: Unit) -> str:
    if unit is Unit.SHARE:
        return f"{round(100 * value, 2):g} %"
    if unit is Unit.DURATION:
        return format_duration(timedelta(seconds=value)) if value else "0"
    return f"{value:g}"
