"""Commits, and what their messages say by the rules of Conventional Commits 1.0.0.

The grammar is <https://www.conventionalcommits.org/en/v1.0.0/>: `type(scope)!: description`, a
body, footers. What lets a commit through is read to the letter; what holds one up is read with
good will: a line that declares a breaking change counts wherever it stands in the body, indented
or bulleted as squash merges do it, since an announcement that was overlooked cannot be taken back.

No library reads all of this. python-semantic-release, commitizen, git-changelog and
conventional-pre-commit take a type that they do not know for no type at all, none of them reads
git's own reverts, and all miss a breaking change that a squash merge lists.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from include.errors import RequestError

REVERT = "revert"

_HEADER = re.compile(
    r"(?P<type>[A-Za-z][A-Za-z0-9_-]*)(?:\((?P<scope>[^()]+)\))?(?P<bang>!)?: (?P<description>.+)"
)
_BREAKING = re.compile(
    r"^[ \t>*_-]*BREAKING[ -]CHANGES?[*_]*(?::|[ \t]+#)[*_]*[ \t]*(?P<note>.*)$", re.MULTILINE
)
_FOOTER = re.compile(r"[A-Za-z][A-Za-z-]*(?:: | #)")
# git's own words since 1.4, `Reapply` since 2.43; GitHub puts the pull request's number behind.
_GIT_REVERT = re.compile(r'(?P<word>Revert|Reapply) "(?P<inner>.*)"(?: \(#[0-9]+\))?')
_REVERTED_SHA = re.compile(r"^This reverts commit ([0-9a-f]{7,64})\b", re.MULTILINE)
_LISTED = re.compile(r"[*-][ \t]+(?P<subject>\S.*)")
_LOGGED_COMMIT = re.compile(r"commit [0-9a-f]{7,64}")
_UNPRINTABLE = re.compile(r"[<>\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who writes a commit or a tag, as git records it."""

    name: str
    email: str

    def __post_init__(self) -> None:
        for part in (self.name, self.email):
            if not part.strip() or _UNPRINTABLE.search(part):
                raise RequestError(
                    f"{part!r} cannot be part of a git identity; "
                    "write a name and an address without <, > and line ends"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One commit: full sha, parents, author, the time it was committed, and its whole message."""

    sha: str
    parents: tuple[str, ...]
    author_name: str
    author_email: str
    time: datetime
    message: str

    @property
    def is_merge(self) -> bool:
        """Whether it has more than one parent."""
        return len(self.parents) > 1

    @property
    def subject(self) -> str:
        """The first paragraph on one line, as `git log --format=%s` gives it; may be empty."""
        return " ".join(_paragraphs(self.message)[0])

    @property
    def body(self) -> str:
        """All after the first paragraph, without blank lines around it."""
        return "\n".join(_paragraphs(self.message)[1]).strip("\n")

    @property
    def reverted_sha(self) -> str | None:
        """The commit that this one says it reverts, as it names it (perhaps shortened)."""
        match = _REVERTED_SHA.search(self.message)
        return match[1] if match else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Convention:
    """What a conventional message declares.

    `type` is in lower case; a revert of any spelling is `revert`. `restored` is set where a revert
    undoes a revert: then it is what the message brings back, in the words of the original subject.
    """

    type: str
    scope: str | None
    description: str
    breaking: bool
    breaking_note: str | None
    restored: str | None = None


def read_convention(message: str) -> Convention | None:
    """Return what `message` declares, None where it does not follow the convention."""
    subject = " ".join(_paragraphs(message)[0])
    header = _read_subject(subject)
    if header is None:
        return None
    note = _breaking_note(message)
    return Convention(
        type=header.type,
        scope=header.scope,
        description=header.description,
        breaking=header.breaking or note is not None,
        breaking_note=note or None,
        restored=header.restored,
    )


def squashed_subjects(message: str) -> tuple[str, ...]:
    """Return the subjects that a squash merge lists below its own.

    GitHub and GitLab write each on a line behind `* ` or `- `; `git merge --squash` writes a log of
    the commits, their messages indented.
    """
    first, rest = _paragraphs(message)
    subjects = []
    expected = False
    for line in [*first[1:], *rest]:
        if _LOGGED_COMMIT.fullmatch(line):
            expected = True
        elif match := _LISTED.match(line):
            subjects.append(match["subject"])
        elif expected and line.startswith("    "):
            subjects.append(line.strip())
            expected = False
    return tuple(subjects)


def cut_time(seconds: str) -> datetime:
    """Return the UTC instant of git's seconds since 1970, cut to the years that a datetime has."""
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        late = seconds[:1].isdigit()
        return datetime(9999, 12, 31, tzinfo=UTC) if late else datetime(1, 1, 1, tzinfo=UTC)


def _read_subject(subject: str) -> Convention | None:
    by_git = _GIT_REVERT.fullmatch(subject)
    if by_git:
        return Convention(
            type=REVERT,
            scope=None,
            description=subject,
            breaking=False,
            breaking_note=None,
            restored=_restored(subject),
        )
    match = _HEADER.fullmatch(subject)
    if match is None or not match["description"].strip():
        return None
    scope = (match["scope"] or "").strip()
    if match["scope"] is not None and not scope:
        return None
    word = match["type"].lower()
    return Convention(
        type=word,
        scope=scope or None,
        description=match["description"].strip(),
        breaking=match["bang"] is not None,
        breaking_note=None,
        restored=_restored(subject) if word == REVERT else None,
    )


def _restored(subject: str) -> str | None:
    """Return the innermost subject where the reverts around it cancel out, else None."""
    taken_back = False
    while True:
        by_git = _GIT_REVERT.fullmatch(subject)
        if by_git:
            taken_back ^= by_git["word"] == "Revert"
            subject = by_git["inner"]
            continue
        match = _HEADER.fullmatch(subject)
        if match is None or match["type"].lower() != REVERT:
            return None if taken_back else subject
        subject = match["description"].strip()
        # `revert: Revert "x"` is git's subject with the type that a convention asks for.
        if not _GIT_REVERT.fullmatch(subject):
            taken_back = not taken_back
            subject = re.sub(r'^"(.*)"$', r"\1", subject)


def _breaking_note(message: str) -> str | None:
    """Return the words of the first breaking-change line and of its paragraph, None without one."""
    match = _BREAKING.search(message)
    if match is None:
        return None
    words = [match["note"].strip()]
    for line in message[match.end() :].split("\n")[1:]:
        if not line.strip() and words != [""]:
            break
        if _FOOTER.match(line) or _BREAKING.match(line):
            break
        words.append(line.strip())
    return " ".join(word for word in words if word)


def _paragraphs(message: str) -> tuple[list[str], list[str]]:
    """Return the lines of the first paragraph and those after it, trailing blanks cut."""
    lines = [line.rstrip() for line in message.split("\n")]
    start = next((index for index, line in enumerate(lines) if line), len(lines))
    end = next((index for index in range(start, len(lines)) if not lines[index]), len(lines))
    return lines[start:end], lines[end:]
