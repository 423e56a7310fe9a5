"""One condition's verdict: what was found, and who can change it.

What cannot be established is `inconclusive`, which refuses as surely as `no_go` does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["go", "no_go", "inconclusive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition's verdict; `who` can change it."""

    code: str
    verdict: Verdict
    message: str
    who: str

    def content(self) -> dict[str, str]:
        """Return the condition as plain data."""
        return asdict(self)


def go(code: str, message: str, who: str) -> Condition:
    """Return that nothing stands in the way."""
    return Condition(code=code, verdict="go", message=message, who=who)


def no(code: str, message: str, who: str) -> Condition:
    """Return that this stands in the way."""
    return Condition(code=code, verdict="no_go", message=message, who=who)


def unknown(code: str, message: str, who: str) -> Condition:
    """Return that this could not be established."""
    return Condition(code=code, verdict="inconclusive", message=message, who=who)


def refusals(conditions: Iterable[Condition]) -> list[Condition]:
    """Return the conditions that stand in the way."""
    return [condition for condition in conditions if condition.verdict != "go"]


def plain(conditions: Iterable[Condition]) -> list[dict[str, Any]]:
    """Return the conditions as plain data, in order."""
    return [condition.content() for condition in conditions]
