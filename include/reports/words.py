"""What people write about a quarter: the words that no ledger knows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.engine import Connection

from include.ledger import Actor, Ledger, Source, Subject
from include.ledger.kept_text import keep_text, kept_text
from include.notices.wording import shorten
from include.privacy import screen
from include.reports.period import Period
from include.settings import Settings

WORDED = "report.worded"
LONGEST = 10_000

_WORDED = text("""
    SELECT body::jsonb -> 'details' -> 'words' AS words, body::jsonb -> 'actor' ->> 'name' AS name
    FROM record
    WHERE event = 'report.worded' AND body::jsonb -> 'subject' ->> 'id' = :report
    ORDER BY seq
""")


def write_words(
    ledger: Ledger,
    settings: Settings,
    period: Period,
    words: Mapping[str, str],
    *,
    service: str | None,
    by: Actor,
    source: Source,
    now: datetime,
) -> str:
    """Keep what `by` wrote, by the section's heading, and return the report's id.

    The texts lie outside the tree, their hashes in the record; what looks like a patient's data is
    taken out as config/privacy.yaml says for comments. A text longer than `LONGEST` is cut, and
    shows it. An empty text leaves what is there.
    """
    report = f"{period.kind}-{period.name}" + (f"-{service}" if service else "")
    said = {
        title: screen(settings, "comment", shorten(told.strip(), LONGEST), where=title)
        for title, told in words.items()
        if told.strip()
    }
    with ledger.write(by, source, now) as unit:
        unit.append(
            WORDED,
            Subject(kind="report", id=report),
            message=f"{by.name} wrote about {period.words}",
            details={"words": {title: keep_text(unit, told) for title, told in said.items()}},
        )
    return report


def read_words(connection: Connection, report: str) -> dict[str, tuple[str, str]]:
    """Return the newest text for each heading, and who wrote it; forgotten texts are left out."""
    found: dict[str, tuple[str, str]] = {}
    for row in connection.execute(_WORDED, {"report": report}):
        for heading, digest in row.words.items():
            told = kept_text(connection, digest)
            if told is not None:
                found[heading] = (told, row.name)
    return found
