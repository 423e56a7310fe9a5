"""Instants and durations as text: what every command prints and every configuration file holds.

An instant is an aware UTC datetime, printed as ISO 8601 with `Z`; a duration is a `timedelta`,
written like `90s`, `55m`, `2h30m` or `14d`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from include.errors import RequestError

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)
_LONGEST = timedelta(days=3660)


def parse_duration(text: str) -> timedelta:
    """Return the length of `2h30m`, `14d`, `90s` …; raise RequestError for anything else.

    >>> parse_duration("2h30m")
    datetime.timedelta(seconds=9000)
    """
    match = _DURATION.fullmatch(text.strip())
    if not match or not any(match.groups()):
        raise RequestError(
            f'"{_shown(text)}" is not a duration; write it like 90s, 55m, 2h30m or 14d'
        )
    if any(len(part) > 9 for part in match.groups(default="")):
        raise RequestError(f'"{_shown(text)}" is longer than ten years')
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    length = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if length > _LONGEST:
        raise RequestError(f'"{_shown(text)}" is longer than ten years')
    return length


def format_duration(length: timedelta) -> str:
    """Return `2h30m` for two and a half hours; whole seconds, `0s` for nothing.

    >>> format_duration(timedelta(days=14))
    '14d'
    """
    left = round(length.total_seconds())
    sign = "-" if left < 0 else ""
    left = abs(left)
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return sign + ("".join(parts) or "0s")


def parse_instant(text: str) -> datetime:
    """Return the UTC instant of an ISO 8601 text that bears an offset or `Z`.

    Raises RequestError for a text without one: an instant without a zone is ambiguous.
    """
    try:
        value = datetime.fromisoformat(text.strip())
        if value.tzinfo is not None:
            return value.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise RequestError(
        f'"{_shown(text)}" is not an instant; write it with its offset, like 2026-11-28T07:00:00Z '
        "or 2026-11-28T02:00:00-05:00"
    )


def format_instant(value: datetime) -> str:
    """Return ISO 8601 in UTC with `Z`, milliseconds only where there are any."""
    if value.tzinfo is None:
        message = f"{value!r} has no zone"
        raise ValueError(message)
    utc = value.astimezone(UTC)
    precision = "milliseconds" if utc.microsecond // 1000 else "seconds"
    return utc.isoformat(timespec=precision).replace("+00:00", "Z")


def _shown(text: str) -> str:
    # Whatever was handed in goes into logs and records: short, and on one line.
    shown = ascii(text)[1:-1]
    return shown if len(shown) <= 60 else shown[:59] + "…"
