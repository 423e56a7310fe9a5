"""Which commits a freeze stops (plan §4.2, design §4).

*Feature freeze*: no commit of a frozen type (`feat`), no breaking change, no type outside the
policy, no message that cannot be read. A merge commit is judged by what it brings, and all of that
is in the range, so its own subject is not read. A revert removes and is allowed, where the policy
says so; a revert of a revert brings something back and is judged as what it brings back.

A squash merge is judged by its subject and by the commits that its body lists.

*Code freeze*: the base is the pin, and every commit after it is stopped, merge commits too: a merge
can hold changes of its own that no merged commit shows. A head without the pin was wound back.

Only an exception that names the commit by its whole sha, has an owner and a reason, and has not
expired lets a commit through.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from include.documents import Document, read_document, validate_document
from include.instants import format_instant
from include.releases.commits import REVERT, Commit, read_convention, squashed_subjects
from include.releases.history import History, is_full_sha
from include.releases.policy import (
    CommitRules,
    ExceptionFile,
    FreezeException,
    ReleasePolicy,
    Reverts,
)


class Phase(StrEnum):
    """Which freeze is on."""

    FEATURE = "feature"
    CODE = "code"


class ViolationReason(StrEnum):
    """Why a freeze stops a commit. Of several reasons the first in this order is the reason."""

    TYPE_NOT_ALLOWED = "type_not_allowed"
    BREAKING_CHANGE = "breaking_change"
    UNPARSABLE = "unparsable"
    AFTER_PIN = "after_pin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One commit that a freeze stops."""

    commit: str
    subject: str
    reason: ViolationReason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Excepted:
    """One commit that a freeze would stop, and the exception that lets it through."""

    commit: str
    subject: str
    owner: str
    exception: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeCheck:
    """The outcome for `base..head`: how many commits were judged, and what was found."""

    phase: Phase
    base: str
    head: str
    base_in_head: bool
    commits: int
    violations: tuple[Violation, ...]
    excepted: tuple[Excepted, ...]
    void_exceptions: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether no commit violates the freeze, and a code freeze's pin is still in the head."""
        return not self.violations and (self.phase is Phase.FEATURE or self.base_in_head)


def load_exceptions(path: Path) -> tuple[FreezeException, ...]:
    """Return the exceptions in a YAML file: a list, `exceptions:`, or a whole releases.yaml.

    Raises ConfigError naming every wrong key and its line.
    """
    document = read_document(path)
    if isinstance(document.data, dict) and "freeze" in document.data:
        return validate_document(document, ReleasePolicy).freeze.exceptions
    if isinstance(document.data, list):
        lines = {("exceptions", *steps): line for steps, line in document.lines.items()}
        document = Document(document.file, {"exceptions": document.data}, lines)
    return validate_document(document, ExceptionFile).exceptions


def check_freeze(
    history: History,
    *,
    base: str,
    head: str,
    phase: Phase,
    rules: CommitRules,
    exceptions: Sequence[FreezeException],
    at: datetime,
) -> FreezeCheck:
    """Judge every commit of `base..head`; `at` is the instant by which exceptions expire.

    Raises RepositoryError or RequestError where a revision or the history is not there.
    """
    base_sha, head_sha = history.resolve(base), history.resolve(head)
    commits = history.commits(base_sha, head_sha)
    valid, void = sort_exceptions(exceptions, {commit.sha for commit in commits}, at)
    violations: list[Violation] = []
    excepted: list[Excepted] = []
    for violation in judge_commits(commits, phase=phase, rules=rules, pin=base_sha):
        exception = valid.get(violation.commit)
        if exception is None:
            violations.append(violation)
        else:
            excepted.append(
                Excepted(
                    commit=violation.commit,
                    subject=violation.subject,
                    owner=exception.owner or "",
                    exception=exception.reason or "",
                )
            )
    return FreezeCheck(
        phase=phase,
        base=base_sha,
        head=head_sha,
        base_in_head=history.is_ancestor(base_sha, head_sha),
        commits=len(commits),
        violations=tuple(violations),
        excepted=tuple(excepted),
        void_exceptions=void,
    )


