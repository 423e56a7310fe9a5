"""A calendar that is darker where more was done."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, timedelta
from itertools import pairwise

from include.calendar.wall_time import date_text
from include.notices.wording import count
from include.reports.drawing.sheet import MONTHS, Sheet, draw
from include.reports.figure import STEPS, Box, Figure, Shape

_DAYS = ("Mon", "", "Wed", "", "Fri", "", "Sun")
# Smaller squares are hard to tell apart; larger ones say no more.
_LEAST, _MOST = 10.5, 22.0


def heat_map(title: str, first: date, after: date, counts: Mapping[date, int]) -> Figure:
    """Return one square for each day and a column for each week, in bands on a narrow sheet."""
    total, most = sum(counts.values()), max(counts.values(), default=0)
    said = (
        f"{count(total, 'implementation')} on {count(len(counts), 'day')}, at most {most} on one"
        if total
        else "no implementation"
    )
    return draw(title, said, lambda sheet: _on(sheet, first, after, counts))


def _on(
    sheet: Sheet, first: date, after: date, counts: Mapping[date, int]
) -> tuple[float, list[Shape]]:
    left = sheet.length("Mon") + 10
    room = sheet.width - left - 2
    begin = first - timedelta(days=first.weekday())
    weeks = max(1, math.ceil((after - begin).days / 7))
    bands = math.ceil(weeks / int(room / _LEAST))
    columns = math.ceil(weeks / bands)
    cell = min(_MOST, room / columns)
    most = max(counts.values(), default=0)
    shapes: list[Shape] = []
    top = 0.0
    for band in range(bands):
        base = top + sheet.size + 6
        shapes.extend(
            sheet.label(0, base + cell * row + cell * 0.43 + sheet.size / 3, name)
            for row, name in enumerate(_DAYS)
            if name
        )
        months: list[tuple[float, int]] = []
        for column in range(min(columns, weeks - band * columns)):
            x = left + cell * column
            for row in range(7):
                day = begin + timedelta(days=7 * (band * columns + column) + row)
                if not first <= day < after:
                    continue
                shapes.append(_square(day, counts.get(day, 0), most, x, base + cell * row, cell))
                # A month begins in the column of its first day, or goes on at the band's edge.
                if not months or months[-1][1] != day.month:
                    months.append((x, day.month))
        # Of two that begin too close together the second is named: it goes on.
        shapes.extend(
            sheet.label(x, top + sheet.size, MONTHS[month - 1])
            for (x, month), (following, _) in pairwise([*months, (sheet.width, 0)])
            if following - x > sheet.length("Mon") + 4
        )
        top = base + cell * 7 + 6
    base = top + sheet.line
    shapes.append(sheet.label(left, base, "none"))
    x = left + sheet.length("none") + 8
    for index, colour in enumerate(STEPS):
        shapes.append(
            Box(x=x + 15 * index, y=base - 10, width=12, height=12, fill=colour, radius=2)
        )
    upto = f"{most} a day" if most else "no changes"
    shapes.append(sheet.label(x + 15 * len(STEPS) + 5, base, upto))
    return base + 6, shapes


def _square(day: date, number: int, most: int, x: float, y: float, cell: float) -> Box:
    level = 0 if not number else 1 + min(4, (number * 5 - 1) // max(1, most))
    size = cell * 0.86
    return Box(
        x=x, y=y, width=size, height=size, fill=STEPS[level], tip=f"{date_text(day)}: {number}",
        radius=2,
    )  # fmt: skip
