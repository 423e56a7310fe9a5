"""Where a thread stands: what the first message of a release or a change shows all the time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from include.notices.notice import Notice, Severity, Standing
from include.notices.thread_names import subject_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question that is open: `about` what, who is `asked`, where it is answered."""

    about: str
    asked: tuple[str, ...]
    answer_by: datetime | None
    link: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A thread after its latest notice. `first` is the notice that opened it, `late` says so if
    that one came late; `told` is the newest of that event: another edition, or another train."""

    thread: str
    first: Notice
    told: Notice
    latest: Notice
    count: int
    phase: str | None
    next: str | None
    open: Mapping[str, Question]
    late: str | None = None

    @property
    def questions(self) -> tuple[Question, ...]:
        """The questions that are open, in the order in which they were asked."""
        return tuple(self.open.values())

    @property
    def severity(self) -> Severity:
        """How much the thread wants of its readers now."""
        if self.questions:
            return Severity.ACTION
        return Severity.INFO if self.latest.severity is Severity.ACTION else self.latest.severity

    @property
    def title(self) -> str:
        """One line that says where the thread stands."""
        if self.count == 1 or self.phase is None:
            return self.told.title
        # Other threads have names for machines; their latest title says it in words.
        return f"{self.thread}: {self.phase}" if subject_of(self.thread) else self.latest.title

    @property
    def news(self) -> str:
        """What the latest notice says, without what the title says already."""
        if self.latest.title == self.title:
            return self.latest.text
        return f"{self.latest.title}\n{self.latest.text}"

    @property
    def link(self) -> str | None:
        """The page to open now: of the one open question, else of the thread."""
        if len(self.questions) == 1 and self.questions[0].link:
            return self.questions[0].link
        return self.told.link or self.latest.link

    def digest(self) -> str:
        """Return what differs whenever something else is to be shown."""
        shown = [
            self.title,
            self.phase,
            self.next,
            self.link,
            str(self.severity),
            self.latest.title,
            list(self.told.fields.items()),
            [[question.about, *question.asked] for question in self.questions],
        ]
        return hashlib.sha256(json.dumps(shown).encode()).hexdigest()[:32]


def summarise(
    notices: Iterable[Notice], *, count: int | None = None, late: str | None = None
) -> Summary:
    """Return where the thread of these notices stands; they come in order, at least one.

    `count` is how many there are if not all of them are given.
    """
    said = list(notices)
    phase: str | None = None
    following: str | None = None
    open_: dict[str, Question] = {}
    for notice in said:
        change = notice.standing or Standing()
        if change.phase is not None and change.phase != phase:
            phase, following = change.phase, None
            open_.clear()
        if change.next is not None:
            following = change.next
        if change.question is not None:
            open_.pop(change.question, None)
            if not change.answered:
                open_[change.question] = Question(
                    about=change.about or notice.title,
                    asked=change.asked,
                    answer_by=change.answer_by,
                    link=notice.link,
                )
        if notice.final:
            following = change.next
            open_.clear()
    return Summary(
        thread=said[0].thread,
        first=said[0],
        told=next(notice for notice in reversed(said) if notice.event == said[0].event),
        latest=said[-1],
        count=len(said) if count is None else count,
        phase=phase,
        next=following,
        open=open_,
        late=late,
    )
