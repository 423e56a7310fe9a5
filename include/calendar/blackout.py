"""Blackouts and freezes: when production may not be changed, whatever window is open.

Deny beats allow. An exception lifts a blackout for a while, for named systems or changes, and has
an owner, a reason, an end and a compensating control.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from include.calendar.spans import subtract
from include.calendar.wall_time import Span
from include.calendar.window import ALL_SYSTEMS, WallHours

PRODUCTION = "production"
EVERYWHERE = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class BlackoutException:
    """Who lifted a blackout, for what, until when, and what guards production meanwhile."""

    owner: str
    reason: str
    control: str
    end: datetime
    start: datetime | None = None
    systems: frozenset[str] = frozenset({ALL_SYSTEMS})
    changes: frozenset[str] = frozenset()

    def lifts(self, system: str, change: str | None) -> bool:
        """Whether it speaks for this system and change; no `changes` means any change."""
        named = not self.changes or change in self.changes
        return named and (ALL_SYSTEMS in self.systems or system in self.systems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blackout:
    """A time of no changes: `span` once, or `hours` again and again.

    `hard` ones stop emergencies too. `kind` is the machine reason that answers give for it:
    `blackout`, or `freeze` where a freeze was entered for a release or an incident.
    """

    name: str
    reason: str
    span: Span | None = None
    hours: WallHours | None = None
    systems: frozenset[str] = frozenset({ALL_SYSTEMS})
    environments: frozenset[str] = frozenset({EVERYWHERE})
    hard: bool = True
    exceptions: tuple[BlackoutException, ...] = ()
    kind: str = "blackout"

    def concerns(self, system: str, environment: str) -> bool:
        """Whether it stops changes to `system` there; `*` is asked for the whole of production."""
        here = EVERYWHERE in self.environments or environment in self.environments
        return here and (ALL_SYSTEMS in self.systems or system in self.systems)

    def spans(self, start: datetime, end: datetime) -> Iterator[Span]:
        """Yield what of it overlaps `[start, end)`, each with its true ends, in order."""
        if self.span is not None and self.span.start < end and start < self.span.end:
            yield self.span
        if self.hours is not None:
            for _, span, _ in self.hours.spans(start, end):
                yield span

    def holds(self, span: Span, *, system: str, change: str | None) -> list[Span]:
        """Return what of `span` still holds for `system` and `change` after its exceptions."""
        holes = sorted(
            Span(item.start or span.start, item.end)
            for item in self.exceptions
            if item.lifts(system, change)
        )
        left = [span]
        for hole in holes:
            left = subtract(left, [hole])
        return left
