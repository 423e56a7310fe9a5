"""Standard models: pre-approved kinds of change, each a reviewed file under config/models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from pydantic import Field, model_validator

from include.changes.implementation import Implementation, ModelWork, RunbookWork
from include.changes.parameter import PLACE, Parameter, Value, fill_in, parameter_objections
from include.changes.risk import LEVELS, Level, answers_of, assess, load_risk_policy
from include.changes.runbook import frozen_steps, load_runbook
from include.changes.words import Line, Name, Paragraphs
from include.documents import Section, load_section
from include.errors import InputError, RequestError, did_you_mean
from include.fields import Duration
from include.instants import format_duration
from include.ledger.record import content_hash
from include.settings import Settings


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

    @model_validator(mode="after")
    def _consistent(self) -> Model:
        if isinstance(self.implementation, ModelWork):
            message = "implementation: a model is approved by the board, never by a model"
            raise ValueError(message)  # noqa: TRY004 - pydantic explains only ValueErrors
        used = set(_places(self.implementation.model_dump(mode="json")))
        if unused := [name for name in self.parameters if name not in used]:
            raise ValueError(
                f"implementation: nothing in it takes {', '.join(unused)[:200]}; write its name in "
                "braces where its value goes"
            )
        return self


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


def model_digest(settings: Settings, model: Model) -> str:
    """Return what the board approves: SHA-256 over everything that the model says, and over the
    runbook that it follows. RequestError and ConfigError where that runbook cannot be used."""
    said = model.model_dump(mode="json")
    if isinstance(model.implementation, RunbookWork):
        book = load_runbook(settings, model.implementation.runbook)
        said["steps"] = book.model_dump(mode="json")
    return content_hash(said)


def misfits(settings: Settings, model: Model, content: Mapping[str, Any]) -> list[str]:
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
    found += _riskier(settings, model, content)
    found += _lengths(model, content.get("slot") or {})
    scope = content.get("scope") or {}
    if scope.get("commits") or scope.get("artefact"):
        found.append("brings code (scope), which the model does not")
    if seats := content.get("approvals_required"):
        named = ", ".join(seats).replace("_", " ")
        found.append(f"asks for the approval of {named}, and is put to nobody: make it normal")
    if not found and _otherwise(settings, model, content):
        found.append("is not implemented as the model says")
    return found


def _riskier(settings: Settings, model: Model, content: Mapping[str, Any]) -> Iterator[str]:
    declared = (content.get("risk") or {}).get("level")
    if declared is not None and LEVELS.index(declared) > LEVELS.index(model.risk_level):
        yield f"is of {declared} risk, and the model of {model.risk_level}"
        return
    policy = load_risk_policy(settings)
    # What a change that answers nothing comes to, the board has approved with the model.
    silent = assess(policy, declared=model.risk_level, answers={}, evidence={}).level
    computed = assess(policy, declared=None, answers=answers_of(content), evidence={}).level
    if LEVELS.index(computed) > LEVELS.index(silent):
        yield f"is of {computed} risk by its own answers, and the model of {model.risk_level}"


def _lengths(model: Model, slot: Mapping[str, Any]) -> Iterator[str]:
    for part, what, length in (
        ("duration", "the work", model.duration),
        ("rollback", "the way back", model.rollback),
    ):
        given, wanted = slot.get(part), format_duration(length)
        if given is not None and given != wanted:
            yield f"plans {given} for {what}, and the model {wanted}"


def _otherwise(settings: Settings, model: Model, content: Mapping[str, Any]) -> bool:
    try:
        wanted = filled(settings, model, content.get("parameters") or {})
    except InputError:
        return True
    return bool(wanted != content.get("implementation"))


def filled(settings: Settings, model: Model, parameters: Mapping[str, Value]) -> dict[str, Any]:
    """Return the model's implementation with its parameters filled in where `{name}` stands, a
    runbook's steps frozen into it. RequestError where the runbook does not take a value."""
    plain: dict[str, Any] = _fill(model.implementation.model_dump(mode="json"), parameters)
    if isinstance(model.implementation, RunbookWork):
        plain["steps"] = frozen_steps(settings, plain["runbook"], plain["parameters"])
    return plain


def _fill(value: Any, parameters: Mapping[str, Value]) -> Any:
    if isinstance(value, str):
        whole = PLACE.fullmatch(value)
        if whole and whole[1] in parameters:
            return parameters[whole[1]]
        return fill_in(value, parameters)
    if isinstance(value, Mapping):
        return {key: _fill(item, parameters) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_fill(item, parameters) for item in value]
    return value


def _places(value: Any) -> Iterator[str]:
    """Return the names for which values are filled in."""
    if isinstance(value, str):
        yield from PLACE.findall(value)
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _places(item)
