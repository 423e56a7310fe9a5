"""What a service is configured with in an environment, and where every value comes from.

Later levels go over earlier ones, key by key; lists and scalars replace, mappings merge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from include.configuration.clear_secret import clear_secrets
from include.documents import Document, read_document
from include.errors import ConfigError, Problem, RequestError, did_you_mean
from include.ledger.record import content_hash
from include.settings import Settings

LEVELS = ("global", "environment", "service", "flags")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One level's word on a key: which file says it on which line, or which change set it."""

    level: str
    file: str
    line: int | None
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The values, the origins of each leaf (the last one holds), and the hash over the values."""

    service: str
    environment: str
    values: Mapping[str, Any]
    origins: Mapping[str, tuple[Origin, ...]]

    @property
    def digest(self) -> str:
        """Return `sha256:<hex>` over the canonical JSON of the values."""
        return content_hash(self.values)

    def why(self, key: str) -> tuple[Origin, ...]:
        """Return every level's word on a key, the first one first; RequestError if none."""
        if key not in self.origins:
            inside = [name for name in self.origins if name.startswith(f"{key}.")]
            hint = f"; it holds {', '.join(inside[:8])}" if inside else (
                did_you_mean(key[:80], self.origins)
            )  # fmt: skip
            raise RequestError(f'nothing sets "{key[:80]}" for {self.service}{hint}')
        return self.origins[key]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A flag that a change has set at run time; it goes over every file."""

    name: str
    value: Any
    change: str


def resolve(
    settings: Settings, service: str, environment: str, *, flips: Iterable[Flip] = ()
) -> Resolved:
    """Return what `service` is configured with in `environment`.

    Raises RequestError for a service or environment that there is none of, ConfigError for files
    that cannot be used and for secrets in clear, with file, line and key of each.
    """
    configured = settings.service(service)
    known = sorted(
        {path.stem for path in settings.config_file("values/environments").glob("*.yaml")}
        | set(configured.environments)
    )
    if environment not in known:
        raise RequestError(
            f'there is no environment "{environment[:60]}"{did_you_mean(environment[:60], known)}'
        )
    values: dict[str, Any] = {}
    origins: dict[str, list[Origin]] = {}
    problems: list[Problem] = []
    for level, document, path in _sources(settings, service, environment):
        part = _part(document, path)
        problems += [
            document.problem((*path, str(name), *inner), message)
            for name, value in part.items()
            for inner, message in clear_secrets(str(name), value)
        ]
        _lay(values, origins, level, document, path, part)
    placement = configured.environments.get(environment)
    if placement is not None:
        # What a service is started with stands beside its ports: flags of the plan's kind.
        label = settings.label(f"services/{service}.yaml")
        for name, value in placement.config.items():
            key = f"features.{name}"
            where = f"environments.{environment}.config.{name}"
            meant = {"true": True, "false": False}.get(value, value)
            problems += [
                Problem(file=label, key=where, message=message)
                for _, message in clear_secrets(name, meant)
            ]
            _set(values, origins, key, Origin(level="service", file=label, line=None, value=meant))
    for flip in flips:
        origin = Origin(level="flags", file=flip.change, line=None, value=flip.value)
        _set(values, origins, f"features.{flip.name}", origin)
    if problems:
        raise ConfigError(problems)
    return Resolved(
        service=service,
        environment=environment,
        values=values,
        origins={key: tuple(found) for key, found in origins.items()},
    )


def _sources(
    settings: Settings, service: str, environment: str
) -> Iterator[tuple[str, Document, tuple[str, ...]]]:
    for level, relative, path in (
        ("global", "values/global.yaml", ()),
        ("environment", f"values/environments/{environment}.yaml", ()),
        ("service", f"values/services/{service}.yaml", ("all",)),
        ("service", f"values/services/{service}.yaml", (environment,)),
    ):
        file = settings.config_file(relative)
        if file.exists():
            yield level, read_document(file, name=settings.label(relative)), path


def _part(document: Document, path: tuple[str, ...]) -> Mapping[str, Any]:
    data = document.data
    for step in path:
        data = data.get(step) if isinstance(data, Mapping) else None
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise ConfigError([document.problem(path, "must hold keys with values")])
    return data


def _lay(
    values: dict[str, Any],
    origins: dict[str, list[Origin]],
    level: str,
    document: Document,
    path: tuple[str, ...],
    part: Mapping[str, Any],
    prefix: str = "",
) -> None:
    for name, value in part.items():
        key = f"{prefix}{name}"
        here = (*path, str(name))
        if isinstance(value, Mapping):
            _lay(values, origins, level, document, here, value, f"{key}.")
        else:
            line = document.line(here)
            origin = Origin(level=level, file=document.file, line=line, value=value)
            _set(values, origins, key, origin)


def _set(
    values: dict[str, Any], origins: dict[str, list[Origin]], key: str, origin: Origin
) -> None:
    here = values
    *steps, last = key.split(".")
    for index, step in enumerate(steps):
        inner = here.get(step)
        if not isinstance(inner, dict):
            # A mapping goes over what was a value: the value's own origins end here.
            origins.pop(".".join(steps[: index + 1]), None)
            inner = here[step] = {}
        here = inner
    if isinstance(here.get(last), dict):
        for gone in [name for name in origins if name.startswith(f"{key}.")]:
            del origins[gone]
    here[last] = origin.value
    origins.setdefault(key, []).append(origin)
