"""What else is going on, read from a YAML file, for questions asked without a ledger.

    changes: [{id: CHG-8, start: 2026-11-28T07:00:00Z, end: …, systems: [api], people: [ann]}]
    freezes: [{release: hims-2.4.0, start: …, end: …, systems: [api], refused: [feat]}]
    incidents: [{id: INC-3, severity: P1, start: …, end: …, systems: [api]}]
    dependencies: {api: [db]}

No `systems` means all of them; no `refused` means every commit type. An incident without an `end`
is open until further notice.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from include.calendar.proposal import Booking, OpenIncident, ReleaseFreeze, Surroundings
from include.calendar.wall_time import Span
from include.documents import Section, load_section
from include.fields import Instant

_NEVER = datetime(2200, 12, 31, tzinfo=UTC)
Word = Annotated[str, Field(min_length=1, max_length=200)]


class _Timed(Section):
    start: Instant
    end: Instant = _NEVER
    systems: tuple[Word, ...] = ()

    @property
    def span(self) -> Span:
        return Span(self.start, self.end)

    @model_validator(mode="after")
    def _in_order(self) -> _Timed:
        if self.start >= self.end:
            raise ValueError("end is not after start")
        return self


class _Change(_Timed):
    id: Word
    end: Instant
    people: tuple[Word, ...] = ()


class _Freeze(_Timed):
    release: Word
    refused: tuple[Word, ...] | None = None


class _Incident(_Timed):
    id: Word
    severity: Annotated[str, Field(pattern="^P[1-4]$")]


class _Surroundings(Section):
    changes: tuple[_Change, ...] = ()
    freezes: tuple[_Freeze, ...] = ()
    incidents: tuple[_Incident, ...] = ()
    dependencies: dict[Word, tuple[Word, ...]] = Field(default_factory=dict)


def load_surroundings(path: Path) -> Surroundings:
    """Return what the file says; raise ConfigError with file, line and key of all that is wrong."""
    section = load_section(path, _Surroundings)
    return Surroundings(
        bookings=tuple(
            Booking(id=item.id, span=item.span, systems=item.systems, people=frozenset(item.people))
            for item in section.changes
        ),
        freezes=tuple(
            ReleaseFreeze(
                release=item.release,
                span=item.span,
                systems=item.systems,
                refused=None if item.refused is None else frozenset(item.refused),
            )
            for item in section.freezes
        ),
        incidents=tuple(
            OpenIncident(id=item.id, severity=item.severity, span=item.span, systems=item.systems)
            for item in section.incidents
        ),
        dependencies={key: frozenset(value) for key, value in section.dependencies.items()},
    )
