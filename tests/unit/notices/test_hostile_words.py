"""Every text there is, said with words that want to do harm, through every channel's limits.

The words are put into each parameter by its type, so that a text which is new is tried as well.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from slack_sdk.models.blocks import Block

from include.notices import (
    Notice,
    alarm_texts,
    board_texts,
    calendar_texts,
    change_texts,
    report_texts,
    texts,
)
from include.notices.catalogue import EVENTS
from include.notices.email_channel import mail
from include.notices.log_channel import LogChannel
from include.notices.notice import QueuedNotice
from include.notices.slack_blocks import blocks, escaped, fallback_text, summary_blocks
from include.notices.summary import summarise
from tests.block_kit import problems

NOW = datetime(2026, 11, 28, 7, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=2)
MODULES = (texts, alarm_texts, board_texts, calendar_texts, change_texts, report_texts)
TEXTS = [
    item
    for module in MODULES
    for _, item in inspect.getmembers(module, inspect.isfunction)
    if item.__module__ == module.__name__ and not item.__name__.startswith("_")
]
HOSTILE = {
    "mentions": "<!channel> <@U0123> <https://evil.example|the report> &lt;!here&gt;",
    "markup": "&<>" * 400,
    "endless": "x" * 4000,
    "pictures": "🚀" * 1600,
    "lines": "a\r\nNOTICE CRITICAL forged\n\n\n> quoted\x00\x1b[31m\u2028b",
    "turned": "\u202egnp.exe\u2066 \u200f مرحبا",
    "halves": "\ud800 broken \udfff",
    "formats": "*bold* _it_ ~no~ `code` ```block``` :skull: #releases @here",
    "secret": "https://bot:hunter2secret@git.example/x xoxb-1234567890-abcdef",
    "blank": " \n\t ",
    "nothing": "",
}
# What is chosen from a list, and what has a form: nobody's words get there.
CHOSEN: dict[str, list[Any]] = {
    "zone": ["America/New_York"], "phase": ["feature", "code"], "severity": ["P1", "P4"],
    "clock": ["response"], "percent": [75, 100], "revision": [1],
    "change": ["CHG-000001"], "release": ["hims-api-2.3.0"], "incident": ["INC-000001"],
    "thread": ["hims-api-2.3.0"], "dag_id": ["weekly_change_report"], "rollback": ["RBK-000001"],
    "report": ["weekly-2026-W47"], "digest": ["sha256:" + "a" * 64],
}  # fmt: skip


def values(name: str, kind: str, words: str) -> list[Any]:
    """Return what a parameter of this name and type is tried with."""
    if name in CHOSEN:
        return CHOSEN[name]
    plain = {
        "str": [words], "str | None": [words, None], "int": [3], "float": [1.5],
        "bool": [True, False], "datetime": [NOW if name in ("start", "opens") else LATER],
        "datetime | None": [LATER, None], "date | None": [LATER, date(2026, 12, 1), None],
        "timedelta": [timedelta(minutes=5)],
        "Sequence[str]": [[words] * 40, [words], []], "Mapping[str, str]": [{words: words}, {}],
        "Mapping[str, str] | None": [{"PDF": words}, None],
    }  # fmt: skip
    if kind == "Sequence[Coming]":
        one = report_texts.Coming(
            id="CHG-000001", title=words, systems=(words,), start=NOW, end=LATER, state=words
        )
        return [[one] * 40, []]
    return plain[kind]


def said(text: Callable[..., Notice], words: str) -> Iterator[Notice]:
    """Yield the notices of a text: each parameter in turn has each of its values."""
    tried = {
        name: values(name, str(parameter.annotation), words)
        for name, parameter in inspect.signature(text).parameters.items()
    }
    usual = {name: found[0] for name, found in tried.items()}
    yield text(**usual)
    for name, found in tried.items():
        for value in found[1:]:
            yield text(**{**usual, name: value})


@cache
def everything(text: Callable[..., Notice]) -> list[tuple[str, QueuedNotice]]:
    return [
        (
            name,
            QueuedNotice(
                id=7, notice=notice, created_at=NOW, attempts=0, late="late: was due at 02:00 EST"
            ),
        )
        for name, words in HOSTILE.items()
        for notice in said(text, words)
    ]


each_text = pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.__name__)


@each_text
def test_slack_takes_it_and_makes_nothing_of_it(text: Callable[..., Notice]) -> None:
    for name, queued in everything(text):
        summary = summarise([queued.notice] * 3, late=queued.late)
        for made in (blocks(queued), summary_blocks(summary)):
            assert problems({"text": fallback_text(queued), "blocks": made}) == [], name
            assert None not in Block.parse_all(made)


@each_text
def test_what_to_do_is_never_cut_off(text: Callable[..., Notice]) -> None:
    for name, queued in everything(text):
        header, *others = blocks(queued)
        shown = [item["text"]["text"] for item in others if "text" in item]
        shown += [field["text"] for item in others for field in item.get("fields", ())]
        # Our own words stand behind those of others.
        for whole, room in (
            (queued.notice.text, 600),
            *((value, 400) for value in queued.notice.fields.values()),
        ):
            end = escaped(whole[-room // 5 :], room)
            assert any(part.endswith(end) for part in shown) or not whole, (name, whole)
        assert header["text"]["text"].endswith(escaped(queued.notice.title[-7:], 35))


@each_text
def test_mail_and_log_take_it_without_a_line_of_anybody_elses(
    text: Callable[..., Notice],
) -> None:
    for name, queued in everything(text):
        message = mail(queued, "releases@hims.example", ["rita@hims.example"])
        assert message.as_bytes()
        assert "\n" not in str(message["Subject"])
        assert set(message.keys()) == set(mail(_plain(queued), "a@b.c", ["d@e.f"]).keys()), name
        lines: list[str] = []
        LogChannel(lines.append).deliver(queued, None, summarise([queued.notice]))
        assert lines[0].startswith("NOTICE ")
        assert all(line.startswith("  ") and line.isprintable() for line in lines[1:]), name
        assert "hunter2" not in message.as_string() + "".join(lines) + fallback_text(queued)
        assert "1234567890" not in message.as_string() + "".join(lines) + fallback_text(queued)


def _plain(queued: QueuedNotice) -> QueuedNotice:
    kept = queued.notice
    notice = Notice(
        event=kept.event, thread="t", audience=kept.audience, severity=kept.severity, title="t",
        text="t", dedupe_key="k",
    )  # fmt: skip
    return QueuedNotice(id=1, notice=notice, created_at=NOW, attempts=0)


def test_every_event_is_tried() -> None:
    tried = {queued.notice.event for text in TEXTS for _, queued in everything(text)}
    assert tried == set(EVENTS)


def test_no_two_events_share_a_dedupe_key() -> None:
    keys: dict[str, str] = {}
    for text in TEXTS:
        for notice in said(text, "words"):
            owner = keys.setdefault(notice.dedupe_key, notice.event)
            assert owner == notice.event
