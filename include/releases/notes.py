"""Release notes: what a range of commits brings, for programs and for people.

Merge commits are left out: what they bring is in the range. A breaking change stands in `breaking`
and in the list of its type. Whatever a commit says is shown as the text it is: nothing in it can
become markup.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from include.releases.commits import REVERT, Commit, Convention, read_convention
from include.releases.versions import Version

LONGEST_TEXT = 400

_MARKUP = re.compile(r"[\\`*_\[\]~|$]")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_BLOCK_START = re.compile(r"(?:[#+=-]|(?P<digits>[0-9]+)(?=[.)]))")
# Joiners that scripts and emoji need; every other format character can only mislead.
_JOINERS = "\u200c\u200d"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One commit in the notes: full sha, scope if it has one, and its subject without the type."""

    commit: str
    scope: str | None
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reversal:
    """A commit of the range that a later commit of the range takes back."""

    commit: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """The commits of a range by what they are, newest first."""

    features: tuple[Entry, ...]
    fixes: tuple[Entry, ...]
    breaking: tuple[Entry, ...]
    others: tuple[Entry, ...]
    unparsed: tuple[Entry, ...]
    reverted: tuple[Reversal, ...]


@dataclass(frozen=True, slots=True)
class _Item:
    commit: Commit
    declared: Convention | None

    @property
    def entry(self) -> Entry:
        if self.declared is None:
            return Entry(commit=self.commit.sha, scope=None, subject=self.commit.subject)
        return Entry(
            commit=self.commit.sha, scope=self.declared.scope, subject=self.declared.description
        )

    @property
    def type(self) -> str | None:
        return self.declared.type if self.declared else None


def collect_notes(commits: Sequence[Commit]) -> Notes:
    """Return the notes of `commits`, which are given newest first."""
    items = _items(commits)
    return Notes(
        features=tuple(item.entry for item in items if item.type == "feat"),
        fixes=tuple(item.entry for item in items if item.type == "fix"),
        breaking=tuple(item.entry for item in items if item.declared and item.declared.breaking),
        others=tuple(item.entry for item in items if item.type not in ("feat", "fix", None)),
        unparsed=tuple(item.entry for item in items if item.type is None),
        reverted=tuple(
            Reversal(commit=sha, by=by) for sha, by in _reversals(item.commit for item in items)
        ),
    )


def render_notes(commits: Sequence[Commit], *, version: Version | None = None) -> str:
    """Return the notes of `commits` (newest first) as Markdown, ending in a line end.

    Breaking changes come first and are not repeated below. What was taken back within the range is
    not announced: it stands in a section of its own.
    """
    items = _items(commits)
    reversals = dict(_reversals(item.commit for item in items))
    undoing = set(reversals.values())
    shown = [
        item
        for item in items
        if item.commit.sha not in reversals and item.commit.sha not in undoing
    ]
    breaking = [item for item in shown if item.declared and item.declared.breaking]
    plain = [item for item in shown if not (item.declared and item.declared.breaking)]
    lost = [item for item in items if item.commit.sha in reversals and item.type != REVERT]
    blocks = [f"# Release {version}" if version else "# Release notes"]
    blocks += _section("Breaking changes", breaking)
    blocks += _section("New features", [item for item in plain if item.type == "feat"])
    blocks += _section("Fixes", [item for item in plain if item.type == "fix"])
    blocks += _section(
        "Other changes", [item for item in plain if item.type not in ("feat", "fix", None)]
    )
    blocks += _section("Other commits", [item for item in plain if item.type is None])
    blocks += _section("Taken back before the release", lost)
    if len(blocks) == 1:
        blocks.append("No changes.")
    return "\n\n".join(blocks) + "\n"


def plain_text(text: str) -> str:
    """Return `text` as one line that a terminal or a page can show: no control characters.

    >>> plain_text("feat:\\x1b[31m  red\\n")
    'feat:[31m red'
    """
    kept = (
        char
        for char in text
        if char.isspace() or char in _JOINERS or unicodedata.category(char) not in ("Cc", "Cf")
    )
    shown = " ".join("".join(kept).split())
    return shown if len(shown) <= LONGEST_TEXT else shown[: LONGEST_TEXT - 1] + "…"


def escape_markdown(text: str) -> str:
    """Return Markdown that shows `text`, on one line, and means nothing else.

    >>> escape_markdown("# <b>*x*</b>")
    '\\\\# &lt;b&gt;\\\\*x\\\\*&lt;/b&gt;'
    """
    line = plain_text(text)
    start = _BLOCK_START.match(line)
    head = ""
    if start:
        # Only at its start can a line turn into a heading, a list or a rule.
        cut = start.end()
        head = f"{line[:cut]}\\" if start["digits"] else f"\\{line[:cut]}"
        line = line[cut:]
    rest = _MARKUP.sub(lambda match: "\\" + match[0], line)
    for char, entity in _ENTITIES.items():
        rest = rest.replace(char, entity)
    return head + rest


def _items(commits: Iterable[Commit]) -> list[_Item]:
    return [
        _Item(commit, read_convention(commit.message)) for commit in commits if not commit.is_merge
    ]


def _reversals(commits: Iterable[Commit]) -> list[tuple[str, str]]:
    """Return (taken back, by) for what stays taken back: a revert that is reverted counts no more.

    `commits` come newest first, so that each revert is known to stand or not when it is reached.
    """
    listed = list(commits)
    shas = sorted(commit.sha for commit in listed)
    found: dict[str, str] = {}
    for commit in listed:
        named = commit.reverted_sha
        if named is None or commit.sha in found:
            continue
        place = bisect_left(shas, named)
        if place < len(shas) and shas[place].startswith(named):
            found.setdefault(shas[place], commit.sha)
    return list(found.items())


def _section(title: str, items: Sequence[_Item]) -> list[str]:
    """Return the heading and the list of a section: by scope, those without one last."""
    if not items:
        return []
    lines = []
    ordered = sorted(items, key=lambda item: (item.entry.scope is None, item.entry.scope or ""))
    for scope, group in groupby(ordered, key=lambda item: item.entry.scope):
        label = escape_markdown(scope) if scope else ""
        lines += [_line(item, label) for item in group]
    return [f"## {title}", "\n".join(lines)]


def _line(item: _Item, label: str) -> str:
    subject = escape_markdown(item.entry.subject) or "(no subject)"
    prefix = f"**{label}:** " if label else ""
    line = f"- {prefix}{subject} (`{item.commit.sha[:10]}`)"
    note = item.declared.breaking_note if item.declared else None
    if note and escape_markdown(note) != subject:
        line += f"  \n  {escape_markdown(note)}"
    return line
