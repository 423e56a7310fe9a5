"""Notices as lines of a log."""

from __future__ import annotations

from datetime import UTC, datetime

from include.notices import Audience, Notice, QueuedNotice, Severity
from include.notices.log_channel import LogChannel
from include.notices.summary import summarise


def test_a_notice_is_written_as_readable_lines() -> None:
    lines: list[str] = []
    notice = Notice(
        event="checkpoint.asks", thread="hims-api-2.3.0", audience=Audience.CAB,
        severity=Severity.ACTION, title="hims-api-2.3.0: UAT needs\nyour decision",
        text="Please answer.\nIn time.", fields={"Asked": "Ann\nBo", "None": ""},
        link="http://127.0.0.1:8080/x", dedupe_key="k",
    )  # fmt: skip
    now = datetime(2026, 11, 28, tzinfo=UTC)
    queued = QueuedNotice(id=7, notice=notice, created_at=now, attempts=0, late="late: was due")
    assert LogChannel(lines.append).deliver(queued, None, summarise([notice])).id == "log-7"
    assert lines == [
        "NOTICE ACTION for cab: hims-api-2.3.0: UAT needs your decision",
        "  Please answer.",
        "  In time.",
        "  Asked: Ann / Bo",
        "  http://127.0.0.1:8080/x",
        "  late: was due",
    ]