def judge_commits(
    commits: Iterable[Commit], *, phase: Phase, rules: CommitRules, pin: str
) -> tuple[Violation, ...]:
    """Return what each of `commits` violates, without regard to exceptions, in their order."""
    found = []
    for commit in commits:
        if phase is Phase.CODE:
            words = f"committed after the pin {pin[:12]}; needs an exception that names it"
            reasons = [(ViolationReason.AFTER_PIN, words)]
        else:
            reasons = [] if commit.is_merge else _judge_message(commit.message, rules)
        if reasons:
            found.append(
                Violation(
                    commit=commit.sha,
                    subject=commit.subject,
                    reason=reasons[0][0],
                    message="; ".join(message for _, message in reasons),
                )
            )
    return tuple(found)


def sort_exceptions(
    exceptions: Iterable[FreezeException], commits: set[str], at: datetime
) -> tuple[dict[str, FreezeException], tuple[str, ...]]:
    """Return the exceptions that count, by commit, and a sentence for each that does not.

    An exception for a commit outside `commits` is only reported where its form is wrong: an old
    one that has expired unused is nobody's concern.
    """
    valid: dict[str, FreezeException] = {}
    void: list[str] = []
    for exception in exceptions:
        sha = exception.commit.strip().lower()
        flaws = []
        if not is_full_sha(sha):
            flaws.append("it does not name the commit by its whole sha")
        if not (exception.owner or "").strip():
            flaws.append("it has no owner")
        if not (exception.reason or "").strip():
            flaws.append("it has no reason")
        if exception.expires is None:
            flaws.append("it does not say when it expires")
        elif exception.expires <= at and (flaws or sha in commits):
            flaws.append(f"it expired at {format_instant(exception.expires)}")
        if flaws:
            void.append(
                f"the exception for “{exception.commit[:64]}” does not count: {', '.join(flaws)}"
            )
        elif exception.expires is not None and exception.expires > at:
            valid[sha] = exception
    return valid, tuple(void)


def _judge_message(message: str, rules: CommitRules) -> list[tuple[ViolationReason, str]]:
    declared = read_convention(message)
    if declared is None:
        return [(ViolationReason.UNPARSABLE, _unparsable(message))]
    reasons: list[tuple[ViolationReason, str]] = []
    if declared.type == REVERT:
        if rules.reverts is Reverts.REFUSED:
            reasons.append((ViolationReason.TYPE_NOT_ALLOWED, "reverts are not allowed"))
        elif declared.restored is not None:
            reasons += [
                (reason, f"it brings back “{declared.restored}”: {words}")
                for reason, words in _judge_message(declared.restored, rules)
            ]
    elif declared.type in rules.frozen_types:
        words = f"“{declared.type}” is refused in a feature freeze"
        reasons.append((ViolationReason.TYPE_NOT_ALLOWED, words))
    elif declared.type not in rules.types:
        allowed = ", ".join(word for word in rules.types if word not in rules.frozen_types)
        words = f"“{declared.type}” is not an allowed type; allowed now: {allowed}"
        reasons.append((ViolationReason.TYPE_NOT_ALLOWED, words))
    if declared.breaking:
        reasons.append(
            (ViolationReason.BREAKING_CHANGE, "breaking changes are refused in a feature freeze")
        )
    if not reasons and declared.type != REVERT:
        reasons += _judge_squashed(message, rules)
    return reasons


def _judge_squashed(message: str, rules: CommitRules) -> list[tuple[ViolationReason, str]]:
    """Judge the commits that a squash merge lists in its body: its subject can hide a feature."""
    for subject in squashed_subjects(message):
        inner = read_convention(subject)
        if inner is not None and inner.restored is not None:
            inner = read_convention(inner.restored)
        if inner is None:
            continue
        if inner.type in rules.frozen_types:
            words = f"it squashes “{subject}”: “{inner.type}” is refused in a feature freeze"
            return [(ViolationReason.TYPE_NOT_ALLOWED, words)]
        if inner.breaking:
            words = f"it squashes “{subject}”: breaking changes are refused in a feature freeze"
            return [(ViolationReason.BREAKING_CHANGE, words)]
    return []


def _unparsable(message: str) -> str:
    words = message.strip()
    if not words:
        return "its message is empty"
    if words.startswith(("fixup!", "squash!", "amend!")):
        return "it is meant to be squashed into another commit"
    return "its subject is not of the form type(scope): subject"
