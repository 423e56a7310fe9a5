"""A fingerprint of a calendar, so that a reader can see whether it changed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from include.calendar.recurrence import Recurrence


def digest_of(**content: Any) -> str:
    """Return the SHA-256 (hex) of values, whatever order windows and blackouts come in."""
    return hashlib.sha256(_text(content).encode()).hexdigest()


def _text(value: Any) -> str:
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, ZoneInfo):
        return value.key
    if isinstance(value, Recurrence):
        return repr(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        # No order in a calendar carries a meaning; that of two instants is kept by sorting too.
        return sorted((_plain(item) for item in value), key=_text)
    return value
