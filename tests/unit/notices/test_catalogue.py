"""Every event has one text, and says for whom and how urgent it is."""

from __future__ import annotations

import ast
import inspect
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import include.notices
from include.notices import (
    Audience,
    Notice,
    Severity,
    alarm_texts,
    board_texts,
    calendar_texts,
    change_texts,
    report_texts,
)
from include.notices.catalogue import EVENTS
from include.notices.notice import QueuedNotice
from include.notices.slack_blocks import blocks, fallback_text
from include.notices.writing import write
from tests.unit.notices.test_texts import every_notice

NOW = datetime(2026, 11, 28, 7, 0, tzinfo=UTC)
ZONE = "America/New_York"
SOURCES = Path(include.notices.__file__).parent


def others() -> list[Notice]:
    day = timedelta(days=1)
    due = NOW + day
    return [
        board_texts.cab_agenda(
            meeting="scheduled__1", changes=["CHG-1: <b>"] * 30, decided_by=NOW, zone=ZONE
        ),
        board_texts.cab_minutes(meeting="scheduled__1", decisions=["CHG-1: approved"]),
        calendar_texts.window_opens(
            window="standard", opens=NOW, closes=due, starting=["CHG-1", "CHG-2"], zone=ZONE
        ),
        calendar_texts.window_closes(
            window="standard", opens=NOW, closed=due, done=1, unfinished=["CHG-2"], zone=ZONE
        ),
        report_texts.report_ready(
            report="weekly-2026-W48", title="Weekly change report", period="2026-W48",
            summary="3 changes.", figures={}, digest="1",
        ),
        report_texts.upcoming(
            team="clinical", title="Clinical applications", systems=["api", "frontend"],
            coming=[
                report_texts.Coming(
                    id="CHG-1", title="t", systems=("api",), start=NOW, end=due, state="scheduled"
                )
            ],
            period="one week", zone=ZONE,
        ),
        alarm_texts.incident_opened(
            incident="INC-1", severity="P1", title="down", systems=["api"], respond_by=due,
            zone=ZONE,
        ),
        alarm_texts.incident_clock(
            incident="INC-1", clock="response", percent=75, due=due, zone=ZONE
        ),
        alarm_texts.incident_clock(
            incident="INC-1", clock="response", percent=100, due=due, zone=ZONE
        ),
        alarm_texts.incident_resolved(incident="INC-1", how="restarted", lasted="2h"),
        alarm_texts.ledger_alarm(key="17", finding="record 17 was changed"),
        alarm_texts.drift_found(
            service="hims-api", environment="production", said="it serves 2.1.0", change="CHG-1"
        ),
        alarm_texts.run_failed(dag_id="d", run_id="r", task_id="t", reason="a defect"),
        *of_a_change(),
    ]  # fmt: skip


def of_a_change() -> list[Notice]:
    of: dict[str, Any] = {"change": "CHG-000001", "title": "Move the <cache>"}
    due = NOW + timedelta(days=1)
    asked: dict[str, Any] = {**of, "people": ["Ann", "Bo"], "until": due, "zone": ZONE}
    at: dict[str, Any] = {**of, "checkpoint": "go or no-go", "key": "run-1"}
    seat: dict[str, Any] = {**asked, "seat": "Security Officer", "key": "1", "link": None}
    return [
        change_texts.before_the_board(
            **of, revision=1, type="normal", risk="low", seats=["QA lead"], closes=due, zone=ZONE
        ),
        change_texts.seat_asked(**seat),
        change_texts.seat_asked(**seat, escalated=True),
        change_texts.votes_void(**of, revision=2, voters=["Ann"], changed=["title"]),
        change_texts.scheduled(
            **of, revision=2, systems=["cache"], start=NOW, end=due, zone=ZONE
        ),
        change_texts.rejected(**of, revision=2),
        change_texts.checklist_asks(
            **asked, checkpoint="go or no-go", key="run-1", items=["Change team assembled"]
        ),
        change_texts.checklist_said(
            **at, go=False, by="Ann", not_done=["Documentation updated"], comment="not yet"
        ),
        change_texts.checklist_unanswered(**at, why="nobody answered in time"),
        change_texts.implemented(**of, key="run-1", outcome="it is in production"),
        change_texts.refused(**of, key="run-1", reasons=["the slot was emptied"]),
        change_texts.stands_still(
            **of, reasons=["not done"], broken=False, begun=True, key="run-1:0", link="http://x/y"
        ),
        change_texts.led_back(**of, key="2", why="a step failed", whole=False, plan="revert it"),
        change_texts.owed(**of, duty="reviewed", due=due, overdue=True, zone=ZONE),
    ]  # fmt: skip


