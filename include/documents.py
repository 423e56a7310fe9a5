"""YAML files read so that every complaint can name its file, line and key.

A document is refused whole: all that is wrong in it is reported at once, and nothing of it is used.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from include.errors import ConfigError, Problem, did_you_mean
from include.yaml_text import MAX_PROBLEMS, Path_, YamlText

MAX_BYTES = 1_000_000
# What is read is read from the file each time; it is parsed again only where it has changed.
_KEPT_BYTES = 100_000


class Section(BaseModel):
    """Base of every configuration model: frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


SectionT = TypeVar("SectionT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Document:
    """What a YAML file says, and on which line it says it."""

    file: str
    data: Any
    lines: dict[Path_, int] = field(default_factory=dict)

    def line(self, path: Iterable[str | int]) -> int | None:
        """Return the line of `path`, or of the nearest thing above it that has one."""
        steps = tuple(path)
        while steps and steps not in self.lines:
            steps = steps[:-1]
        return self.lines.get(steps)

    def problem(self, path: Iterable[str | int], message: str) -> Problem:
        """Return `message` about `path`, with this document's file and the line."""
        steps = tuple(path)
        return Problem(
            file=self.file,
            line=self.line(steps),
            key=".".join(str(step) for step in steps),
            message=message,
        )


def read_document(path: Path, *, name: str | None = None) -> Document:
    """Read one YAML document from `path`; `name` is how messages call it.

    Raises ConfigError when it cannot be read, is not UTF-8 YAML, repeats a key, uses aliases or
    tags, or is larger or deeper than any file of ours has reason to be.
    """
    file = name or str(path)
    raw = read_bytes(path, file)
    if len(raw) > _KEPT_BYTES:
        return parse_document(raw, file)
    known = _known_document(raw, file)
    return Document(file, _copy(known.data), known.lines)


# The same few files of the configuration are asked for again and again within one piece of work.
@lru_cache(maxsize=64)
def _known_document(raw: bytes, file: str) -> Document:
    return parse_document(raw, file)


def _copy(value: Any) -> Any:
    """Return plain data that its reader may change."""
    if isinstance(value, dict):
        return {key: _copy(held) for key, held in value.items()}
    if isinstance(value, list):
        return [_copy(held) for held in value]
    return value


def read_bytes(path: Path, file: str) -> bytes:
    """Return what a regular file holds, at most a byte more than is ever accepted.

    Raises ConfigError, which calls it `file`, when it cannot be read.
    """
    try:
        # Opened without waiting: a named pipe would wait for somebody to write into it.
        with open(path, "rb", opener=_open_at_once) as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise ConfigError([_file_problem(file, "cannot be read: it is no regular file")])
            return stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise ConfigError([_file_problem(file, f"cannot be read: {said}")]) from error


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def parse_document(raw: bytes, file: str) -> Document:
    """Parse the bytes of one YAML document; see `read_document`."""
    document, problems = parse_leniently(raw, file)
    if problems:
        raise ConfigError(problems)
    return document


def parse_leniently(raw: bytes, file: str) -> tuple[Document, list[Problem]]:
    """Return what can be read of a document, and all that cannot: what is wrong stands as None.

    Raises ConfigError where nothing can be made of it.
    """
    if len(raw) > MAX_BYTES:
        raise ConfigError([_file_problem(file, f"is larger than {MAX_BYTES:,} bytes")])
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        message = f"is not UTF-8 (byte {error.start})"
        problem = Problem(file=file, key="", message=message, line=line)
        raise ConfigError([problem]) from error
    reader = YamlText(text, file)
    data = reader.read()
    return Document(file, data, reader.lines), reader.problems


def validate_document(
    document: Document, model: type[SectionT], *, context: Any = None
) -> SectionT:
    """Return `document` as a `model`; raise ConfigError naming every wrong key and its line.

    `context` is handed to the model's validators.
    """
    try:
        data = {} if document.data is None else document.data
        return model.model_validate(data, context=context)
    except ValidationError as error:
        found = error.errors(include_url=False)
        problems = [
            _explain(document, model, list(item["loc"]), item) for item in found[:MAX_PROBLEMS]
        ]
        if len(found) > MAX_PROBLEMS:
            count = len(found) - MAX_PROBLEMS
            more = f"{count:,} more things are" if count > 1 else "one more thing is"
            more += " wrong in it"
            problems.append(_file_problem(document.file, more))
        raise ConfigError(problems) from error


def load_section(path: Path, model: type[SectionT], *, name: str | None = None) -> SectionT:
    """Read and validate one file in one go."""
    return validate_document(read_document(path, name=name), model)


# pydantic's kinds of error whose own words speak of Python.
_PLAINLY = {
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list, like [one, two]",
    "list_type": "must be a list, like [one, two]",
    "invalid-json-value": "must be text, a number, true, false, a list or a mapping",
}


def _explain(document: Document, model: type[BaseModel], loc: list[Any], item: Any) -> Problem:
    path = _real_path(document.data, loc)
    if item["type"] == "extra_forbidden":
        known = _known_keys(model, path[:-1])
        return document.problem(path, "unknown key" + did_you_mean(str(path[-1]), known))
    if item["type"] == "missing":
        missing = str(loc[-1])
        return document.problem(path, f'"{missing}" is required')
    if item["type"] in {"literal_error", "enum", "union_tag_invalid"}:
        said = item["ctx"].get("expected") or item["ctx"].get("expected_tags") or ""
        known = re.findall(r"'([^']*)'", str(said))
        given = str(item["ctx"].get("tag") or item.get("input"))
        near = did_you_mean(given[:60], known)
        hint = near if near.startswith("; did you mean") else ""
        return document.problem(path, f"must be {said} (given: {_short(given)}){hint}")
    if item["type"] == "union_tag_not_found":
        name = item["ctx"]["discriminator"].strip("'")
        return document.problem((*path, name), f'"{name}" is required')
    if item["type"] in _PLAINLY:
        return document.problem(path, f"{_PLAINLY[item['type']]}{_given(item.get('input'))}")
    if item["type"] in {"model_type", "dict_type", "model_attributes_type"}:
        return document.problem(path, "must hold keys with values, like `name: value`")
    message = str(item["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if item["type"] == "too_long":
        held = item["ctx"].get("actual_length")  # not counted to its end where it is far too long
        holds = "" if held is None else f"holds {held:,}, and "
        message = f"{holds}may hold at most {item['ctx']['max_length']:,}"
    if item["type"] == "too_short":
        message = f"must hold at least {item['ctx']['min_length']}"
    shown = _given(item.get("input"))
    if item["type"] in {"value_error", "assertion_error"}:
        shown = ""
    return document.problem(path, message[:1].lower() + message[1:] + shown)


def _given(value: Any) -> str:
    return "" if isinstance(value, dict | list) or value is None else f" (given: {_short(value)})"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _real_path(data: Any, loc: list[Any]) -> tuple[str | int, ...]:
    """Drop from a pydantic location what is not in the file (union tags, validators' names)."""
    path: list[str | int] = []
    here = data
    for index, step in enumerate(loc):
        inside = isinstance(here, dict) and step in here
        if inside or (isinstance(here, list) and isinstance(step, int) and step < len(here)):
            here = here[step]
        elif index == len(loc) - 1 and isinstance(here, dict) and step != "[key]":
            pass
        else:
            continue
        path.append(step)
    return tuple(path)


def _known_keys(model: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    from typing import get_args

    candidates: list[Any] = [model]
    for step in path:
        following: list[Any] = []
        for kind in candidates:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                for name, info in kind.model_fields.items():
                    if step in (name, info.alias):
                        following.append(info.annotation)
            else:
                following.extend(get_args(kind))
        candidates = [leaf for kind in following for leaf in _leaves(kind)]
    return [
        info.alias or name
        for kind in candidates
        for leaf in _leaves(kind)
        if isinstance(leaf, type) and issubclass(leaf, BaseModel)
        for name, info in leaf.model_fields.items()
    ]


def _leaves(kind: Any) -> list[Any]:
    import types
    from typing import Annotated, Union, get_args, get_origin

    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return [leaf for part in get_args(kind) for leaf in _leaves(part)]
    if origin is Annotated:
        return _leaves(get_args(kind)[0])
    return [kind]


def _file_problem(file: str, message: str) -> Problem:
    return Problem(file=file, key="", message=message)
