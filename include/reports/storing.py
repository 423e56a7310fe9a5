"""Writes a report's files, records it in the ledger, and sends copies where they are wanted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from sqlalchemy import text

from include.durable import write_bytes
from include.ledger import Actor, Ledger, Source, Subject
from include.notices import Notice, queue
from include.notices.report_texts import report_ready
from include.reports.report import Report

FORMATS = ("html", "pdf", "md", "json")
# The figures that are told with the news that a report is there.
_TOLD = ("change_success_rate", "rollback_rate", "emergency_change_rate", "change_lead_time")

_MADE = text("""
    SELECT count(*) FROM record
    WHERE event = 'report.made' AND body::jsonb -> 'subject' ->> 'id' = :report
      AND body::jsonb -> 'subject' ->> 'content_hash' = :digest
""")


class Archive(Protocol):
    """A further place for copies: an object store."""

    def put(self, key: str, content: bytes, content_type: str) -> str:
        """Store one file and return its URI; raises any exception when it could not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A report as it was stored: its files by format, and the digest of its JSON.

    `again` says that exactly this report had been recorded before; `lost` names the copies that
    could not be stored, with the reason.
    """

    id: str
    files: Mapping[str, Path]
    digest: str
    again: bool
    copies: Sequence[str] = ()
    lost: Sequence[str] = ()


CONTENT_TYPES = {
    "html": "text/html; charset=utf-8",
    "pdf": "application/pdf",
    "md": "text/markdown; charset=utf-8",
    "json": "application/json",
}


def render(report: Report, formats: Sequence[str] = FORMATS) -> dict[str, bytes]:
    """Return the report's files by format; the same report gives the same bytes."""
    from include.reports.rendering.data import data

    made: dict[str, bytes] = {}
    for name in formats:
        match name:
            case "html":
                from include.reports.rendering.html import html

                made[name] = html(report).encode("utf-8")
            case "pdf":
                from include.reports.rendering.pdf import pdf

                made[name] = pdf(report)
            case "md":
                from include.reports.rendering.markdown import markdown

                made[name] = markdown(report).encode("utf-8")
            case "json":
                document = json.dumps(data(report), ensure_ascii=False, indent=1)
                made[name] = (document + "\n").encode("utf-8")
    return made


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

    The record and, with `tell`, the notice are one unit of work. A copy that fails costs neither:
    it is named in the record. Exactly the same report again is not recorded again.
    """
    rendered = render(report, list(dict.fromkeys((*formats, "json"))))
    digest = "sha256:" + hashlib.sha256(rendered["json"]).hexdigest()
    directory.mkdir(parents=True, exist_ok=True)
    files = {}
    for name in formats:
        path = directory / f"{report.id}.{name}"
        write_bytes(path, rendered[name], mode=0o644)
        files[name] = path
    copies, lost = _copy(archive, report, rendered, formats)
    with ledger.read() as connection:
        known = connection.execute(_MADE, {"report": report.id, "digest": digest}).scalar_one()
    if not known:
        with ledger.write(actor, source, now) as unit:
            unit.append(
                "report.made",
                Subject(kind="report", id=report.id, content_hash=digest),
                reason="provisional" if report.provisional else "done",
                message=f"{report.title} {report.period.name} is made: {report.summary}"[:2000],
                evidence=[
                    {
                        "uri": f"report:{report.id}.{name}",
                        "sha256": hashlib.sha256(rendered[name]).hexdigest(),
                    }
                    for name in sorted(formats)
                ],
                details={"as_of": report.as_of.isoformat(), "copies": copies, "lost": lost},
            )
            if tell:
                queue(unit, _ready(report, digest, link))
    return Made(
        id=report.id, files=files, digest=digest, again=bool(known), copies=copies, lost=lost
    )


def _ready(report: Report, digest: str, link: str | None) -> Notice:
    return report_ready(
        report=report.id,
        title=report.title,
        period=report.period.words,
        summary=report.summary,
        figures={report.card[name].title: report.card[name].text for name in _TOLD},
        digest=digest,
        link=link,
    )


def _copy(
    archive: Archive | None, report: Report, rendered: Mapping[str, bytes], formats: Sequence[str]
) -> tuple[list[str], list[str]]:
    copies: list[str] = []
    lost: list[str] = []
    if archive is None:
        return copies, lost
    for name in formats:
        key = f"reports/{report.period.kind}/{report.id}.{name}"
        try:
            copies.append(archive.put(key, rendered[name], CONTENT_TYPES[name]))
        except Exception as error:
            # Whatever a store says: the report itself is written, and the record tells of this.
            lost.append(f"{key}: {type(error).__name__}")
    return copies, lost
