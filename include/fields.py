"""Durations and instants as fields of configuration models, written as people write them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from include.errors import InputError
from include.instants import format_duration, format_instant, parse_duration, parse_instant


def _duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        message = "write a duration like 14d or 90s"
        raise ValueError(message)  # noqa: TRY004 - pydantic explains only ValueErrors
    try:
        return parse_duration(value)
    except InputError as error:
        raise ValueError(str(error)) from error


def _instant(value: Any) -> Any:
    # YAML makes a datetime of an unquoted instant; one without an offset stays ambiguous.
    text = value.isoformat() if isinstance(value, datetime) else value
    if not isinstance(text, str):
        message = "write an instant with its offset, like 2026-11-28T07:00:00Z"
        raise ValueError(message)  # noqa: TRY004 - pydantic explains only ValueErrors
    try:
        return parse_instant(text)
    except InputError as error:
        raise ValueError(str(error)) from error


Duration = Annotated[
    timedelta, BeforeValidator(_duration), PlainSerializer(format_duration, when_used="json")
]
Instant = Annotated[
    datetime, BeforeValidator(_instant), PlainSerializer(format_instant, when_used="json")
]
