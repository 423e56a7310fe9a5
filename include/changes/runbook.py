"""Runbooks: reviewed steps under config/runbooks that a change may run, and how they lead back."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from include.changes.standard import Parameter, Value, parameter_objections
from include.changes.words import Line, Name
from include.documents import Section, load_section
from include.errors import RequestError, did_you_mean
from include.settings import Settings

Argv = Annotated[tuple[str, ...], Field(min_length=1, max_length=100)]


class Step(Section):
    """One step: what runs, how long it may take, and what takes it back."""

    name: Line
    run: Argv
    undo: Argv | None = None
    timeout: int = Field(default=600, ge=1, le=7200)  # seconds


class Runbook(Section):
    """A file under config/runbooks."""

    title: Line
    parameters: dict[Name, Parameter] = Field(default_factory=dict)
    steps: tuple[Step, ...] = Field(min_length=1, max_length=100)


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
    words = {key: str(value) for key, value in parameters.items()}
    return [
        {
            "name": step.name,
            "run": [_filled(word, words) for word in step.run],
            "undo": [_filled(word, words) for word in step.undo] if step.undo else None,
            "timeout": step.timeout,
        }
        for step in book.steps
    ]


def command(argv: list[str]) -> list[str]:
    """Return an argument list as it runs on this machine."""
    return [sys.executable if word == "{python}" else word for word in argv]


def _filled(word: str, words: Mapping[str, str]) -> str:
    # In one pass: what a value says is never read as another parameter's name.
    return re.sub(r"\{(\w+)\}", lambda match: words.get(match[1], match[0]), word)
