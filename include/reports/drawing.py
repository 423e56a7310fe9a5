"""The figures of the reports, drawn from plain numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from include.calendar.wall_time import date_text, resolve
from include.instants import format_duration
from include.notices.wording import count, shorten
from include.reports.figure import (
    ACCENT,
    BAD,
    GOOD,
    INK,
    LINE,
    SECOND,
    STEPS,
    WIDTH,
    Anchor,
    Box,
    Dot,
    Figure,
    Label,
    Shape,
    Stroke,
)
from include.reports.metrics.metric import Unit, quantile, shown

# A name, its freezes as (phase, start, end), and what happened as (what, when).
Journey = tuple[str, Sequence[tuple[str, datetime, datetime]], Sequence[tuple[str, datetime]]]

# Room for letters of 17: a phone shows a figure at half its size, and the letters larger.
_LEFT, _RIGHT, _TOP, _LETTER = 72.0, 16.0, 18.0, 9.5
_DAYS = ("Mon", "", "Wed", "", "Fri", "", "Sun")
# Not by strftime, which speaks the process's locale.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Lengths in seconds that a scale may go up by: they and their multiples read as people say them.
_QUARTERS = (
    1, 5, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200,
    *(86_400 * days for days in (1, 2, 5, 10, 20, 50, 100)),
)  # fmt: skip


def trend(
    title: str, names: Sequence[str], series: Mapping[str, Sequence[float | None]], unit: Unit
) -> Figure:
    """Return lines over periods; a period without data leaves a gap."""
    height, floor = 214.0, 170.0
    known = [value for values in series.values() for value in values if value is not None]
    top = _nice(max(known, default=1) or 1, unit)
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(names) - 1)
    shapes: list[Shape] = []
    for part in range(5):
        y = floor - (floor - _TOP) * part / 4
        shapes.append(Stroke(points=[(_LEFT, y), (WIDTH - _RIGHT, y)], colour=LINE))
        label = _short(top * part / 4, unit)
        shapes.append(Label(x=_LEFT - 8, y=y + 4, text=label, anchor="end", size=10))
    every = max(1, math.ceil(len(names) / 5))
    for index, name in enumerate(names):
        if (len(names) - 1 - index) % every == 0:
            x = _LEFT + step * index
            anchor: Anchor = "end" if index == len(names) - 1 else "middle"
            shapes.append(Label(x=x, y=floor + 18, text=name, anchor=anchor, size=10))
    for (name, values), colour in zip(series.items(), (ACCENT, SECOND, GOOD), strict=False):
        points: list[tuple[float, float]] = []
        for index, value in enumerate([*values, None]):
            if value is None:
                if len(points) > 1:
                    shapes.append(Stroke(points=tuple(points), colour=colour, width=2.2))
                points = []
                continue
            x, y = _LEFT + step * index, floor - (floor - _TOP) * min(1, value / top)
            points.append((x, y))
            tip = f"{name}, {names[index]}: {shown(value, unit)}"
            shapes.append(Dot(x=x, y=y, radius=3, fill=colour, tip=tip))
    x = _LEFT
    for (name, _), colour in zip(series.items(), (ACCENT, SECOND, GOOD), strict=False):
        shapes.append(Box(x=x, y=height - 14, width=10, height=10, fill=colour, radius=2))
        shapes.append(Label(x=x + 15, y=height - 5, text=name, colour=INK))
        x += 34 + _LETTER * len(name)
    said = "; ".join(_at_the_end(name, names, values, unit) for name, values in series.items())
    return Figure(title=title, said=said, height=height, shapes=shapes)


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


def heat_map(title: str, first: date, after: date, counts: Mapping[date, int]) -> Figure:
    """Return one square for each day, a column for each week, darker where more was done."""
    left, legend = 44.0, 94.0
    begin = first - timedelta(days=first.weekday())
    weeks = max(1, math.ceil((after - begin).days / 7))
    cell = min(22.0, (WIDTH - left - 8) / weeks)
    most = max(counts.values(), default=0)
    shapes: list[Shape] = [
        Label(x=0, y=22 + cell * row + cell * 0.72, text=name, size=10)
        for row, name in enumerate(_DAYS)
        if name
    ]
    month = 0
    for week in range(weeks):
        for row in range(7):
            day = begin + timedelta(days=7 * week + row)
            if not first <= day < after:
                continue
            number = counts.get(day, 0)
            level = 0 if not number else 1 + min(4, (number * 5 - 1) // max(1, most))
            x, y = left + cell * week, 20 + cell * row
            tip = f"{date_text(day)}: {number}"
            size = cell * 0.86
            shapes.append(
                Box(x=x, y=y, width=size, height=size, fill=STEPS[level], tip=tip, radius=2)
            )
            if day.month != month and (day.day <= 7 or not month):
                month = day.month
                shapes.append(Label(x=x, y=12, text=_MONTHS[month - 1], size=10))
    height = 20 + cell * 7 + 26
    shapes.append(Label(x=left, y=height - 6, text="none", size=10))
    for index, colour in enumerate(STEPS):
        shapes.append(
            Box(x=legend + 15 * index, y=height - 15, width=12, height=12, fill=colour, radius=2)
        )
    upto = f"{most} a day" if most else "no changes"
    shapes.append(Label(x=legend + 15 * len(STEPS) + 4, y=height - 6, text=upto, size=10))
    total = sum(counts.values())
    said = (
        f"{count(total, 'implementation')} on {count(len(counts), 'day')}, at most {most} on one"
        if total
        else "no implementation"
    )
    return Figure(title=title, said=said, height=height, shapes=shapes)


def histogram(title: str, values: Sequence[float], unit_name: str, *, bins: int = 12) -> Figure:
    """Return how often values fall into each of some equal ranges; the last takes all above."""
    height, floor = 190.0, 150.0
    ordered = sorted(values)
    limit = ordered[min(len(ordered) - 1, int(len(ordered) * 0.98))] if ordered else 1.0
    width = max(1e-9, _ceiling(limit / bins))
    counts = [0] * bins
    for value in ordered:
        counts[min(bins - 1, int(value / width))] += 1
    most = max(counts) or 1
    step = (WIDTH - _LEFT - _RIGHT) / bins
    shapes: list[Shape] = [Stroke(points=[(_LEFT, floor), (WIDTH - _RIGHT, floor)], colour=LINE)]
    for index, number in enumerate(counts):
        tall = (floor - _TOP) * number / most
        x = _LEFT + step * index
        tip = f"{width * index:g} to {width * (index + 1):g} {unit_name}: {number}"
        shapes.append(
            Box(
                x=x + 2, y=floor - tall, width=step - 4, height=tall, fill=ACCENT, tip=tip, radius=2
            )
        )
        if number:
            shapes.append(
                Label(x=x + step / 2, y=floor - tall - 4, text=str(number), anchor="middle", size=9)
            )
        shapes.append(Label(x=x, y=floor + 16, text=f"{width * index:g}", anchor="middle", size=10))
    shapes.append(
        Label(x=(WIDTH + _LEFT - _RIGHT) / 2, y=height - 6, text=unit_name, anchor="middle")
    )
    middle = quantile(ordered, 0.5)
    said = (
        "no data"
        if middle is None
        else f"{count(len(ordered), 'value')}, the middle one at {middle:.1f}"
    )
    return Figure(title=title, said=said, height=height, shapes=shapes)


def bars(title: str, rows: Sequence[tuple[str, float, str]], *, marked: str = "") -> Figure:
    """Return one horizontal bar for each `(name, value, text)`; the marked one stands out."""
    each, left = 26.0, 150.0
    most = max((value for _, value, _ in rows), default=1) or 1
    shapes: list[Shape] = []
    for index, (name, value, text) in enumerate(rows):
        y = 6 + each * index
        width = max(1.0, (WIDTH - left - 96) * value / most)
        fill = SECOND if name == marked else ACCENT
        shapes.append(
            Label(x=left - 10, y=y + 14, text=shorten(name, 24), anchor="end", colour=INK)
        )
        shapes.append(
            Box(x=left, y=y + 3, width=width, height=15, fill=fill, tip=f"{name}: {text}", radius=3)
        )
        shapes.append(Label(x=left + width + 8, y=y + 14, text=text))
    said = "; ".join(f"{name} {text}" for name, _, text in rows) or "no data"
    return Figure(title=title, said=said, height=each * len(rows) + 12, shapes=shapes)


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
    each, left = 24.0, 160.0
    wide = WIDTH - left - _RIGHT
    length = (end - start).total_seconds()
    colours = {"feature": STEPS[1], "code": STEPS[3]}
    marks = {"deployed": GOOD, "rolled back": BAD}
    height = 34 + each * len(rows) + 22

    def place(at: datetime) -> float:
        return left + wide * min(1.0, max(0.0, (at - start).total_seconds() / length))

    shapes: list[Shape] = []
    for day in _marked_days(start.astimezone(zone).date(), end.astimezone(zone).date()):
        x = place(resolve(datetime.combine(day, time()), zone))
        shapes.append(Stroke(points=[(x, 22), (x, height - 24)], colour=LINE))
        anchor: Anchor = "start" if x < left + 20 else "end" if x > left + wide - 20 else "middle"
        shapes.append(Label(x=x, y=14, text=f"{day.day} {_MONTHS[day.month - 1]}", anchor=anchor,
                            size=10))  # fmt: skip
    for index, (name, spans, dots) in enumerate(rows):
        y = 28 + each * index
        shapes.append(
            Label(x=left - 10, y=y + 13, text=shorten(name, 17), anchor="end", colour=INK)
        )
        for kind, begins, over in spans:
            x = place(begins)
            shapes.append(
                Box(
                    x=x, y=y + 4, width=max(1.5, place(over) - x), height=11, fill=colours[kind],
                    tip=f"{name}: {kind} freeze", radius=2,
                )
            )  # fmt: skip
        shapes.extend(
            Dot(x=place(at), y=y + 9.5, radius=5, fill=marks[what], tip=f"{name} {what}")
            for what, at in dots
        )
    legend = [(f"{name} freeze", colour) for name, colour in colours.items()] + [*marks.items()]
    # On a phone letters are larger: the last word needs its room too.
    x = min(left, WIDTH - sum(30 + _LETTER * len(words) for words, _ in legend))
    for words, colour in legend:
        shapes.append(Box(x=x, y=height - 14, width=10, height=10, fill=colour, radius=2))
        shapes.append(Label(x=x + 15, y=height - 5, text=words))
        x += 30 + _LETTER * len(words)
    said = count(len(rows), "release") if rows else "no release in the period"
    if of > len(rows):
        said = f"the newest {len(rows)} of {of} releases"
    return Figure(title=title, said=said, height=height, shapes=shapes)


def _marked_days(first: date, after: date) -> list[date]:
    """Return about six days at equal distances, from the first one on."""
    days = (after - first).days
    step = max(1, math.ceil(days / 6))
    return [first + timedelta(days=passed) for passed in range(0, days + 1, step)]


def _nice(value: float, unit: Unit) -> float:
    if unit is Unit.DURATION:
        return 4 * next((quarter for quarter in _QUARTERS if 4 * quarter >= value), value / 4)
    if unit is Unit.SHARE and value > 0.5:
        return 1.0
    if unit is Unit.PERCENT and value > 50:
        return 100.0
    # A quarter of it is a number that people read, too.
    return _ceiling(value, (1, 2, 4, 8, 10))


def _ceiling(value: float, steps: Sequence[float] = (1, 1.5, 2, 3, 4, 5, 8, 10)) -> float:
    size = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next(size * step for step in steps if size * step >= value * 0.9999)


def _short(value: float, unit: Unit) -> str:
    if unit is Unit.SHARE:
        return f"{round(100 * value, 2):g} %"
    if unit is Unit.DURATION:
        return format_duration(timedelta(seconds=value)) if value else "0"
    return f"{value:g}"
