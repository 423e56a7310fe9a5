"""What a command prints: one JSON document, or lines for people."""

from __future__ import annotations

import dataclasses
import json
import sys
from datetime import datetime, timedelta
from typing import Any

from include.instants import format_duration, format_instant


def print_json(document: Any) -> None:
    """Print exactly one JSON document on stdout; instants with `Z`, durations like `55m`."""
    json.dump(document, sys.stdout, default=_plain, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")


def print_line(text: str = "") -> None:
    """Print one line for a person on stdout."""
    sys.stdout.write(text + "\n")


def print_progress(text: str) -> None:
    """Print one line of progress on stderr, at once."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def plain_value(value: Any) -> Any:
    """Return a value of ours as plain JSON data, as `print_json` would print it."""
    return json.loads(json.dumps(value, default=_plain, ensure_ascii=False))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, timedelta):
        return format_duration(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    message = f"{type(value).__name__} has no JSON form"
    raise TypeError(message)
