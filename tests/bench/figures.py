"""What a bench says: figures with what they are held against, and the table of them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """`ours` against `peer`, both in `unit`.

    The goal is at most `times` the peer, at most `above` units over it, or at most `most` units.

    Without a goal the figure is there to understand the others by.
    """

    name: str
    ours: float
    peer: float | None = None
    unit: str = "s"
    times: float | None = None
    above: float | None = None
    most: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Return ours / peer; None where there is no peer to divide by."""
        return self.ours / self.peer if self.peer else None

    @property
    def met(self) -> bool | None:
        """Return whether the goal is met; None without a goal. No peer meets no relative goal."""
        if self.most is not None:
            return self.ours <= self.most
        if self.times is None and self.above is None:
            return None
        if self.peer is None:
            return False
        limit = self.peer * self.times if self.times is not None else self.peer + (self.above or 0)
        return self.ours <= limit

    def document(self) -> dict[str, Any]:
        """Return the figure as JSON has it."""
        return {**asdict(self), "ratio": self.ratio, "met": self.met}

    def row(self) -> tuple[str, ...]:
        """Return the figure as cells of the table."""
        ratio = "" if self.ratio is None or self.most is not None else f"{self.ratio:.2f}×"
        if self.above is not None and self.peer is not None:
            ratio = f"{self.ours - self.peer:+.1f} {self.unit}"
        met = {True: "yes", False: "NO", None: ""}[self.met]
        return (self.name, self._value(self.ours), self._value(self.peer), ratio, self._goal(), met)

    def _goal(self) -> str:
        if self.most is not None:
            return f"≤ {self._value(self.most)}"
        if self.above is not None:
            return f"≤ +{self._value(self.above)}"
        return "" if self.times is None else f"≤ {self.times:g}×"

    def _value(self, value: float | None) -> str:
        if value is None:
            return ""
        digits = {"s": 3, "ms": 1}.get(self.unit, 0)
        return f"{value:.{digits}f} {self.unit}".rstrip()


HEAD = ("figure", "ours", "floor / peer", "ratio", "goal", "met?")


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as lines of aligned columns, each with its note below."""
    rows = [figure.row() for figure in figures]
    widths = [max(len(row[column]) for row in [HEAD, *rows]) for column in range(len(HEAD))]
    lines = [_line(HEAD, widths), "-" * (sum(widths) + 2 * len(widths) - 2)]
    for figure, row in zip(figures, rows, strict=True):
        lines.append(_line(row, widths))
        if figure.note:
            lines.append(f"    {figure.note}")
    return "\n".join(lines)


def median(values: Sequence[float]) -> float:
    """Return the median; a bench that measured nothing has failed, and says so."""
    if not values:
        raise RuntimeError("nothing was measured")
    return statistics.median(values)


def p90(values: Sequence[float]) -> float:
    """Return the 90th percentile."""
    return (
        statistics.quantiles(values, n=10, method="inclusive")[8] if len(values) > 1 else values[0]
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = [
        cell.ljust(width) if column == 0 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join([first, *others]).rstrip()
