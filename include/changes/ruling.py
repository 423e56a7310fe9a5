"""What became of something that was asked for: done, or refused with a reason."""

from __future__ import annotations

from dataclasses import dataclass

from include.changes.condition import Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """`ok` False is a well-formed no; `conditions` are all that were looked at."""

    ok: bool
    reason: str
    message: str
    conditions: tuple[Condition, ...] = ()
