"""A figure as lists of shapes: what SVG and PDF have in common, so that both show the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

INK, SOFT, LINE, ACCENT, SECOND, GOOD, BAD = (
    "#16262e", "#5b6f78", "#dbe4e8", "#0f6e84", "#d9822b", "#2b8a57", "#c0392b",
)  # fmt: skip
Anchor = Literal["start", "middle", "end"]
STEPS = ("#edf2f4", "#c3dfe5", "#86bfcb", "#3f97a9", "#0f6e84", "#0a4b5b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A filled rectangle; `tip` says what it stands for."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    tip: str = ""
    radius: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stroke:
    """A line through points."""

    points: Sequence[tuple[float, float]]
    colour: str
    width: float = 1
    dashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A filled circle."""

    x: float
    y: float
    radius: float
    fill: str
    tip: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A line of text; `y` is its baseline."""

    x: float
    y: float
    text: str
    anchor: Anchor = "start"
    size: float = 11
    colour: str = SOFT
    bold: bool = False


Shape = Box | Stroke | Dot | Label


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Shapes on a sheet of this size."""

    width: float
    height: float
    shapes: Sequence[Shape]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """The same drawn twice, for a desk and paper and for a phone; `said` is what it shows, in
    words, for those who do not see it."""

    title: str
    said: str
    wide: Drawing
    narrow: Drawing
