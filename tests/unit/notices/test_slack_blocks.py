"""Slack's limits hold for whatever people call their releases."""

from __future__ import annotations

import html
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block

from include.notices import Audience, Notice, QueuedNotice, Severity
from include.notices.notice import Standing
from include.notices.slack_blocks import (
    blocks,
    clipped,
    escaped,
    fallback_text,
    is_broadcast,
    summary_blocks,
)
from include.notices.summary import summarise
from tests.block_kit import length, problems

NOW = datetime(2026, 11, 28, 7, 0, tzinfo=UTC)

nasty = st.one_of(
    st.text(),
    st.sampled_from(["<!channel>", "<@U1>", "<http://x|y>", "&lt;", "*b* `c` ~d~ _e_ :skull:"]),
    st.text(alphabet="&<>", min_size=1, max_size=400),
    st.builds(lambda text, times: text * times, st.text(min_size=1), st.integers(1, 2000)),
)


def queued(**changed: Any) -> QueuedNotice:
    late = changed.pop("late", None)
    values: dict[str, Any] = {
        "event": "release.planned", "thread": "hims-api-2.3.0", "audience": Audience.TEAM,
        "severity": Severity.INFO, "title": "hims-api-2.3.0: planned", "text": "a text",
        "dedupe_key": "k", **changed,
    }  # fmt: skip
    return QueuedNotice(id=1, notice=Notice(**values), created_at=NOW, attempts=0, late=late)


def check(made: list[dict[str, Any]]) -> None:
    """Hold the blocks against the documented limits, and against slack_sdk's own models."""
    assert problems({"blocks": made}) == []
    parsed = Block.parse_all(made)
    # An unknown type is parsed to None without a word.
    assert [block.type for block in parsed if block is not None] == [b["type"] for b in made]
    for block in parsed:
        block.to_dict()


def every_text(made: Any) -> list[str]:
    if isinstance(made, dict):
        own = [made["text"]] if isinstance(made.get("text"), str) else []
        return own + [text for value in made.values() for text in every_text(value)]
    return [text for item in made for text in every_text(item)] if isinstance(made, list) else []


@settings(max_examples=300, deadline=None)
@given(
    title=nasty.filter(lambda text: text.strip()),
    text=nasty,
    fields=st.dictionaries(nasty, nasty, max_size=60),
    link=st.one_of(st.none(), nasty, nasty.map(lambda path: "https://airflow/" + path)),
    severity=st.sampled_from(Severity),
    audience=st.sampled_from(Audience),
    late=st.one_of(st.none(), nasty),
)
def test_blocks_keep_every_limit_and_mention_nobody(title: str, **others: Any) -> None:
    try:
        notice = queued(title=title, **others)
    except ValueError:
        # A title of nothing but control characters.
        return
    made = blocks(notice)
    check(made)
    texts = [*every_text(made), fallback_text(notice)]
    for text in texts:
        assert "<" not in text
        assert ">" not in text
        assert text.count("&") == sum(text.count(entity) for entity in ("&amp;", "&lt;", "&gt;"))
    assert problems({"text": fallback_text(notice)}) == []
    assert len(fallback_text(notice)) <= 4000


@settings(max_examples=200, deadline=None)
@given(
    told=st.lists(
        st.fixed_dictionaries(
            {
                "title": nasty.map(lambda text: f"t{text}"),
                "text": nasty,
                "fields": st.dictionaries(nasty, nasty, max_size=12),
                "link": st.one_of(st.none(), nasty.map(lambda path: "https://airflow/" + path)),
                "severity": st.sampled_from(Severity),
                "audience": st.sampled_from(Audience),
                "standing": st.one_of(
                    st.none(),
                    st.builds(
                        Standing,
                        phase=st.one_of(st.none(), nasty),
                        next=st.one_of(st.none(), nasty),
                        question=st.one_of(st.none(), st.sampled_from("abc")),
                        about=st.one_of(st.none(), nasty),
                        asked=st.lists(nasty, max_size=30).map(tuple),
                        answered=st.booleans(),
                    ),
                ),
            }
        ),
        min_size=1,
        max_size=60,
    ),
    late=st.one_of(st.none(), nasty),
)
def test_a_summary_keeps_every_limit_whatever_was_said(
    told: list[dict[str, Any]], late: str | None
) -> None:
    summary = summarise([queued(**one).notice for one in told], late=late)
    check(summary_blocks(summary))
    assert len(summary.digest()) == 32


@given(st.text(), st.integers(10, 200))
def test_escaping_loses_nothing_but_what_does_not_fit(text: str, limit: int) -> None:
    made = escaped(text, limit)
    assert length(made) <= limit
    back = made.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    if back != text:
        assert made.endswith("…")
        assert text.startswith(back.removesuffix("…"))
        # What is left out would not have fitted.
        assert length(html.escape(text, quote=False)) > limit


@given(st.text(alphabet="ab &<\n🚀"), st.integers(20, 60))
def test_what_is_too_long_is_cut_in_its_middle(text: str, limit: int) -> None:
    made = clipped(text, limit)
    assert length(made) <= limit
    whole = html.escape(text, quote=False)
    if length(whole) <= limit:
        assert made == whole
    else:
        head, _, tail = made.partition("…")
        assert whole.startswith(head)
        assert whole.endswith(tail)
        assert text[-1:].isspace() or tail


