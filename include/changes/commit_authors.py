"""Who wrote the commits that a change brings: by the repository, beside what the request says.

A request could leave somebody out. So wherever a repository of ours holds the commits, their
authors and co-authors are read from it, whatever the request says, and have no vote either. Read
anew whenever votes are counted: what the board was shown on another machine proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from include.changes.parties import co_authors
from include.errors import RepositoryError
from include.releases.history import History
from include.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Who wrote the commits, by their addresses; `missing` are those that no repository holds.

    `unread` says why the repository of the service that the change names could not be asked.
    """

    authors: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unread: str | None = None


def written_by(settings: Settings, content: Mapping[str, Any]) -> Written:
    """Return who wrote the commits of a change: by the repository of its service, or, where it
    names none, by whichever repository of ours holds them."""
    scope = content.get("scope") or {}
    left, named = tuple(scope.get("commits") or ()), scope.get("service")
    authors: set[str] = set()
    for name in [named] if named else settings.services:
        if not left:
            break
        if name not in settings.services:
            return Written(missing=left, unread=f"config/services has no {name} any more")
        try:
            history = History(settings.path(settings.service(name).repository.path))
            found = history.named(left)
        except RepositoryError as error:
            if named:
                return Written(missing=left, unread=str(error))
            continue
        for commit in found:
            # Whoever left no address is nobody we know: that has to be settled, not passed over.
            author = commit.author_email.strip() or f"{commit.author_name} (without an address)"
            authors |= {author, *co_authors(commit.message)}
        held = {commit.sha for commit in found}
        left = tuple(sha for sha in left if sha not in held)
    return Written(authors=tuple(sorted(authors)), missing=left)
