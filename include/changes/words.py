"""Fields of a change request: text that people wrote, kept as it is and within bounds."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator

from include.calendar.wall_time import resolve
from include.errors import InputError
from include.instants import parse_instant
from include.notices.wording import is_no_character

_EARLIEST, _LATEST = 1990, 2199
_NAMED_ADDRESS = re.compile(r"^[^<>]*<([^<>\s@]+@[^<>\s@]+)>$")
_SPACE = re.compile(r"\s")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}.*")


# Invisible, or turning what stands around them about: what is read is not what is approved. The
# joiners and direction marks that scripts need are not among them.
_MISLEADING = frozenset(
    "\u00ad\u200b\u2060\ufeff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)


def _plain_text(value: Any) -> Any:
    if isinstance(value, bool | int | float | date | bytes):
        # YAML reads `2.3`, `yes` and `2025-02-01` as something else than the text that was meant.
        message = f"must be text; put it in quotes (read as {type(value).__name__})"
        raise ValueError(message)  # noqa: TRY004 - pydantic explains only ValueErrors
    return value


def unprintable(value: str) -> str | None:
    """Return why a text does not show what it says, None where it does."""
    for character in value:
        if unicodedata.category(character) == "Cc" and character not in "\n\t":
            return f"holds the control character U+{ord(character):04X}"
        if is_no_character(character):
            return f"holds U+{ord(character):04X}, which is no character; take it out"
        if character in _MISLEADING:
            return f"holds the invisible character U+{ord(character):04X}; take it out"
    return None


def _printable(value: str) -> str:
    if (wrong := unprintable(value)) is not None:
        raise ValueError(wrong)
    return value.strip()


def _one_line(value: str) -> str:
    if "\n" in value or "\t" in value:
        raise ValueError("must be one line")
    return value


def _filled(value: str) -> str:
    if not any(unicodedata.category(character)[0] in "LNPSM" for character in value):
        raise ValueError("is empty")
    return value


Line = Annotated[
    str,
    Field(max_length=200),
    BeforeValidator(_plain_text),
    AfterValidator(_printable),
    AfterValidator(_one_line),
    AfterValidator(_filled),
]
Paragraphs = Annotated[
    str,
    Field(max_length=10_000),
    BeforeValidator(_plain_text),
    AfterValidator(_printable),
    AfterValidator(_filled),
]
Name = Annotated[str, Field(max_length=100), BeforeValidator(_plain_text)]


def _identity(value: str) -> str:
    # `Mei Tan <mei@tan.example>`, as git prints an author: people are known by the address in it.
    named = _NAMED_ADDRESS.match(value)
    word = named[1] if named else value
    if word.casefold().startswith("service:"):
        raise ValueError("names a program of ours: say which person it was")
    if _SPACE.search(word):
        raise ValueError(
            "must be one address or account, like mei@tan.example: a name alone says not who it is"
        )
    return word


Identity = Annotated[Line, AfterValidator(_identity)]


def _moment(value: Any) -> Any:
    """Read a date, a wall time or an instant: what a plan's dates may be."""
    if isinstance(value, datetime | date):
        text: Any = value.isoformat()
    else:
        text = value
    if not isinstance(text, str):
        message = "write a date like 2025-02-01, or a time like 2025-02-01T02:00"
        raise ValueError(message)  # noqa: TRY004 - pydantic explains only ValueErrors
    text = text.strip()
    wrong = f"{ascii(text)[:40]} is no date; write it like 2025-02-01 or 2025-02-01T02:00"
    # Python reads 20250201 and 2025-W07 too, as midnight: the last day would be lost.
    whole_day = _DATE.fullmatch(text)
    if not whole_day and not _TIME.fullmatch(text):
        raise ValueError(wrong)
    try:
        found: date | datetime = (
            date.fromisoformat(text) if whole_day else datetime.fromisoformat(text)
        )
    except ValueError:
        raise ValueError(wrong) from None
    if not _EARLIEST <= found.year <= _LATEST:
        raise ValueError(f"the year {found.year} is out of reach")
    if isinstance(found, datetime) and found.tzinfo is not None:
        try:
            return parse_instant(text)
        except InputError as error:
            raise ValueError(str(error)) from error
    return found


Moment = Annotated[
    date,
    PlainValidator(_moment),
    PlainSerializer(lambda value: value.isoformat(), when_used="json"),
]


def begins(moment: date | datetime, zone: ZoneInfo) -> datetime:
    """Return the instant at which it begins; a bare date is the whole local day."""
    return _instant(moment, zone, after=0)


def ends(moment: date | datetime, zone: ZoneInfo) -> datetime:
    """Return the instant at which it ends; a bare date is the whole local day, end inclusive."""
    return _instant(moment, zone, after=1)


def _instant(moment: date | datetime, zone: ZoneInfo, *, after: int) -> datetime:
    if isinstance(moment, datetime):
        return moment.astimezone(UTC) if moment.tzinfo is not None else resolve(moment, zone)
    return resolve(datetime.combine(moment + timedelta(days=after), time()), zone)
