"""Notices and summaries as Slack's Block Kit, within its limits whatever their texts are.

Limits: https://docs.slack.dev/reference/block-kit (header 150 characters, section text 3000, ten
fields of 2000, button text 75 and URL 3000, 50 blocks). Escaping: `&`, `<` and `>`, as Slack's
formatting guide says: without them no text can mention anybody or hide a link.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from include.notices.notice import Audience, Notice, QueuedNotice, Severity
from include.notices.summary import Summary
from include.notices.wording import listed

_HEADER = 150
_SECTION = 3000
_FIELD = 2000
_LABEL = 200
_FIELDS = 10
_URL = 3000
_FALLBACK = 3000
# Forty fields make four blocks; a notice with more of them is no notice.
_MOST_FIELDS = 40

_MARKS = {Severity.ACTION: "✋ ", Severity.WARNING: "⚠️ ", Severity.CRITICAL: "⛔ "}
FOR = {
    Audience.TEAM: "the team",
    Audience.CAB: "the change advisory board",
    Audience.OPERATIONS: "operations",
    Audience.STAKEHOLDERS: "stakeholders",
    Audience.ON_CALL: "whoever is on call",
    Audience.PERSON: "those who are named",
}
_SPACE = re.compile(r"\s")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}

Blocks = list[dict[str, Any]]


def is_broadcast(notice: Notice) -> bool:
    """Tell whether a reply is shown in the channel too.

    It is when it asks or alarms somebody, tells a decision or ends the thread.
    """
    asks = notice.severity in {Severity.ACTION, Severity.CRITICAL}
    return asks or notice.final or notice.event == "checkpoint.decided"


def blocks(queued: QueuedNotice) -> Blocks:
    """Return one notice as blocks."""
    notice = queued.notice
    link, fields = split_link(notice.link, notice.fields)
    made = [_header(notice.severity, notice.title)]
    if notice.text:
        made.append({"type": "section", "text": _plain(notice.text, _SECTION)})
    made += _fields(fields)
    if link is not None:
        made.append(_button(link, asks=notice.severity is Severity.ACTION))
    made.append(_context(f"For {FOR[notice.audience]}", queued.late, _left_out(fields)))
    return made


def summary_blocks(summary: Summary) -> Blocks:
    """Return what the first message of a thread shows: where it stands, and how it began."""
    first = summary.first
    fields: dict[str, str] = {}
    if summary.phase:
        fields["Phase"] = summary.phase
    if summary.next:
        fields["Next"] = summary.next
    for question in summary.questions:
        fields[f"Asked: {question.about}"] = listed(question.asked) or "nobody by name"
    if not summary.questions and summary.count > 1:
        fields["Asked"] = "nobody now"
    if summary.count > 1 and first.title != summary.title:
        fields["Began with"] = first.title
    fields |= {name: value for name, value in summary.told.fields.items() if name not in fields}
    link, shown = split_link(summary.link, fields)
    made = [_header(summary.severity, summary.title)]
    text = summary.news.strip()
    if text:
        made.append({"type": "section", "text": _plain(text, _SECTION)})
    made += _fields(shown)
    if link is not None:
        made.append(_button(link, asks=bool(summary.questions)))
    news = f"{summary.count} notices in this thread" if summary.count > 1 else None
    made.append(_context(f"For {FOR[first.audience]}", news, summary.late, _left_out(shown)))
    return made


def fallback_text(queued: QueuedNotice) -> str:
    """Return what notifications and screen readers show, and what is sent if blocks are refused."""
    notice = queued.notice
    parts = [notice.title, notice.text, *(f"{k}: {v}" for k, v in notice.fields.items())]
    parts += [notice.link or "", queued.late or ""]
    return clipped("\n".join(part for part in parts if part), _FALLBACK)


def escaped(text: str, limit: int) -> str:
    """Return `text` escaped for Slack, cut so that the result has at most `limit` characters.

    Counted as UTF-16 does, which counts most: an emoji is two.
    """
    kept: list[str] = []
    room = limit
    for letter in text:
        room -= _cost(letter)
        if room < 0:
            break
        kept.append(_ESCAPES.get(letter, letter))
    else:
        return "".join(kept)
    # Take back what the ellipsis needs.
    room = limit - 1 - sum(map(_size, kept))
    while kept and room < 0:
        room += _size(kept.pop())
    return "".join(kept).rstrip() + "…"


def clipped(text: str, limit: int) -> str:
    """Return `text` escaped, cut in its middle if it has to be: what to do stands at the end."""
    sizes = [_cost(letter) for letter in text]
    if sum(sizes) <= limit:
        return escaped(text, limit)
    start, room = len(text), limit // 4
    while sizes[start - 1] <= room:
        start -= 1
        room -= sizes[start]
    # From a whole word on, if there is one before long.
    words = _SPACE.search(text, start, (start + len(text)) // 2)
    end = escaped(text[words.start() if words else start :], limit)
    return escaped(text[:start], limit - _size(end)) + end


def split_link(link: str | None, fields: Mapping[str, str]) -> tuple[str | None, Mapping[str, str]]:
    """Return the link if a button can bear it, else show it among the fields."""
    if link is None:
        return None, fields
    try:
        parts = urlsplit(link)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        usable = False
    if usable and _size(link) <= _URL and " " not in link:
        return link, fields
    return None, {**fields, "Link": link}


def _size(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _cost(letter: str) -> int:
    """Return the room that a letter takes once it is escaped."""
    shown = _ESCAPES.get(letter)
    return len(shown) if shown else 1 + (letter > "\uffff")


def _header(severity: Severity, title: str) -> dict[str, Any]:
    return {"type": "header", "text": _plain(_MARKS.get(severity, "") + title, _HEADER)}


def _plain(text: str, limit: int) -> dict[str, Any]:
    # Plain text, so that a commit's *stars* and :names: stay what they are.
    return {"type": "plain_text", "text": clipped(text, limit), "emoji": False}


def _fields(fields: Mapping[str, str]) -> Blocks:
    """Return the fields two in a row; one that holds a list has the whole width to itself."""
    made: Blocks = []
    for name, value in list(fields.items())[:_MOST_FIELDS]:
        if "\n" in value:
            made.append({"type": "section", "text": _field(name, value, _SECTION)})
            continue
        shown = _field(name, value, _FIELD)
        if made and len(made[-1].get("fields", ())) in range(1, _FIELDS):
            made[-1]["fields"].append(shown)
        else:
            made.append({"type": "section", "fields": [shown]})
    return made


def _field(name: str, value: str, limit: int) -> dict[str, Any]:
    label = f"*{escaped(name, _LABEL)}*\n"
    text = label + clipped(value, limit - _size(label))
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _button(link: str, *, asks: bool) -> dict[str, Any]:
    text = "Open required actions" if asks else "Open in Airflow"
    button = {"type": "button", "text": _plain(text, 75), "url": link, "action_id": "open_link"}
    if asks:
        button["style"] = "primary"
    return {"type": "actions", "elements": [button]}


def _context(*parts: str | None) -> dict[str, Any]:
    text = escaped(" · ".join(part for part in parts if part), _FIELD)
    return {"type": "context", "elements": [{"type": "plain_text", "text": text}]}


def _left_out(fields: Mapping[str, str]) -> str:
    more = len(fields) - _MOST_FIELDS
    return f"{more} more fields: ./hims notices" if more > 0 else ""
