"""A change before its guards: what it says, what else the ledger holds, and the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import Connection

from include.calendar import ChangeCalendar
from include.changes.change import Change
from include.changes.surroundings import surroundings
from include.entries.whole_calendar import whole_calendar
from include.instants import parse_duration, parse_instant
from include.ledger import Unit
from include.settings import Settings

if TYPE_CHECKING:
    from include.calendar.proposal import Proposal, Surroundings
    from include.changes.catalogue import Catalogue
    from include.changes.commit_authors import Written
    from include.people import People


CALENDAR = "calendar.yaml"


@dataclass(frozen=True, kw_only=True)
class Case:
    """What the guards look at. The configuration is read on first use, once for all of them."""

    change: Change
    connection: Connection
    now: datetime
    settings: Settings
    catalogue_of: Callable[[], Catalogue]

    def about(self, change: Change, unit: Unit) -> Case:
        """Return the case of the change as it is now, inside a unit of work."""
        return replace(self, change=change, connection=unit.connection, now=unit.now)

    @cached_property
    def people(self) -> People:
        """Return config/people.yaml."""
        from include.people import load_people

        return load_people(self.settings)

    @property
    def catalogue(self) -> Catalogue:
        """Return the configuration. Raises ConfigError when it is not usable."""
        return self.catalogue_of()

    @cached_property
    def calendar(self) -> ChangeCalendar:
        """Return the calendar as it is now, with what was entered into the ledger.

        Raises ConfigError when its file is not usable.
        """
        label = self.settings.label(CALENDAR)
        return whole_calendar(self.settings.config_file(CALENDAR), self.connection, name=label)

    @cached_property
    def written(self) -> Written:
        """Return who wrote the commits that the change brings; a release's train says that."""
        from include.changes.commit_authors import Written, written_by

        if self.change.release_id is not None:
            return Written()
        return written_by(self.settings, self.content)

    @property
    def content(self) -> Any:
        """Return what the change says."""
        return self.change.content

    @property
    def emergency(self) -> bool:
        """Return whether the change needs no window."""
        return self.change.type == "emergency"

    @cached_property
    def work(self) -> timedelta:
        """Return how long the work takes."""
        return self._length("duration")

    @cached_property
    def way_back(self) -> timedelta:
        """Return how long the way back takes."""
        return self._length("rollback")

    @property
    def needs(self) -> timedelta:
        """Return what has to be left of a window when the work starts."""
        return self.work + self.way_back

    @cached_property
    def planned(self) -> tuple[datetime, datetime] | None:
        """Return the stretch in which it may happen, None where none is planned."""
        slot = self.content.get("slot") or {}
        if not slot.get("earliest") or not slot.get("latest"):
            return None
        return parse_instant(slot["earliest"]), parse_instant(slot["latest"])

    def around(self, start: datetime, end: datetime) -> Surroundings:
        """Return what else goes on between two instants."""
        return surroundings(self.connection, start, end, dependencies=self.catalogue.systems.needs)

    def proposal(self, start: datetime) -> Proposal:
        """Return the work as the calendar judges it, starting at an instant."""
        from include.calendar import Span
        from include.calendar.proposal import Proposal

        scope = self.content.get("scope") or {}
        types: frozenset[str] | None = frozenset(scope.get("commit_types") or ())
        if scope.get("commits") and not types:
            types = None
        return Proposal(
            id=self.change.id,
            span=Span(start, start + self.work),
            systems=self.change.systems,
            people=frozenset(self.content.get("implementers") or ()),
            rollback=self.way_back,
            commit_types=types,
            incident=self.change.incident_id if self.emergency else None,
        )

    def _length(self, name: str) -> timedelta:
        given = (self.content.get("slot") or {}).get(name)
        if given:
            return parse_duration(str(given))
        found: timedelta = getattr(self.catalogue.policy.defaults, name)
        return found


def case_of(change: Change, connection: Connection, now: datetime, settings: Settings) -> Case:
    """Return the case of a change."""

    @cache
    def catalogue() -> Catalogue:
        from include.changes.catalogue import load_catalogue

        return load_catalogue(settings)

    return Case(
        change=change,
        connection=connection,
        now=now,
        settings=settings,
        catalogue_of=catalogue,
    )
