"""How notices say times, counts and what went wrong; and what no text of theirs may contain."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from include.calendar.wall_time import Span, local_span_text, local_text, zone_of

_UTC = ZoneInfo("UTC")
# "psycopg2.OperationalError: …", "ValueError: …": the class says nothing to a reader.
_EXCEPTION_CLASS = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit): *")
# Credentials in URLs, and tokens that say by their first letters whose they are.
_URL_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^/\s@]+@")
_TOKEN = re.compile(r"\b(xox[a-z]-|xapp-|gh[opsru]_|github_pat_|Bearer )[\w.~+/=-]{6,}")
_TRACEBACK = "Traceback (most recent call last)"


def one_line(text: str, limit: int | None = None) -> str:
    """Return `text` as one line of printable characters, cut to `limit` with an ellipsis.

    Passwords in URLs and tokens are taken out, here and in `paragraph`.

    >>> one_line("two\\n lines")
    'two lines'
    """
    line = _without_secrets(" ".join(_printable(text).split()))
    return line if limit is None else shorten(line, limit)


def paragraph(text: str) -> str:
    """Return `text` in printable characters with its line breaks, without blank edges."""
    lines = (" ".join(_printable(line).split()) for line in text.splitlines())
    return _without_secrets(re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip())


def sentence(text: str, limit: int = 300) -> str:
    """Return what a machine or a person said as one sentence of at most `limit` characters.

    Of a traceback only the message of the last exception is left, of several lines the first; an
    exception's class is dropped.

    >>> sentence("ValueError: no such slot\\n  at line 3")
    'no such slot.'
    """
    lines = [line for line in text.splitlines() if line.strip()]
    said = (lines[-1] if _TRACEBACK in text else lines[0]) if lines else ""
    said = one_line(said)
    said = _EXCEPTION_CLASS.sub("", said) or said.rstrip(": ")
    if not said:
        return "No reason was given."
    said = shorten(said, limit - 1)
    return said if said.endswith((".", "!", "?", "…")) else f"{said}."


def shorten(text: str, limit: int) -> str:
    """Return `text` cut to at most `limit` characters, with `…` where something is missing."""
    return text if len(text) <= limit else text[: max(limit - 1, 0)].rstrip() + "…"


def moment(instant: datetime, zone: str) -> str:
    """Return `Sat 28 Nov 2026 02:00 EST (07:00 UTC)`; the UTC date too where it is another day."""
    place = zone_of(zone)
    local = local_text(_to_second(instant), place)
    if place.key == "UTC":
        return local
    utc = local_text(_to_second(instant), _UTC)
    if instant.astimezone(place).date() == instant.astimezone(UTC).date():
        utc = " ".join(utc.split()[-2:])
    return f"{local} ({utc})"


def stretch(start: datetime, end: datetime, zone: str) -> str:
    """Return `Sat 28 Nov 2026 02:00–04:00 EST (07:00–09:00 UTC)`."""
    place = zone_of(zone)
    span = Span(_to_second(start), _to_second(end))
    local = local_span_text(span, place)
    if place.key == "UTC":
        return local
    utc = local_span_text(span, _UTC)
    days = {moment.astimezone(where).date() for moment in (start, end) for where in (place, UTC)}
    if len(days) == 1:
        utc = " ".join(utc.split()[-2:])
    return f"{local} ({utc})"


def count(number: int, noun: str) -> str:
    """Return `1 commit`, `12,345 rows` …: `noun` in the singular, its plural with s.

    >>> count(1, "commit"), count(1200, "row")
    ('1 commit', '1,200 rows')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def listed(words: Iterable[str]) -> str:
    """Return `a, b and c`."""
    *most, last = [one_line(word) for word in words] or [""]
    return f"{', '.join(most)} and {last}" if most else last


def bullets(lines: Iterable[str], *, most: int = 20, room: int = 2000, rest: str = "") -> str:
    """Return lines as a list, each in one line of at most 300 characters: as many as are within
    `most` and `room`, one at least, and how many are left out (`rest` says where they are).

    >>> bullets(["a", "b", "c"], most=2)
    '• a\\n• b\\n… and 1 more'
    """
    made = [f"• {shorten(one_line(line), 300)}" for line in lines]
    shown = made[:most]
    while len(shown) > 1 and sum(len(line) + 1 for line in shown) > room:
        shown.pop()
    left = len(made) - len(shown)
    return "\n".join([*shown, f"… and {left} more{rest}"] if left else shown)


def short_digest(digest: str) -> str:
    """Return `sha256:` and the first twelve digits: enough to compare by eye."""
    algorithm, colon, digits = one_line(digest).rpartition(":")
    return f"{algorithm}{colon}{digits[:12]}"


def rounded(seconds: float) -> timedelta:
    """Return a measured length in whole seconds, at least one."""
    return timedelta(seconds=max(1, round(seconds)))


def _to_second(instant: datetime) -> datetime:
    return instant.replace(microsecond=0)


def _without_secrets(text: str) -> str:
    return _TOKEN.sub(r"\1…", _URL_PASSWORD.sub(r"\1…@", text))


def is_no_character(letter: str) -> bool:
    """Tell whether Unicode keeps this place free for ever, as it does U+FFFE.

    >>> is_no_character("\ufffe"), is_no_character("\U0010ffff"), is_no_character("\ufffd")
    (True, True, False)
    """
    return ord(letter) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(letter) <= 0xFDEF


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    # Cc: control, Cs: lone surrogates (not UTF-8), what is no character and never will be (not XML
    # either), and the format characters that turn the reading direction; joiners within emoji and
    # scripts stay.
    return "".join(
        " "
        if unicodedata.category(letter) == "Cc"
        else "\ufffd"
        if unicodedata.category(letter) == "Cs" or is_no_character(letter)
        else ""
        if letter in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"
        else letter
        for letter in text
    )
