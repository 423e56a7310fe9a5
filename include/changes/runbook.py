"""Runbooks: reviewed steps under config/runbooks that a change may run, and how they lead back."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from include.changes.parameter import PLACE, Parameter, Value, fill_in, parameter_objections
from include.changes.words import Line, Name, unprintable
from include.documents import Section, load_section
from include.errors import RequestError, did_you_mean
from include.settings import Settings


def _shown(argv: tuple[str, ...]) -> tuple[str, ...]:
    for number, word in enumerate(argv, start=1):
        if (wrong := unprintable(word)) is not None:
            raise ValueError(f"word {number} {wrong}")
    return argv


Argv = Annotated[tuple[str, ...], Field(min_length=1, max_length=100), AfterValidator(_shown)]


class Step(Section):
    """One step: what runs, how long it may take, and what takes it back.

    `undo` runs after a step that was done, and after one that failed or was stopped in mid-way: it
    has to do its work in both. A step without it leaves nothing to take back, however it ends.
    """

    name: Line
    run: Argv
    undo: Argv | None = None
    timeout: int = Field(default=600, ge=1, le=7200)  # seconds


class Runbook(Section):
    """A file under config/runbooks."""

    title: Line
    parameters: dict[Name, Parameter] = Field(default_factory=dict)
    steps: tuple[Step, ...] = Field(min_length=1, max_length=100)

    @model_validator(mode="after")
    def _all_taken(self) -> Runbook:
        words = [word for step in self.steps for word in (*step.run, *(step.undo or ()))]
        used = {name for word in words for name in PLACE.findall(word)}
        if unused := [name for name in self.parameters if name not in used]:
            raise ValueError(
                f"no step takes {', '.join(unused)[:200]}; write its name in braces where its "
                "value goes"
            )
        return self


def runbook_names(settings: Settings) -> frozenset[str]:
    """Return the names of the runbooks."""
    return frozenset(path.stem for path in settings.config_file("runbooks").glob("*.yaml"))


def load_runbook(settings: Settings, name: str) -> Runbook:
    """Return a runbook; RequestError if there is none, ConfigError if its file is bad."""
    known = runbook_names(settings)
    if name not in known:
        raise RequestError(f'there is no runbook "{name[:60]}"{did_you_mean(name[:60], known)}')
    relative = f"runbooks/{name}.yaml"
    return load_section(settings.config_file(relative), Runbook, name=settings.label(relative))


def frozen_steps(
    settings: Settings, name: str, parameters: Mapping[str, Value]
) -> list[dict[str, Any]]:
    """Return the steps with parameters filled in: what a vote signs, and what will run.

    Raises RequestError for an unknown runbook and for parameters that it does not take.
    """
    book = load_runbook(settings, name)
    for key, message in parameter_objections(book.parameters, parameters):
        raise RequestError(f"implementation.parameters.{key}: {message}")
    return [
        {
            "name": step.name,
            "run": [fill_in(word, parameters) for word in step.run],
            "undo": [fill_in(word, parameters) for word in step.undo] if step.undo else None,
            "timeout": step.timeout,
        }
        for step in book.steps
    ]


def command(argv: list[str]) -> list[str]:
    """Return an argument list as it runs on this machine."""
    return [sys.executable if word == "{python}" else word for word in argv]