def test_every_text_is_of_an_event_in_the_catalogue() -> None:
    for notice in [*every_notice(), *others()]:
        assert notice.event in EVENTS
        assert (notice.reminds is not None) == EVENTS[notice.event].reminder


def test_every_text_of_these_modules_is_shown_here() -> None:
    modules: list[ModuleType] = [
        alarm_texts,
        board_texts,
        calendar_texts,
        change_texts,
        report_texts,
    ]
    functions = {
        name
        for module in modules
        for name, item in inspect.getmembers(module, inspect.isfunction)
        if item.__module__ == module.__name__ and not name.startswith("_")
    }
    # Two functions tell of two events each.
    assert len({notice.event for notice in others()}) == len(functions) + 2
    assert len({notice.dedupe_key for notice in others()}) == len(others())


def test_every_text_is_said_somewhere() -> None:
    root = SOURCES.parent.parent
    texts = set(SOURCES.glob("*texts.py"))
    used: set[str] = set()
    for folder in ("include", "plugins"):
        for path in (root / folder).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            names = (getattr(node, "attr", getattr(node, "id", None)) for node in ast.walk(tree))
            used.update(name for name in names if name)
    for path in texts:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                assert node.name in used, f"{path.name}: nobody says {node.name}"
    for event in EVENTS:
        said = [path for path in texts if f'"{event}"' in path.read_text(encoding="utf-8")]
        assert said, f"nothing says {event}"


def test_no_two_texts_are_of_one_event() -> None:
    named: list[str] = []
    for path in SOURCES.glob("*texts.py"):
        source = path.read_text(encoding="utf-8")
        named += re.findall(r'(?:_notice|write)\(\s*"([a-z_.]+)"', source)
    assert len(named) == len(set(named))
    assert set(named) <= set(EVENTS)


def test_the_audiences_and_severities_of_the_issue_are_all_used() -> None:
    assert {event.audience for event in EVENTS.values()} == set(Audience)
    assert {event.severity for event in EVENTS.values()} == set(Severity)
    assert all(name == event.name for name, event in EVENTS.items())


def test_an_event_that_nobody_declared_cannot_be_said() -> None:
    with pytest.raises(KeyError):
        write("release.imagined", "t", title="t", text="")


def test_a_clock_that_runs_and_one_that_has_run_out_are_two_events() -> None:
    at75, at100 = others()[7:9]
    assert (at75.event, at100.event) == ("incident.clock", "incident.breached")
    assert (at75.severity, at100.severity) == (Severity.WARNING, Severity.CRITICAL)
    assert at75.expires_at is not None
    assert at100.expires_at is None


def test_a_long_agenda_says_how_much_is_left_out() -> None:
    assert others()[0].text.splitlines()[-1] == "… and 10 more"
    long = board_texts.cab_minutes(meeting="1", decisions=[f"CHG-1: {'because ' * 40}"] * 20)
    shown = fallback_text(QueuedNotice(id=1, notice=long, created_at=NOW, attempts=0))
    lines = shown.splitlines()[1:]
    assert lines[-1] == f"… and {20 - (len(lines) - 1)} more"


def test_a_digest_groups_by_system_and_names_the_quiet_ones() -> None:
    digest = others()[5]
    assert list(digest.fields) == ["api"]
    assert digest.text == "1 change, one week. Nothing for frontend."


def test_a_digest_that_is_too_long_to_be_shown_says_how_much_is_missing() -> None:
    coming = [
        report_texts.Coming(
            id=f"CHG-{number:06d}", title="<" * 90, systems=("api",), start=NOW,
            end=NOW + timedelta(hours=2), state="scheduled",
        )
        for number in range(22)
    ]  # fmt: skip
    digest = report_texts.upcoming(
        team="clinical", title="Clinical applications", systems=["api"], coming=coming,
        period="two weeks", zone=ZONE,
    )  # fmt: skip
    (queued,) = [QueuedNotice(id=1, notice=digest, created_at=NOW, attempts=0)]
    (shown,) = [
        block["text"]["text"]
        for block in blocks(queued)
        if block["type"] == "section" and block["text"]["type"] == "mrkdwn"
    ]
    lines = shown.splitlines()
    assert lines[0] == "*api*"
    assert lines[-1] == f"… and {22 - (len(lines) - 2)} more: ./hims digest"
    assert all(line.endswith("UTC)") for line in lines[1:-1])
