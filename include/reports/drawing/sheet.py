"""The two sheets on which every figure is drawn: one for a desk and for paper, one for a phone.

A drawing that is made for a desk and shown at half its size has letters that nobody reads; larger
ones would stand on top of each other. So a phone gets a drawing of its own, from the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from include.reports.figure import INK, SOFT, Anchor, Box, Drawing, Figure, Label, Shape

# Not by strftime, which speaks the process's locale.
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MARK, _GAP = 10.0, 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Where a figure is drawn, in units of which each is a pixel at least where it is shown.

    `size` is that of the letters, `left` and `right` are the room beside a plot. `beside` is the
    room for names to the left of their lines; on a sheet that has none they stand above them.
    """

    width: float
    size: float
    left: float
    right: float
    beside: float

    @property
    def line(self) -> float:
        """Return the distance from one line of text to the next."""
        return math.ceil(1.6 * self.size)

    def length(self, words: str) -> float:
        """Return how much room words need at most, in the common sans-serif letters."""
        return 0.58 * self.size * len(words)

    def fits(self, room: float) -> int:
        """Return how many letters have room."""
        return int(room / self.length("x"))

    def label(
        self, x: float, y: float, text: str, anchor: Anchor = "start", colour: str = SOFT
    ) -> Label:
        """Return a line of text in this sheet's letters."""
        return Label(x=x, y=y, text=text, anchor=anchor, size=self.size, colour=colour)

    def legend(
        self, entries: Sequence[tuple[str, str]], x: float, y: float, colour: str = INK
    ) -> tuple[float, list[Shape]]:
        """Return what `(words, colour)` stand for, from `x`, `y` on in as many lines as it takes,
        and how far down they reach."""
        shapes: list[Shape] = []
        at, base = x, y + self.size
        for words, fill in entries:
            room = _MARK + _GAP + self.length(words)
            if at > x and at + room > self.width:
                at, base = x, base + self.line
            shapes.append(
                Box(x=at, y=base - _MARK + 1, width=_MARK, height=_MARK, fill=fill, radius=2)
            )
            shapes.append(self.label(at + _MARK + _GAP, base, words, colour=colour))
            at += room + 2 * self.size
        return base + _GAP, shapes


WIDE = Sheet(width=640, size=11, left=56, right=16, beside=160)
# A phone shows it in about its own width.
NARROW = Sheet(width=330, size=12, left=46, right=8, beside=0)


def draw(title: str, said: str, on: Callable[[Sheet], tuple[float, Sequence[Shape]]]) -> Figure:
    """Return a figure from what draws it on a sheet: the height that it takes, and its shapes."""
    wide, narrow = (
        Drawing(width=sheet.width, height=height, shapes=shapes)
        for sheet in (WIDE, NARROW)
        for height, shapes in [on(sheet)]
    )
    return Figure(title=title, said=said, wide=wide, narrow=narrow)


def ceiling(value: float, steps: Sequence[float] = (1, 1.5, 2, 3, 4, 5, 8, 10)) -> float:
    """Return the next number up from `value` that people read at a glance."""
    size = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next(size * step for step in steps if size * step >= value * 0.9999)
