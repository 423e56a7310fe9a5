"""Writes a report's files, records it in the ledger, and sends copies where they are wanted.

A PDF that cannot be made costs none of the other forms: it is named in the record and in what is
told, and whoever makes the report again adds it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import select, text

from include.durable import write_bytes
from include.errors import ReportError
from include.ledger import Actor, Ledger, Outcome, Source, Subject, schema
from include.notices import Notice, queue
from include.notices.report_texts import report_ready
from include.notices.wording import one_line
from include.reports.report import Report

FORMATS = ("html", "pdf", "md", "json")
# The figures that are told with the news that a report is there.
_TOLD = ("change_success_rate", "rollback_rate", "emergency_change_rate", "change_lead_time")

# The last word on this edition: what was made before may have been lacking then, or be by now.
_MADE = text("""
    SELECT body::jsonb -> 'evidence' AS evidence, body::jsonb -> 'details' AS details FROM record
    WHERE event = 'report.made' AND body::jsonb -> 'subject' ->> 'id' = :report
      AND body::jsonb -> 'subject' ->> 'content_hash' = :digest
    ORDER BY seq DESC LIMIT 1
""")


class Archive(Protocol):
    """A further place for copies: an object store."""

    def put(self, key: str, content: bytes, content_type: str) -> str:
        """Store one file and return its URI; raises any exception when it could not."""

    def drop(self, key: str) -> None:
        """Take away what another edition has left there, if anything; raises as `put` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A report as it was stored: its files by format, and the digest of its JSON.

    `again` says that exactly this report had been recorded before; `missing` says of each form that
    could not be made where and why, and `lost` names the copies that could not be stored.
    """

    id: str
    files: Mapping[str, Path]
    digest: str
    again: bool
    copies: Sequence[str] = ()
    lost: Sequence[str] = ()
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def lacks(self) -> list[str]:
        """Return, a sentence each, what the report has to get yet; nothing if it is complete."""
        return [
            *(f"{self.id}.{form} could not be made ({why})" for form, why in self.missing.items()),
            *(f"there is no copy of {lost}" for lost in self.lost),
        ]


CONTENT_TYPES = {
    "html": "text/html; charset=utf-8",
    "pdf": "application/pdf",
    "md": "text/markdown; charset=utf-8",
    "json": "application/json",
}


def render(
    report: Report, formats: Sequence[str] = FORMATS
) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the report's files by format, and of those that could not be made where and why; the
    same report gives the same bytes."""
    from include.reports.rendering.data import data

    made: dict[str, bytes] = {}
    missing: dict[str, str] = {}
    for name in formats:
        match name:
            case "html":
                from include.reports.rendering.html import html

                made[name] = html(report).encode("utf-8")
            case "pdf":
                try:
                    made[name] = _pdf(report)
                except ReportError as error:
                    missing[name] = str(error)
            case "md":
                from include.reports.rendering.markdown import markdown

                made[name] = markdown(report).encode("utf-8")
            case "json":
                document = json.dumps(data(report), ensure_ascii=False, indent=1)
                made[name] = (document + "\n").encode("utf-8")
    return made, missing


def _pdf(report: Report) -> bytes:
    try:
        from include.reports.rendering.pdf import pdf
    except ImportError as error:
        raise ReportError(f"its typesetter is not installed: {error}") from error
    return pdf(report)


