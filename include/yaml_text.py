"""YAML text turned into plain data, with the line of everything in it.

It reads libyaml's events and never builds a tree of nodes: an alias or a level too deep is refused
where it stands, so that no file can grow, and a megabyte takes a second or two.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from include.errors import Problem

MAX_DEPTH = 32
MAX_KEY = 200
# Nobody mends more than these before trying again.
MAX_PROBLEMS = 50

Path_ = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_EXPONENT = re.compile(r"-?(0|[1-9][0-9]*)[eE][+-]?[0-9]+")
# What PyYAML's constructors raise, beside their own errors, for a value that its tag does not fit.
_UNREADABLE = (yaml.YAMLError, ValueError, ArithmeticError, LookupError, AttributeError, TypeError)


class _EnoughError(Exception):
    """Raised to stop reading: all that is worth saying was said."""


class YamlText:
    """One document. `lines` says on which line each path stands, `problems` what is wrong."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.lines: dict[Path_, int] = {}
        self.problems: list[Problem] = []
        self._text = text
        # Typed loosely: the stubs let every event be None, and no mark have a line.
        self._loader: Any = None

    def read(self) -> Any:
        """Return the data; where there are `problems` afterwards, it is not to be used."""
        try:
            self._loader = yaml.CSafeLoader(self._text)
        except yaml.YAMLError as error:
            self.problems.append(self._yaml_problem(error))
            return None
        try:
            return self._document()
        except _EnoughError:
            return None
        except yaml.YAMLError as error:
            self.problems = [self._yaml_problem(error)]
        except (ValueError, ArithmeticError) as error:
            self.problems = [Problem(file=self.file, key="", message=f"not YAML: {error}")]
        finally:
            self._loader.dispose()
        return None

    def _document(self) -> Any:
        self._loader.get_event()  # the start of the stream
        if isinstance(self._loader.get_event(), yaml.StreamEndEvent):
            return None
        data = self._value(self._loader.get_event(), ())
        self._loader.get_event()  # the end of the document
        following = self._loader.get_event()
        if not isinstance(following, yaml.StreamEndEvent):
            message = "not YAML: more than one document (---) in one file"
            line = _line(following)
            self.problems.append(Problem(file=self.file, key="", message=message, line=line))
        return data

    def _value(self, event: Any, path: Path_) -> Any:
        self.lines.setdefault(path, _line(event))
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path)
        if isinstance(event, yaml.AliasEvent):
            self._complain(event, path, "aliases (*name) are not allowed; write it out")
            return None
        if len(path) > MAX_DEPTH:
            self._complain(event, path, f"nested deeper than {MAX_DEPTH} levels")
            raise _EnoughError
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(event, path)
        return self._sequence(event, path)

    def _sequence(self, event: Any, path: Path_) -> list[Any]:
        self._check_tag(event, path, "seq")
        result: list[Any] = []
        while not isinstance(item := self._loader.get_event(), yaml.SequenceEndEvent):
            result.append(self._value(item, (*path, len(result))))
        return result

    def _mapping(self, event: Any, path: Path_) -> dict[str, Any]:
        self._check_tag(event, path, "map")
        result: dict[str, Any] = {}
        while not isinstance(key_event := self._loader.get_event(), yaml.MappingEndEvent):
            if not isinstance(key_event, yaml.ScalarEvent):
                self._complain(key_event, path, "a key must be plain text")
                self._skip(key_event)
                self._skip(self._loader.get_event())
                continue
            key = str(key_event.value)
            if len(key) > MAX_KEY:
                self._complain(
                    key_event, (*path, key[:60] + "…"), f"a key longer than {MAX_KEY} characters"
                )
                self._skip(self._loader.get_event())
                continue
            here = (*path, key)
            self.lines[here] = _line(key_event)
            if self._tag(key_event) == _TAG + "merge":
                self._complain(key_event, here, "merge keys (<<) are not allowed; write it out")
                self._skip(self._loader.get_event())
            elif key in result:
                self._complain(key_event, here, "given twice")
                self._skip(self._loader.get_event())
            else:
                result[key] = self._value(self._loader.get_event(), here)
        return result

    def _skip(self, event: Any) -> None:
        """Pass over the rest of the value that begins with `event`."""
        depth = 0
        while True:
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth == 0:
                return
            event = self._loader.get_event()

    def _tag(self, event: Any) -> str:
        if event.tag is not None and event.tag != "!":
            return str(event.tag)
        found = str(self._loader.resolve(yaml.ScalarNode, event.value, event.implicit))
        # YAML 1.1 wants a point in it; JSON and YAML 1.2 do not.
        plain = found == _TAG + "str" and event.implicit[0]
        return _TAG + "float" if plain and _EXPONENT.fullmatch(event.value) else found

    def _scalar(self, event: Any, path: Path_) -> Any:
        tag = self._tag(event)
        value: Any = event.value
        if tag != _TAG + "str":
            node = yaml.ScalarNode(tag, value, event.start_mark, event.end_mark)
            try:
                value = self._loader.construct_object(node)
            except _UNREADABLE as error:
                # A tag like !!bool on a word that is none ends in a KeyError; the word says enough.
                said = getattr(error, "problem", None) or (
                    str(error) if isinstance(error, ValueError) else _short(event.value)
                )
                self._complain(event, path, f"not a value we can read: {said}")
                return None
        return value

    def _check_tag(self, event: Any, path: Path_, kind: str) -> None:
        tag = getattr(event, "tag", None)
        if tag not in (None, "!", _TAG + kind):
            self._complain(event, path, f"tag {tag} is not allowed")

    def _complain(self, event: Any, path: Path_, message: str) -> None:
        self.problems.append(
            Problem(
                file=self.file,
                line=self.lines.get(path, _line(event)),
                key=".".join(str(step) for step in path),
                message=message,
            )
        )
        if len(self.problems) >= MAX_PROBLEMS:
            raise _EnoughError

    def _yaml_problem(self, error: yaml.YAMLError) -> Problem:
        line, said = None, str(error)
        if isinstance(error, yaml.MarkedYAMLError):
            said = error.problem or said
            if error.problem_mark:
                # An unexpected end is noticed behind the last line.
                last = max(len(self._text.splitlines()) - 1, 0)
                line = min(error.problem_mark.line, last) + 1
        elif isinstance(error, yaml.reader.ReaderError):
            said = f"the character U+{error.character:04X} is not allowed"
            # libyaml counts bytes.
            line = self._text.encode().count(b"\n", 0, error.position) + 1
        return Problem(file=self.file, key="", message=f"not YAML: {said}", line=line)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
