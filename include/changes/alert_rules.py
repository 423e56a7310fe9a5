"""config/alerts/*.yaml: the alerting rules of production, as files that Prometheus loads.

A rule says by its labels what it watches: `system: api` (or several, `api, cache`), or
`service: hims-api` for all systems of that service. What no rule watches may be watched by other
means: of that somebody gives their word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pydantic import ConfigDict, Field

from include.changes.systems import Systems
from include.documents import Document, Section, read_document, validate_document
from include.errors import ConfigError, Problem, did_you_mean
from include.settings import Settings

FOLDER = "alerts"


class _Open(Section):
    # Of a rule only what it watches is ours to judge; the rest is between it and Prometheus.
    model_config = ConfigDict(extra="ignore")


class _Rule(_Open):
    alert: str | None = Field(default=None, min_length=1)
    expr: str = Field(min_length=1)
    labels: dict[str, str] = Field(default_factory=dict)


class _Group(_Open):
    name: str
    rules: tuple[_Rule, ...] = ()


class _File(_Open):
    groups: tuple[_Group, ...] = Field(min_length=1)


def alerts_by_system(settings: Settings, systems: Systems) -> Mapping[str, tuple[str, ...]]:
    """Return the names of the alerts that watch each system.

    Raises ConfigError with file, line and key for a file that Prometheus would not load either,
    and for a label that names no system or service.
    """
    found: dict[str, set[str]] = {}
    problems: list[Problem] = []
    for path in sorted(settings.config_file(FOLDER).glob("*.yaml")):
        document = read_document(path, name=settings.label(f"{FOLDER}/{path.name}"))
        file = validate_document(document, _File)
        for place, rule in _alerting(file):
            watched, wrong = _watched(rule, settings, systems)
            problems += [_problem(document, place, label, said) for label, said in wrong]
            for system in watched:
                found.setdefault(system, set()).add(str(rule.alert))
    if problems:
        raise ConfigError(problems)
    return {system: tuple(sorted(names)) for system, names in found.items()}


def _alerting(file: _File) -> Iterator[tuple[tuple[int, int], _Rule]]:
    for number, group in enumerate(file.groups):
        for index, rule in enumerate(group.rules):
            if rule.alert is not None and rule.expr.strip():
                yield (number, index), rule


def _watched(
    rule: _Rule, settings: Settings, systems: Systems
) -> tuple[set[str], list[tuple[str, str]]]:
    watched: set[str] = set()
    wrong: list[tuple[str, str]] = []
    for name in _names(rule.labels.get("system")):
        if name in systems.titles:
            watched.add(name)
        else:
            hint = did_you_mean(name[:60], systems.titles)
            wrong.append(("system", f'"{name[:60]}" is no system of config/systems.yaml{hint}'))
    for name in _names(rule.labels.get("service")):
        if name in settings.services:
            watched |= set(settings.service(name).systems)
        else:
            hint = did_you_mean(name[:60], settings.services)
            wrong.append(("service", f'"{name[:60]}" is no service of config/services{hint}'))
    return watched, wrong


def _names(label: str | None) -> Iterable[str]:
    return [part.strip() for part in (label or "").split(",") if part.strip()]


def _problem(document: Document, place: tuple[int, int], label: str, said: str) -> Problem:
    number, index = place
    return document.problem(("groups", number, "rules", index, "labels", label), said)
