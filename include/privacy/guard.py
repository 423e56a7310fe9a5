"""Finds in free text what looks like a patient's data, and refuses or blackens it.

45 CFR 164.514(b)(2) lists what identifies a patient; config/privacy.yaml says how each is written
here, and what happens where it is found. What was found is named and placed, never repeated: the
refusal of a number must not carry the number.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from include.documents import Section, read_document, validate_document
from include.errors import ConfigError, Problem, RequestError
from include.settings import Settings

Place = Literal["change", "comment", "notice"]
Action = Literal["refuse", "redact", "allow"]

# Longer than any title, description or comment has reason to be; beyond it nothing is kept.
MOST = 20_000

# One character for one: places in the text stay the same.
_PLAIN = str.maketrans(
    {**dict.fromkeys("‐‑‒–—―−﹣－", "-"), **dict.fromkeys("\u00a0\u2007\u202f", " "), "＠": "@"}
)
# What takes no room on a page though Unicode calls it a letter or a mark.
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0]")


class _Pattern(Section):
    title: str
    regex: str
    finds: tuple[str, ...] = Field(min_length=1)
    passes: tuple[str, ...] = ()


class _File(Section):
    places: dict[Place, Action]
    patterns: dict[str, _Pattern] = Field(min_length=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Something that looks like a patient's data, at characters `[start, end)` of a text."""

    kind: str
    title: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Guard:
    """The patterns by name, and what happens in which place."""

    patterns: Mapping[str, tuple[str, re.Pattern[str]]]
    places: Mapping[Place, Action]

    def find(self, text: str) -> tuple[Found, ...]:
        """Return everything that looks like a patient's data, in order, overlaps merged."""
        found = sorted(
            (
                Found(
                    kind=kind,
                    title=title,
                    start=places[match.start()],
                    end=places[match.end() - 1] + 1,
                )
                for read, places in _readings(text[:MOST].translate(_PLAIN))
                for kind, (title, pattern) in self.patterns.items()
                for match in pattern.finditer(read)
                if match.end() > match.start()
            ),
            key=lambda item: (item.start, -item.end),
        )
        kept: list[Found] = []
        for item in found:
            if not kept or item.start >= kept[-1].end:
                kept.append(item)
            elif item.end > kept[-1].end:
                last = kept.pop()
                kept.append(Found(kind=last.kind, title=last.title, start=last.start, end=item.end))
        return tuple(kept)

    def redact(self, text: str) -> str:
        """Return the text with each find replaced by what it was, in brackets."""
        parts, at = [], 0
        for item in self.find(text):
            parts += [text[at : item.start], f"[{item.title} removed]"]
            at = item.end
        return "".join([*parts, text[at:MOST]])

    def objection(self, text: str) -> str | None:
        """Return why a text cannot stay as it is, None where it can; nothing of it is quoted."""
        found = self.find(text)
        if not found and len(text) > MOST:
            return f"is longer than the {MOST:,} characters that are looked through; shorten it"
        if not found:
            return None
        kinds = ", ".join(
            f"{_article(item.title)} at characters {item.start + 1} to {item.end}"
            for item in found[:5]
        )
        return (
            f"holds what looks like {kinds}: no patient data in change control; take it "
            "out and refer to the case in the clinical system instead"
        )

    def apply(self, place: Place, where: str, text: str) -> str:
        """Return what may be kept of a text in a place; RequestError where it is refused."""
        action = self.places.get(place, "refuse")
        if action == "allow":
            return text
        if action == "redact":
            return self.redact(text)
        if (objection := self.objection(text)) is not None:
            raise RequestError(f"{where}: {objection}")
        return text


def _readings(text: str) -> Iterator[tuple[str, Sequence[int]]]:
    """Yield the text as it is, and as it looks where something in it is not seen; each with the
    place in the text of each of its characters."""
    yield text, range(len(text))
    seen = [index for index, char in enumerate(text) if not _unseen(char)]
    if len(seen) < len(text):
        yield "".join(text[index] for index in seen), seen


def _unseen(char: str) -> bool:
    return unicodedata.category(char) == "Cf" or _UNSEEN.match(char) is not None


def _article(title: str) -> str:
    return f"an {title}" if title[:1].lower() in "aeiou" else f"a {title}"


def screen(settings: Settings, place: Place, text: str, *, where: str = "the text") -> str:
    """Return what config/privacy.yaml lets be kept of `text`; RequestError where it refuses it."""
    return load_guard(settings).apply(place, where, text)


def load_guard(settings: Settings) -> Guard:
    """Return config/privacy.yaml; ConfigError names a pattern that does not do what it says."""
    path = settings.config_file("privacy.yaml")
    try:
        stamp = path.stat().st_mtime_ns
    except OSError:
        stamp = 0
    return _load(path, settings.label("privacy.yaml"), stamp)


@lru_cache(maxsize=8)
def _load(path: Path, label: str, stamp: int) -> Guard:
    document = read_document(path, name=label)
    file = validate_document(document, _File)
    problems: list[Problem] = []
    patterns = {}
    for name, given in file.patterns.items():
        try:
            pattern = re.compile(given.regex, re.IGNORECASE)
        except re.error as error:
            message = f"is no regular expression: {error}"
            problems.append(document.problem(("patterns", name, "regex"), message))
            continue
        for index, example in enumerate(given.finds):
            if not pattern.search(example):
                message = "is not found by the pattern that should find it"
                problems.append(document.problem(("patterns", name, "finds", index), message))
        for index, example in enumerate(given.passes):
            if pattern.search(example):
                message = "is found by the pattern that should let it pass"
                problems.append(document.problem(("patterns", name, "passes", index), message))
        patterns[name] = (given.title, pattern)
    if problems:
        raise ConfigError(problems)
    return Guard(patterns, file.places)