def store(
    ledger: Ledger,
    report: Report,
    directory: Path,
    *,
    actor: Actor,
    source: Source,
    now: datetime,
    formats: Sequence[str] = FORMATS,
    archive: Archive | None = None,
    link: str | None = None,
    tell: bool = False,
) -> Made:
    """Write the files under `directory`, copy them to the archive, and record what was made.

    The record and, with `tell`, the notice are one unit of work. A PDF that fails is named in both,
    a copy that fails in the record. Exactly the same report again is neither recorded nor told.
    """
    rendered, missing = render(report, list(dict.fromkeys((*formats, "json"))))
    digest = "sha256:" + hashlib.sha256(rendered["json"]).hexdigest()
    directory.mkdir(parents=True, exist_ok=True)
    files = {}
    for name in formats:
        path = directory / f"{report.id}.{name}"
        if name in missing:
            # What lies there is of another edition, and would pass for this one's.
            path.unlink(missing_ok=True)
        else:
            write_bytes(path, rendered[name], mode=0o644)
            files[name] = path
    copies, lost = _copy(archive, report, rendered, formats, missing)
    evidence = [
        {
            "uri": f"report:{report.id}.{name}",
            "sha256": hashlib.sha256(rendered[name]).hexdigest(),
        }
        for name in sorted(files)
    ]
    details = {"copies": copies, "lost": lost, "missing": missing}
    notice = _ready(report, digest, link, missing)
    with ledger.read() as connection:
        last = connection.execute(_MADE, {"report": report.id, "digest": digest}).first()
        told = (
            not tell
            or connection.execute(
                select(schema.notice.c.id).where(schema.notice.c.dedupe_key == notice.dedupe_key)
            ).first()
        )
    known = last is not None and _covers(last.evidence, last.details, evidence, details)
    if not (known and told):
        with ledger.write(actor, source, now) as unit:
            unit.append(
                "report.made",
                Subject(kind="report", id=report.id, content_hash=digest),
                outcome=Outcome.FAILURE if missing else Outcome.SUCCESS,
                reason=_reason(report, missing),
                message=_message(report, missing),
                evidence=evidence,
                details={"as_of": report.as_of.isoformat(), **details},
            )
            if tell:
                queue(unit, notice)
    return Made(
        id=report.id,
        files=files,
        digest=digest,
        again=known,
        copies=copies,
        lost=lost,
        missing=missing,
    )


def _covers(
    evidence: Sequence[Any],
    details: Mapping[str, Any],
    found: Sequence[Any],
    now: Mapping[str, Any],
) -> bool:
    """Whether a record says all of what was made now, and of what is lacking."""
    return all(item in evidence for item in found) and all(
        item in details.get(name, ()) for name, items in now.items() for item in items
    )


def _reason(report: Report, missing: Mapping[str, str]) -> str:
    if missing:
        return "incomplete"
    return "provisional" if report.provisional else "done"


def _message(report: Report, missing: Mapping[str, str]) -> str:
    lacking = "".join(f" without its {form} ({why})" for form, why in missing.items())
    return f"{report.title} {report.period.name} is made{lacking}: {report.summary}"[:2000]


def _ready(report: Report, digest: str, link: str | None, missing: Mapping[str, str]) -> Notice:
    return report_ready(
        report=report.id,
        title=report.title if report.service is None else f"{report.title}, {report.service}",
        period=report.period.words,
        summary=report.summary,
        figures={report.card[name].title: report.card[name].text for name in _TOLD},
        digest=digest,
        missing={form.upper(): why for form, why in missing.items()},
        provisional=report.provisional,
        link=link,
    )


def _copy(
    archive: Archive | None,
    report: Report,
    rendered: Mapping[str, bytes],
    formats: Sequence[str],
    missing: Collection[str],
) -> tuple[list[str], list[str]]:
    """Return where the copies are, and of each that could not be stored its key and why."""
    copies: list[str] = []
    lost: list[str] = []
    if archive is None:
        return copies, lost
    for name in formats:
        key = f"reports/{report.period.kind}/{report.id}.{name}"
        if lost:
            # Who waits for one file until a store that is away has given up does not wait for four.
            lost.append(f"{key}: not tried after that")
            continue
        try:
            if name in missing:
                archive.drop(key)
            else:
                copies.append(archive.put(key, rendered[name], CONTENT_TYPES[name]))
        except Exception as error:
            # Whatever a store says: the report itself is written, and the record tells of this.
            lost.append(f"{key}: {one_line(f'{type(error).__name__}: {error}', 300)}")
    return copies, lost
