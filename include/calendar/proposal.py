"""Work that somebody would like to do at a certain time, and what else is going on then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from include.calendar.wall_time import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A piece of work at a time: `span` is from its start to the end of its forward part.

    `rollback` is what the way back would take after that. `commit_types` None means that the
    commits are not known, which a freeze reads as the worst; empty means that there are none.
    With `incident` it is an emergency.
    """

    id: str
    span: Span
    systems: tuple[str, ...] = ()
    people: frozenset[str] = frozenset()
    rollback: timedelta = timedelta(0)
    commit_types: frozenset[str] | None = frozenset()
    environment: str = "production"
    incident: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """Another change that is authorised for a time; no systems means all of them."""

    id: str
    span: Span
    systems: tuple[str, ...] = ()
    people: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseFreeze:
    """A freeze of a release line: `refused` commit types, None for all of them."""

    release: str
    span: Span
    systems: tuple[str, ...] = ()
    refused: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenIncident:
    """An incident that is, or was, open during `span`; `severity` is P1 to P4."""

    id: str
    severity: str
    span: Span
    systems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What else is going on. `dependencies` says which systems each system needs."""

    bookings: tuple[Booking, ...] = ()
    freezes: tuple[ReleaseFreeze, ...] = ()
    incidents: tuple[OpenIncident, ...] = ()
    dependencies: Mapping[str, frozenset[str]] = field(default_factory=dict)
