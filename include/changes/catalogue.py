"""Everything that a change request may name, read from the configuration once."""

from __future__ import annotations

from dataclasses import dataclass

from include.approvals import Board, load_board
from include.calendar import ChangeCalendar, load_calendar
from include.changes.policy import ChangePolicy, load_change_policy
from include.changes.request import Known
from include.changes.risk import RiskPolicy, load_risk_policy
from include.changes.standard import model_names
from include.changes.systems import Systems, load_systems
from include.people import People, load_people
from include.privacy import load_guard
from include.settings import Settings

CALENDAR = "calendar.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """The configuration that changes are judged by, as it is now."""

    settings: Settings
    calendar: ChangeCalendar
    systems: Systems
    people: People
    board: Board
    policy: ChangePolicy
    risk: RiskPolicy

    @property
    def known(self) -> Known:
        """Return the names that a request may use."""
        return Known(
            calendar=self.calendar,
            systems=frozenset(self.systems.titles),
            seats=frozenset(self.board.seats),
            people=frozenset(person.user for person in self.people.people),
            services=frozenset(self.settings.services),
            models=model_names(self.settings),
            guard=load_guard(self.settings),
            settings=self.settings,
        )


def load_catalogue(settings: Settings) -> Catalogue:
    """Return the catalogue; ConfigError names what is wrong in the file that cannot be used."""
    people = load_people(settings)
    return Catalogue(
        settings=settings,
        calendar=load_calendar(settings.config_file(CALENDAR), name=settings.label(CALENDAR)),
        systems=load_systems(settings),
        people=people,
        board=load_board(settings, people),
        policy=load_change_policy(settings),
        risk=load_risk_policy(settings),
    )
