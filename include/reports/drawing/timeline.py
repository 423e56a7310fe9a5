"""Releases over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from include.calendar.wall_time import resolve
from include.notices.wording import count, shorten
from include.reports.drawing.sheet import MONTHS, Sheet, draw
from include.reports.figure import (
    BAD,
    GOOD,
    INK,
    LINE,
    SOFT,
    STEPS,
    Anchor,
    Box,
    Dot,
    Figure,
    Shape,
    Stroke,
)

# A name, its freezes as (phase, start, end), and what happened as (what, when).
Journey = tuple[str, Sequence[tuple[str, datetime, datetime]], Sequence[tuple[str, datetime]]]

_COLOURS = {"feature": STEPS[1], "code": STEPS[3]}
_MARKS = {"deployed": GOOD, "rolled back": BAD}
_BAR = 11.0


def timeline(
    title: str,
    start: datetime,
    end: datetime,
    zone: ZoneInfo,
    rows: Sequence[Journey],
    *,
    of: int = 0,
) -> Figure:
    """Return one line for each release: its freezes as bars, what happened as dots.

    A mark of the scale is a midnight of `zone`. `of` is how many releases there were, if `rows` are
    not all of them.
    """
    said = count(len(rows), "release") if rows else "no release in the period"
    if of > len(rows):
        said = f"the newest {len(rows)} of {of} releases"
    return draw(title, said, lambda sheet: _on(sheet, start, end, zone, rows))


def _on(
    sheet: Sheet, start: datetime, end: datetime, zone: ZoneInfo, rows: Sequence[Journey]
) -> tuple[float, list[Shape]]:
    above = 0.0 if sheet.beside else sheet.size + 4
    each = above + _BAR + 13
    left, right = (
        (sheet.beside, sheet.width - sheet.right) if sheet.beside else (4, sheet.width - 8)
    )
    top = sheet.size + 11
    floor = top + 4 + each * len(rows) + 4
    length = (end - start).total_seconds()

    def place(at: datetime) -> float:
        return left + (right - left) * min(1.0, max(0.0, (at - start).total_seconds() / length))

    shapes: list[Shape] = []
    most = int((right - left) / (1.6 * sheet.length("16 Nov")))
    for day in marked_days(start.astimezone(zone).date(), end.astimezone(zone).date(), most):
        x = place(resolve(datetime.combine(day, time()), zone))
        shapes.append(Stroke(points=[(x, top), (x, floor)], colour=LINE))
        anchor: Anchor = "start" if x < left + 20 else "end" if x > right - 20 else "middle"
        shapes.append(sheet.label(x, sheet.size + 3, f"{day.day} {MONTHS[day.month - 1]}", anchor))
    for index, (name, spans, dots) in enumerate(rows):
        y = top + 4 + each * index
        if sheet.beside:
            short = shorten(name, sheet.fits(sheet.beside - 10))
            shapes.append(sheet.label(left - 10, y + 13, short, "end", INK))
        else:
            short = shorten(name, sheet.fits(sheet.width))
            shapes.append(sheet.label(left, y + sheet.size, short, colour=INK))
        y += above
        for kind, begins, over in spans:
            x = place(begins)
            shapes.append(
                Box(
                    x=x, y=y + 4, width=max(1.5, place(over) - x), height=_BAR,
                    fill=_COLOURS[kind], tip=f"{name}: {kind} freeze", radius=2,
                )
            )  # fmt: skip
        shapes.extend(
            Dot(x=place(at), y=y + 4 + _BAR / 2, radius=5, fill=_MARKS[what], tip=f"{name} {what}")
            for what, at in dots
        )
    legend = [(f"{name} freeze", colour) for name, colour in _COLOURS.items()]
    height, marks = sheet.legend([*legend, *_MARKS.items()], left, floor + 8, SOFT)
    return height, [*shapes, *marks]


def marked_days(first: date, after: date, most: int) -> list[date]:
    """Return at most so many days at equal distances, from the first one on, and the last if it is
    one of them."""
    days = (after - first).days
    step = max(1, math.ceil(days / min(6, most - 1)))
    return [first + timedelta(days=passed) for passed in range(0, days + 1, step)]
