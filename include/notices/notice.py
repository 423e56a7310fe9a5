"""One thing that is said to people, before and after it stands in the outbox."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from include.instants import format_instant, parse_instant
from include.notices.wording import one_line, paragraph

# PostgreSQL refuses an index entry of more than a third of a page.
_LONGEST_KEY = 500


class Severity(StrEnum):
    """How much a notice wants of its reader."""

    INFO = "info"
    ACTION = "action"
    WARNING = "warning"
    CRITICAL = "critical"


class Audience(StrEnum):
    """For whom a notice is written."""

    TEAM = "team"
    CAB = "cab"
    OPERATIONS = "operations"
    STAKEHOLDERS = "stakeholders"
    ON_CALL = "on_call"
    # Those whom `people` names, and nobody else.
    PERSON = "person"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a notice changes about where its thread stands; None leaves a part as it was.

    A new `phase` closes the questions of the one before. `question` names a question within the
    thread: with `asked` (names as people read them) it is open until `answer_by`, with `answered`
    it is closed. `next` is what comes next, in words that hold its instant. All of it is cleaned
    as a notice's own words are.
    """

    phase: str | None = None
    next: str | None = None
    question: str | None = None
    about: str | None = None
    asked: tuple[str, ...] = ()
    answer_by: datetime | None = None
    answered: bool = False

    def __post_init__(self) -> None:
        clean = object.__setattr__
        for name in ("phase", "next", "question", "about"):
            said = getattr(self, name)
            clean(self, name, None if said is None else one_line(said) or None)
        clean(self, "asked", tuple(one_line(name) for name in self.asked if one_line(name)))

    def document(self) -> dict[str, Any]:
        """Return the standing as it is stored."""
        return {
            "phase": self.phase,
            "next": self.next,
            "question": self.question,
            "about": self.about,
            "asked": list(self.asked),
            "answer_by": None if self.answer_by is None else format_instant(self.answer_by),
            "answered": self.answered,
        }


def read_standing(document: Mapping[str, Any] | None) -> Standing | None:
    """Return what `Standing.document` made; what it does not know is left out."""
    if not document:
        return None
    by = document.get("answer_by")
    return Standing(
        phase=document.get("phase"),
        next=document.get("next"),
        question=document.get("question"),
        about=document.get("about"),
        asked=tuple(document.get("asked") or ()),
        answer_by=None if by is None else parse_instant(by),
        answered=bool(document.get("answered")),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What is said about one event. Plain text throughout: a channel escapes what it must.

    `thread` is the release or change that it belongs to; notices of one thread arrive in order.
    Of all notices with one `dedupe_key` the first is kept. `final` says that the thread's release
    has come to its end. `fields` keep their order. `people` are the sign-ins of those whom it is
    addressed to, beside its audience. `reminds` makes it a reminder: of those that are still queued
    with the same `reminds`, the newest alone is delivered, and none once `expires_at` has passed.
    Control and bidirectional override characters are taken out here, so that no title can forge
    lines in a log or reverse a sentence.

    Raises ValueError for an empty event, thread, title or dedupe key.
    """

    event: str
    thread: str
    audience: Audience
    severity: Severity
    title: str
    text: str
    dedupe_key: str
    fields: Mapping[str, str] = field(default_factory=dict)
    link: str | None = None
    final: bool = False
    people: tuple[str, ...] = ()
    standing: Standing | None = None
    reminds: str | None = None
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        clean = object.__setattr__
        clean(self, "audience", Audience(self.audience))
        clean(self, "severity", Severity(self.severity))
        clean(self, "title", one_line(self.title))
        clean(self, "text", paragraph(self.text))
        filled = {one_line(name): paragraph(value) for name, value in self.fields.items()}
        clean(self, "fields", {name: value for name, value in filled.items() if name and value})
        for name in ("event", "thread", "dedupe_key"):
            clean(self, name, one_line(getattr(self, name)))
        if len(self.dedupe_key) > _LONGEST_KEY:
            clean(self, "dedupe_key", hashlib.sha256(self.dedupe_key.encode()).hexdigest())
        for name in ("link", "reminds"):
            said = getattr(self, name)
            clean(self, name, None if said is None else one_line(said) or None)
        clean(self, "people", tuple(one_line(user) for user in self.people if one_line(user)))
        for name in ("event", "thread", "title", "dedupe_key"):
            if not getattr(self, name):
                raise ValueError(f"a notice needs a {name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedNotice:
    """A notice as it stands in the outbox, at the moment when a channel is to deliver it.

    `late` is a sentence where the notice comes long after it was due, else None. `mark` tells this
    notice from all others, of other ledgers too: a channel that can be asked finds it again by it.
    `waiting` are those who alone are still to get it, None where it is everybody; `behind` are
    those who are still to get an earlier notice of its thread, and this one after it.
    """

    id: int
    notice: Notice
    created_at: datetime
    attempts: int
    late: str | None = None
    waiting: tuple[str, ...] | None = None
    behind: frozenset[str] = frozenset()

    @property
    def mark(self) -> str:
        """Return the mark: the same whenever this notice is sent."""
        said = f"{self.id}|{self.notice.dedupe_key}|{format_instant(self.created_at)}"
        return f"{self.id}-{hashlib.sha256(said.encode()).hexdigest()[:16]}"
