"""Standard models: pre-approved kinds of change, each a reviewed file under config/models."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field, model_validator

from include.changes.implementation import Implementation
from include.changes.risk import Level
from include.changes.words import Line, Name, Paragraphs
from include.documents import Section, load_section
from include.errors import RequestError, did_you_mean
from include.fields import Duration
from include.ledger.record import content_hash
from include.settings import Settings

Value = str | int | bool


class Parameter(Section):
    """A bounded parameter: one of `choices`, a number from `least` to `most`, or a `pattern`."""

    description: Line
    choices: tuple[Value, ...] = ()
    least: int | None = None
    most: int | None = None
    pattern: Annotated[str, Field(max_length=200)] | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Parameter:
        numbers = self.least is not None and self.most is not None
        if sum((bool(self.choices), numbers, self.pattern is not None)) != 1:
            raise ValueError("bound it by exactly one of: choices, least and most, pattern")
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except re.error as error:
                raise ValueError(f"pattern: {error}") from error
        return self

    def objection(self, value: Value) -> str | None:
        """Return why a value is out of bounds, None if it is not."""
        if self.choices:
            allowed = any(type(item) is type(value) and item == value for item in self.choices)
            return None if allowed else f"must be one of {', '.join(map(_as_yaml, self.choices))}"
        if self.pattern is not None:
            text = isinstance(value, str) and len(value) <= 200
            return (
                None
                if text and re.fullmatch(self.pattern, str(value))
                else f"must match {self.pattern}"
            )
        whole = isinstance(value, int) and not isinstance(value, bool)
        least, most = self.least or 0, self.most or 0
        return (
            None
            if whole and least <= int(value) <= most
            else f"must be a whole number from {self.least} to {self.most}"
        )


def _as_yaml(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class Model(Section):
    """A kind of change that the board has approved in advance, within these bounds."""

    title: Line
    version: int = Field(ge=1)
    description: Paragraphs
    systems: tuple[Name, ...] = Field(min_length=1)
    risk_level: Level
    downtime_required: bool = False
    rollback_plan: Paragraphs
    duration: Duration = Field(gt=timedelta(0))
    rollback: Duration = Field(ge=timedelta(0))
    parameters: dict[Name, Parameter] = Field(default_factory=dict)
    implementation: Implementation

    @property
    def digest(self) -> str:
        """Return what the board approves: SHA-256 over everything that the model says."""
        return content_hash(self.model_dump(mode="json"))


def model_names(settings: Settings) -> frozenset[str]:
    """Return the names of the catalogue's models."""
    return frozenset(path.stem for path in settings.config_file("models").glob("*.yaml"))


def load_model(settings: Settings, name: str) -> Model:
    """Return a model of the catalogue; RequestError if there is none, ConfigError if it is bad."""
    known = model_names(settings)
    if name not in known:
        raise RequestError(
            f'there is no standard model "{name[:60]}"{did_you_mean(name[:60], known)}'
        )
    relative = f"models/{name}.yaml"
    return load_section(settings.config_file(relative), Model, name=settings.label(relative))


def misfits(model: Model, content: Mapping[str, Any]) -> list[str]:
    """Return everything in which a change leaves the bounds of its model."""
    given = content.get("parameters") or {}
    found = [
        f"the parameter {name} {message}"
        for name, message in parameter_objections(model.parameters, given)
    ]
    outside = sorted(set(content.get("affected_systems") or ()) - set(model.systems))
    if outside:
        found.append(f"touches {', '.join(outside)}, and the model only {', '.join(model.systems)}")
    risk = content.get("risk") or {}
    if risk.get("downtime_required") and not model.downtime_required:
        found.append("needs downtime, which the model does not")
    if filled(model, content.get("parameters") or {}) != content.get("implementation"):
        found.append("is not implemented as the model says")
    return found


def filled(model: Model, parameters: Mapping[str, Value]) -> dict[str, Any]:
    """Return the model's implementation with its parameters filled in where `{name}` stands."""
    plain: dict[str, Any] = _fill(model.implementation.model_dump(mode="json"), parameters)
    return plain


def _fill(value: Any, parameters: Mapping[str, Value]) -> Any:
    if isinstance(value, str):
        whole = re.fullmatch(r"\{([a-z_]+)\}", value)
        if whole and whole[1] in parameters:
            return parameters[whole[1]]
        return re.sub(
            r"\{([a-z_]+)\}", lambda match: str(parameters.get(match[1], match[0])), value
        )
    if isinstance(value, Mapping):
        return {key: _fill(item, parameters) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_fill(item, parameters) for item in value]
    return value


def parameter_objections(
    parameters: Mapping[str, Parameter], given: Mapping[str, Value]
) -> Iterator[tuple[str, str]]:
    """Return (name, message) for each value that is not taken, out of bounds, or missing."""
    for name in given:
        if name not in parameters:
            yield name, f"is not taken{did_you_mean(name[:60], parameters)}"
    for name, parameter in parameters.items():
        if name not in given:
            yield name, f"is missing ({parameter.description})"
        elif (wrong := parameter.objection(given[name])) is not None:
            yield name, wrong
