"""config/systems.yaml: what production consists of, and what needs what.

Two systems may need each other, directly or around a circle: such are felt in each other, and a
file that could not say so would hide conflicts. What walks along needs goes to each system once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from pydantic import Field

from include.documents import Section, read_document, validate_document
from include.errors import ConfigError, did_you_mean
from include.fields import Duration
from include.settings import Settings


class _System(Section):
    title: str
    needs: tuple[str, ...] = ()
    data: bool = False
    infrastructure: bool = False


class _File(Section):
    reviewed: date
    stale_after: Duration
    systems: dict[str, _System] = Field(min_length=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Systems:
    """The systems by name. `data` hold data that a backup must save; `needs` are direct."""

    titles: Mapping[str, str]
    needs: Mapping[str, frozenset[str]]
    data: frozenset[str]
    infrastructure: frozenset[str]
    reviewed: date
    stale_after: timedelta

    def touched_by(self, systems: Iterable[str]) -> tuple[str, ...]:
        """Return all that a change of `systems` can be felt in: they, and all that needs them."""
        found = set(systems)
        waiting = list(found)
        while waiting:
            one = waiting.pop()
            for name, needed in self.needs.items():
                if one in needed and name not in found:
                    found.add(name)
                    waiting.append(name)
        return tuple(sorted(found))

    def stale(self, on: date) -> str | None:
        """Return the sentence that says for how long nobody has reviewed the file, if too long."""
        age = on - self.reviewed
        if age <= self.stale_after:
            return None
        return f"config/systems.yaml was reviewed {age.days} days ago; dependencies may be missing"


def load_systems(settings: Settings) -> Systems:
    """Return the systems of the file and those of the services; ConfigError for needs that are
    unknown, or the system itself."""
    name = "systems.yaml"
    document = read_document(settings.config_file(name), name=settings.label(name))
    file = validate_document(document, _File)
    problems = [
        document.problem(
            ("systems", system, "needs", index),
            f'"{needed}" is no system{did_you_mean(needed, file.systems)}',
        )
        for system, section in file.systems.items()
        for index, needed in enumerate(section.needs)
        if needed not in file.systems
    ]
    problems += [
        document.problem(
            ("systems", system, "needs", section.needs.index(system)),
            f"{system} needs itself; name what else has to run for it, or nothing",
        )
        for system, section in file.systems.items()
        if system in section.needs
    ]
    if problems:
        raise ConfigError(problems)
    titles = {system: section.title for system, section in file.systems.items()}
    for service in settings.services:
        for system in settings.service(service).systems:
            titles.setdefault(system, system)
    return Systems(
        titles=titles,
        needs={system: frozenset(section.needs) for system, section in file.systems.items()},
        data=frozenset(system for system, section in file.systems.items() if section.data),
        infrastructure=frozenset(
            system for system, section in file.systems.items() if section.infrastructure
        ),
        reviewed=file.reviewed,
        stale_after=file.stale_after,
    )
