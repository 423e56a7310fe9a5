"""Who last changed a policy file, as git knows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from include.errors import RepositoryError
from include.people import People
from include.releases.git import Git
from include.settings import ROOT

_PATIENCE = timedelta(seconds=10)

Known = Literal["by_policy_editor", "by_no_policy_editor", "not_committed", "no_history"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorship:
    """Who wrote a file as it is now, and whether that person may edit policy."""

    reason: Known
    commit: str | None = None
    name: str | None = None
    email: str | None = None
    user: str | None = None

    @property
    def words(self) -> str:
        """Return who it was, for a message."""
        if self.reason == "not_committed":
            return "somebody with access to this machine; the change is not committed"
        if self.reason == "no_history":
            return "nobody knows whom; there is no git history here"
        note = "" if self.reason == "by_policy_editor" else ", who may not edit policy"
        return f"{self.name} in {(self.commit or '')[:12]}{note}"


def authorship(path: Path, people: People | None) -> Authorship:
    """Return who wrote `path` as it is in the work tree of this project."""
    git = Git(ROOT, _PATIENCE)
    try:
        name = path.resolve().relative_to(ROOT).as_posix()
        changed = git.run("status", "--porcelain", "--ignored", "--", name).output
        if changed.strip():
            return Authorship(reason="not_committed")
        said = git.run("log", "-1", "--format=%H%x00%an%x00%ae", "--", name).output
        commit, author, email = said.decode("utf-8", "replace").strip().split("\0")
    except (RepositoryError, ValueError):
        return Authorship(reason="no_history")
    person = people.by_identity(email) if people is not None else None
    return Authorship(
        reason="by_policy_editor"
        if person is not None and person.may("edit_policy")
        else "by_no_policy_editor",
        commit=commit,
        name=author,
        email=email,
        user=person.user if person is not None else None,
    )