def test_a_question_bears_a_button_to_its_page() -> None:
    made = blocks(queued(severity=Severity.ACTION, link="http://127.0.0.1:8080/required_actions"))
    [actions] = [block for block in made if block["type"] == "actions"]
    [button] = actions["elements"]
    assert button["text"]["text"] == "Open required actions"
    assert button["url"] == "http://127.0.0.1:8080/required_actions"
    [other] = [b for b in blocks(queued(link="https://airflow/dags")) if b["type"] == "actions"]
    assert other["elements"][0]["text"]["text"] == "Open in Airflow"


@pytest.mark.parametrize(
    "link",
    ["javascript:alert(1)", "ftp://x/y", "notes/v2.3.0.md", "https://", "http://[x", "h" * 9],
)
def test_what_is_no_web_address_is_shown_and_not_linked(link: str) -> None:
    made = blocks(queued(link=link))
    check(made)
    assert "actions" not in {block["type"] for block in made}
    assert any("Link" in text and link in text for text in every_text(made))


def test_fields_come_in_order_in_groups_of_ten() -> None:
    fields = {f"f{number}": str(number) for number in range(23)}
    groups = [block["fields"] for block in blocks(queued(fields=fields)) if "fields" in block]
    assert [len(group) for group in groups] == [10, 10, 3]
    shown = [item["text"] for group in groups for item in group]
    assert shown == [f"*{name}*\n{value}" for name, value in fields.items()]


def test_a_field_that_holds_a_list_has_the_whole_width() -> None:
    made = blocks(queued(fields={"a": "1", "list": "• x\n• y", "b": "2", "c": "3"}))
    check(made)
    sections = [block for block in made if block["type"] == "section"][-3:]
    assert [item["text"] for item in sections[0]["fields"]] == ["*a*\n1"]
    assert sections[1]["text"]["text"] == "*list*\n• x\n• y"
    assert [item["text"] for item in sections[2]["fields"]] == ["*b*\n2", "*c*\n3"]


def test_a_late_notice_says_so() -> None:
    made = blocks(queued(late="late: was due at Sat 28 Nov 2026 02:00 EST (07:00 UTC)"))
    assert "late: was due at Sat 28 Nov 2026 02:00 EST (07:00 UTC)" in every_text(made)[-1]


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({}, False),
        ({"severity": Severity.WARNING}, False),
        ({"severity": Severity.ACTION}, True),
        ({"severity": Severity.CRITICAL}, True),
        ({"final": True}, True),
        ({"event": "checkpoint.decided"}, True),
    ],
)
def test_what_nobody_must_miss_is_shown_in_the_channel_too(
    changed: dict[str, Any], shown: bool
) -> None:
    assert is_broadcast(queued(**changed).notice) is shown


def test_a_summary_says_nothing_twice_and_no_name_that_is_for_machines() -> None:
    opened = queued(thread="standard 2026-11-28T07:00:00Z", title="standard window is open")
    closed = queued(
        thread="standard 2026-11-28T07:00:00Z",
        title="standard window is closed",
        text="1 change done.",
        standing=Standing(phase="closed"),
    )
    header, said, *_ = summary_blocks(summarise([opened.notice, closed.notice]))
    assert header["text"]["text"] == "standard window is closed"
    assert said["text"]["text"] == "1 change done."
    begun = queued(thread="hims-api-2.3.0", title="hims-api-2.3.0: deploy has started")
    over = queued(
        thread="hims-api-2.3.0",
        title="hims-api-2.3.0: released",
        text="2.3.0 is verified.",
        standing=Standing(phase="released"),
    )
    header, said, *_ = summary_blocks(summarise([begun.notice, over.notice]))
    assert header["text"]["text"] == "hims-api-2.3.0: released"
    assert said["text"]["text"] == "2.3.0 is verified."


def test_what_was_told_anew_is_shown_in_place_of_what_it_was_told_before() -> None:
    report = {"event": "report.ready", "thread": "weekly-2026-W47", "final": True}
    lacking = queued(title="Weekly: W47 (without its PDF)", fields={"No PDF": "broken"}, **report)
    whole = queued(title="Weekly: W47", fields={"Success": "97 %"}, **report)
    header, *others = summary_blocks(summarise([lacking.notice, whole.notice]))
    assert header["text"]["text"] == "Weekly: W47"
    shown = "\n".join(every_text(others))
    assert "Success" in shown
    assert "broken" not in shown
    # Of a release's second train the dates, not those of the first.
    first, again = (
        queued(thread="hims-api-2.3.0", fields={"Change window": day}, link=f"https://a/{day}")
        for day in ("Saturday", "Sunday")
    )
    begun = queued(thread="hims-api-2.3.0", event="freeze.began", title="hims-api-2.3.0: frozen")
    summary = summarise([first.notice, begun.notice, again.notice, begun.notice])
    assert summary.link == "https://a/Sunday"
    assert "Saturday" not in "\n".join(every_text(summary_blocks(summary)))
    assert summary.digest() != summarise([first.notice, begun.notice, begun.notice]).digest()
