"""Screens everything that a person wrote into a change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from include.privacy.guard import Guard

Path = tuple[str | int, ...]

# Who somebody is: git and mail know people by addresses, wherever those are from. Separation of
# duties goes by them, so they are kept as they are.
_IDENTITIES: frozenset[Path] = frozenset(
    {
        ("requester",),
        ("scope", "authors"),
        ("retroactive", "done_by"),
        ("retroactive", "found_by"),
    }
)


def objections(guard: Guard, content: Mapping[str, Any]) -> list[tuple[Path, str]]:
    """Return (path, message) for every text in a change that config/privacy.yaml does not let in.

    An address is let in where it says who somebody is; all else is screened there too. Nothing of
    what was found is quoted. Empty where the policy for changes is not to refuse.
    """
    if guard.places.get("change", "refuse") != "refuse":
        return []
    return [
        (path, said)
        for path, text in _texts(content, ())
        if (said := guard.objection(_without_address(path, text))) is not None
    ]


def _without_address(path: Path, text: str) -> str:
    """Return an identity so that it is no address any more, with all characters in their places."""
    keys = tuple(step for step in path if isinstance(step, str))
    return text.replace("@", " ") if keys in _IDENTITIES else text


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            # A key is found at what it stands in: its own path would repeat it.
            yield path, str(key)
            yield from _texts(item, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))
