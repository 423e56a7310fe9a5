"""Bounded parameters of standard models and runbooks: what may be filled in, and how it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import Field, model_validator

from include.changes.words import Line
from include.documents import Section
from include.errors import did_you_mean

Value = str | int | bool

# Where a parameter's value goes.
PLACE = re.compile(r"\{([^{}]+)\}")


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
        half = (self.least is None) != (self.most is None)
        if half or sum((bool(self.choices), numbers, self.pattern is not None)) != 1:
            raise ValueError("bound it by exactly one of: choices, least and most, pattern")
        if numbers and (self.least or 0) > (self.most or 0):
            raise ValueError(f"no number is from {self.least} to {self.most}")
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
            if allowed:
                return None
            known = [_as_yaml(item) for item in self.choices]
            quoted = ", without quotes" if value in known else ""
            return f"must be one of {', '.join(known)}{quoted}"
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


def fill_in(text: str, values: Mapping[str, Value]) -> str:
    """Return the text with values where `{name}` stands for them."""
    # In one pass: what a value says is never read as another parameter's name.
    return PLACE.sub(lambda match: str(values.get(match[1], match[0])), text)
