"""Who has a stake in a change and so no vote on it: whoever asked, implements it, or wrote of it.

A person is found under every name they have: sign-in, git addresses, GitHub, Slack. A name that
leads to nobody leaves open who may vote, and nothing is approved while that is open.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from include.people import People

_TRAILER = re.compile(r"^co-authored-by:.*<([^<>\s]+)>\s*$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stakes:
    """`because` says of each excluded user why; `unknown` are names that lead to nobody."""

    because: Mapping[str, str]
    unknown: tuple[str, ...]


def co_authors(message: str) -> list[str]:
    """Return the addresses in a commit message's `Co-authored-by:` lines."""
    return [address.strip() for address in _TRAILER.findall(message)]


def parties_of(
    *,
    requester: str,
    on_behalf_of: str | None = None,
    implementers: Iterable[str] = (),
    authors: Iterable[str] = (),
) -> list[dict[str, str]]:
    """Return the parties as they are frozen with a ballot: names, not yet people."""
    found = [{"part": "requester", "name": requester}]
    found += [{"part": "requester", "name": on_behalf_of}] if on_behalf_of else []
    found += [{"part": "implementer", "name": name} for name in sorted(set(implementers))]
    found += [{"part": "author", "name": name} for name in sorted(set(authors))]
    return found


def doers_of(content: Mapping[str, Any]) -> list[str]:
    """Return who did what a retroactive change tells of, where it says so."""
    done_by = (content.get("retroactive") or {}).get("done_by")
    return [str(done_by)] if done_by else []


def stakes(parties: Iterable[Mapping[str, Any]], people: People) -> Stakes:
    """Return whom the parties exclude, as config/people.yaml knows them now."""
    because: dict[str, str] = {}
    unknown: list[str] = []
    for party in parties:
        name, part = str(party["name"]), str(party["part"])
        # A train implements what it brings, and reconciling reports what it has found; nobody
        # writes under such a name.
        if part != "author" and name.startswith("service:"):
            continue
        if people.is_robot(name):
            continue
        person = people.by_identity(name)
        if person is None:
            unknown.append(name)
        else:
            because.setdefault(person.user, _WORDS[part])
    return Stakes(because=because, unknown=tuple(dict.fromkeys(unknown)))


def unknown_message(unknown: Iterable[str]) -> str:
    """Return the sentence that says who has to be made known, and where."""
    return (
        f"nobody knows who {', '.join(sorted(unknown))} is, so who may vote is open: add it to the "
        "person's identities in config/people.yaml, or to robots"
    )


_WORDS = {
    "requester": "asked for it",
    "implementer": "implements it",
    "author": "wrote part of it",
}
