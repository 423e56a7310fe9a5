"""A report as values: the plan's sections, each a list of blocks, before any form is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from include.reports.figure import Figure
from include.reports.metrics.metric import Metric
from include.reports.metrics.scorecard import Scorecard
from include.reports.period import Period


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """A list of sentences; `nothing` is said where there are none. `title` says what they are."""

    items: Sequence[str]
    nothing: str
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table; `nothing` is said where it has no rows, `more` counts the rows left out."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    nothing: str
    more: int = 0
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A figure to be seen at a glance, with what it was in the period before."""

    metric: Metric
    before: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiles:
    """Several figures side by side."""

    items: Sequence[Tile]


Block = Words | Points | Grid | Tiles | Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One section, under the plan's own heading."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A whole report. `as_of` is what the ledger had to know by then; `provisional` says that the
    report was made before that instant, or that this is before it is due."""

    organisation: str
    title: str
    period: Period
    as_of: datetime
    provisional: bool
    service: str | None
    summary: str
    sections: Sequence[Section]
    card: Scorecard
    calendar_digest: str
    corrections: Sequence[str] = field(default=())
    # Whether it is what is made when it is due; another view never takes that one's place.
    as_due: bool = True

    @property
    def id(self) -> str:
        """Return the report's name: its kind and its period, its service if it is about one, and as
        of when it is if it is not what is due."""
        about = f"-{self.service}" if self.service else ""
        view = "" if self.as_due else f"-as-of-{self.as_of.astimezone(UTC):%Y%m%dT%H%M%SZ}"
        return f"{self.period.kind}-{self.period.name}{about}{view}"
