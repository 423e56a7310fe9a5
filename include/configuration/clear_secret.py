"""Secrets written in clear: known by what a value is called, or by what it looks like."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

IN_CLEAR = "a secret in clear; keep it in a Connection and write connection:NAME"
IN_TEXT = "text with a password or key in it; keep it in a Connection"

_REFERENCE = re.compile(r"connection:[A-Za-z0-9_.-]+")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")
# Anywhere in a name without its spaces, hyphens and underscores, or as one of its words.
_SECRET = re.compile(
    r"passw(or)?d|passphrase|passcode|pwd|secret|credential|"
    r"(api|private|access|signing|encryption|master)key|token$"
)
_SECRET_WORDS = frozenset({"pass", "creds", "tokens"})
# What stands last in a name and makes it one about a secret.
_ABOUT = frozenset(
    {"age", "algorithm", "arn", "count", "days", "enabled", "expiry", "file", "format", "hasher",
     "hours", "length", "limit", "max", "min", "minutes", "mode", "name", "path", "policy",
     "provider", "reset", "rotation", "seconds", "strength", "ttl", "type", "uri", "url"}
)  # fmt: skip
_LOOKS = re.compile(
    r"://[^/\s:@]*:[^/\s@]+@"
    r"|(?:^|[\s;&?,])(?:password|passwd|pwd|secret|token|api_?key)\s*=\s*(?!connection:)[^\s;&,]"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|^(?:Bearer|Basic)\s+\S{8}"
    r"|\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{20,}|xox[abprs]-[A-Za-z0-9-]{10,})",
    re.IGNORECASE,
)


def names_secret(name: str) -> bool:
    """Return whether what is called so is a secret: `db-pwd`, `apiKey`, `credentials`, but not
    `tokens_per_minute` or `password_file`."""
    words = [word.casefold() for word in _WORD.findall(name)]
    if not words or words[-1] in _ABOUT:
        return False
    return words[-1] in _SECRET_WORDS or _SECRET.search("".join(words)) is not None


def clear_secrets(
    name: str, value: Any, *, below: bool = False
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the path under `name`, itself not included, and the sentence about each secret in it.

    `below` says that it stands below a secret's name; a reference to a Connection is none.
    """
    secret = names_secret(name) or (below and not _about(name))
    if isinstance(value, Mapping):
        for key, item in value.items():
            for path, message in clear_secrets(str(key), item, below=secret):
                yield (str(key), *path), message
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            for path, message in clear_secrets(name, item, below=below):
                yield (index, *path), message
    elif secret and value not in (None, "") and not isinstance(value, bool):
        if not _REFERENCE.fullmatch(str(value)):
            yield (), IN_CLEAR
    elif isinstance(value, str) and _LOOKS.search(value):
        yield (), IN_TEXT


def _about(name: str) -> bool:
    words = [word.casefold() for word in _WORD.findall(name)]
    return bool(words) and words[-1] in _ABOUT
