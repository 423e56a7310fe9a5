"""What people read."""

from __future__ import annotations

import inspect
from datetime import UTC, date, datetime, timedelta

import pytest

from include.errors import RequestError
from include.notices import Audience, Notice, Severity, texts
from include.notices.wording import moment, one_line, paragraph, sentence, stretch

ZONE = "America/New_York"
OPENS = datetime(2026, 11, 28, 7, 0, tzinfo=UTC)
CLOSES = OPENS + timedelta(hours=2)
R = "hims-api-2.3.0"


def planned(**changed: object) -> Notice:
    values: dict[str, object] = {
        "release": R,
        "title": "Appointment reminders",
        "version": "2.3.0",
        "type": "minor",
        "feature_freeze": OPENS - timedelta(days=14),
        "code_freeze": OPENS - timedelta(days=28),
        "slot_start": OPENS,
        "slot_end": CLOSES,
        "zone": ZONE,
        "requester": "UI/UX Team",
        **changed,
    }
    return texts.release_planned(**values)  # type: ignore[arg-type]


def asks(checkpoint: str = "UAT", key: str = "uat") -> Notice:
    return texts.checkpoint_asks(
        release=R, checkpoint=checkpoint, people=["Ann", "Bo", "Cy"], until=OPENS, zone=ZONE,
        link="https://airflow/x", key=key,
    )  # fmt: skip


def decided(decision: str, *, comment: str = "") -> Notice:
    return texts.checkpoint_decided(
        release=R, checkpoint="UAT", decision=decision, by="Ann", comment=comment, key="uat"
    )


def every_notice() -> list[Notice]:
    return [
        planned(),
        texts.freeze_began(release=R, phase="feature", detail="", until=OPENS, zone=ZONE),
        texts.candidate_ready(
            release=R, candidate_tag="v2.3.0-rc.1", commit="a" * 40, digest="sha256:" + "b" * 64,
            commits_count=12,
        ),
        asks(),
        decided("approve"),
        texts.window_waiting(
            release=R, opens=OPENS, closes=CLOSES, needs=timedelta(minutes=55), zone=ZONE
        ),
        texts.window_opened(
            release=R, opens=OPENS, closes=CLOSES, needs=timedelta(minutes=55), zone=ZONE
        ),
        texts.backup_proven(release=R, database="hims", rows=12345, seconds=3.2),
        texts.deploy_started(release=R, version="2.3.0", slot="green", digest="sha256:" + "b" * 64),
        texts.traffic_switched(release=R, from_version="2.2.0", to_version="2.3.0"),
        texts.watch_held(
            release=R, step="watch", reason="no figures", hold=timedelta(minutes=10),
            then="roll_back", until=OPENS, zone=ZONE,
        ),
        texts.released(
            release=R, version="2.3.0", commits_count=1, notes_link=None, seconds=430,
            retrospective=date(2026, 12, 1),
        ),
        texts.rolled_back(release=R, version="2.3.0", back_to="2.2.0", reason="smoke failed"),
        texts.schema_left(
            release=R, serves="2.2.0", migrations="0003_x.sql (contract)", answers="It answers."
        ),
        texts.no_way_back(release=R, migrations="0003_x.sql (contract)"),
        texts.rollback_asks(
            release=R, rollback="RBK-000001", lost="3 rows would be lost", people=["Ann", "Bo"],
            link="https://airflow/x", key="1",
        ),
        texts.gone_back(
            release=R, rollback="RBK-000001", version="2.3.0", back_to="2.2.0", reason="slow",
        ),
        texts.permit_refused(release=R, reasons=["The window is closed.", "no proven backup"]),
        texts.train_ended(release=R, outcome="rejected", reason="UAT was rejected.", link=None),
        texts.freeze_soon(release=R, phase="feature", at=OPENS, zone=ZONE),
        texts.checkpoint_reminder(
            thread=R, about="UAT", question="uat", people=["Ann"], users=["ann"], until=OPENS,
            zone=ZONE, key="1",
        ),
        texts.checkpoint_unanswered(
            release=R, checkpoint="UAT", key="uat", message="nobody answered UAT in time"
        ),
        texts.window_closes(release=R, closes=CLOSES, unfinished="the deploy had begun", zone=ZONE),
        texts.backup_failed(release=R, database="hims", reason="the disk is full"),
        texts.deploy_step(release=R, step="warmed up", detail="all pages answer"),
    ]  # fmt: skip


def test_every_function_is_shown_here_and_says_something_of_its_own() -> None:
    functions = [
        name
        for name, item in inspect.getmembers(texts, inspect.isfunction)
        if item.__module__ == texts.__name__ and not name.startswith("_")
    ]
    notices = every_notice()
    assert len(notices) == len(functions)
    for each in (lambda n: n.event, lambda n: n.dedupe_key, lambda n: n.title, lambda n: n.text):
        assert len({each(notice) for notice in notices}) == len(notices)
    for notice in notices:
        assert notice.thread == R
        assert notice.title.startswith(f"{R}: ")
        assert len(notice.title) <= 100
        assert len(notice.text) <= 300


def test_every_instant_is_told_in_local_time_and_in_utc() -> None:
    assert planned().fields == {
        "Version": "2.3.0",
        "Feature freeze": "Sat 14 Nov 2026 02:00 EST (07:00 UTC)",
        # Before the clocks go back on 1 November.
        "Code freeze": "Sat 31 Oct 2026 03:00 EDT (07:00 UTC)",
        "Change window": "Sat 28 Nov 2026 02:00–04:00 EST (07:00–09:00 UTC)",
    }
    assert planned().title == f"{R}: planned for Sat 28 Nov 2026 02:00 EST"


def test_another_day_in_utc_is_named() -> None:
    late = datetime(2026, 7, 5, 3, 30, 12, 500, tzinfo=UTC)
    assert moment(late, ZONE) == "Sat 4 Jul 2026 23:30:12 EDT (Sun 5 Jul 2026 03:30:12 UTC)"
    assert moment(late, "UTC") == "Sun 5 Jul 2026 03:30:12 UTC"
    both = stretch(late, late + timedelta(hours=1), ZONE)
    assert both.endswith("(Sun 5 Jul 2026 03:30:12–04:30:12 UTC)")


def test_a_zone_that_is_no_place_is_refused() -> None:
    with pytest.raises(RequestError, match="America/New_York"):
        planned(zone="EST")


def test_a_question_names_the_people_the_deadline_and_the_page() -> None:
    notice = asks("CAB: Security Officer")
    assert notice.title == f"{R}: CAB: Security Officer needs your decision"
    assert notice.fields["Asked"] == "Ann, Bo and Cy"
    assert notice.fields["Answer by"] == "Sat 28 Nov 2026 02:00 EST (07:00 UTC)"
    assert notice.link == "https://airflow/x"
    assert (notice.severity, notice.audience) == (Severity.ACTION, Audience.CAB)
    assert asks("Go/no-go").audience == Audience.OPERATIONS
    assert asks("UAT").audience == Audience.TEAM


@pytest.mark.parametrize(
    ("decision", "word", "severity"),
    [
        ("approve", "approved", Severity.INFO),
        ("Approve", "approved", Severity.INFO),
        ("Reject", "rejected", Severity.WARNING),
        ("no-go", "no-go", Severity.WARNING),
        ("No go", "no-go", Severity.WARNING),
        ("go", "go", Severity.INFO),
        ("timed_out", "not answered in time", Severity.WARNING),
        ("what?", "what?", Severity.WARNING),
    ],
)
def test_a_decision_is_said_in_words(decision: str, word: str, severity: Severity) -> None:
    notice = decided(decision)
    assert notice.title == f"{R}: UAT: {word}"
    assert notice.severity == severity


def test_a_comment_is_quoted_in_one_line_and_cut() -> None:
    assert decided("reject", comment="no\n\nway").text == "By Ann: “no way”"
    assert decided("reject", comment="x" * 9999).text == f"By Ann: “{'x' * 199}…”"
    assert decided("approve").text == "By Ann."


def test_a_raw_exception_becomes_a_sentence() -> None:
    raw = (
        "Traceback (most recent call last):\n"
        '  File "x.py", line 1, in <module>\n'
        "include.errors.TargetError: green answered 500 on /ready\n"
    )
    notice = texts.rolled_back(release=R, version="2.3.0", back_to="2.2.0", reason=raw)
    assert notice.fields["Why"] == "green answered 500 on /ready."
    assert sentence("psycopg.OperationalError: no\nmore") == "no."
    assert sentence("") == "No reason was given."
    assert sentence("asyncio.TimeoutError: ") == "asyncio.TimeoutError."
    assert len(sentence("x" * 9999)) <= 300


def test_a_refusal_lists_its_reasons_and_is_new_only_for_new_reasons() -> None:
    first = texts.permit_refused(release=R, reasons=["The window is closed.", "no backup"])
    assert first.text.splitlines()[1:] == ["• The window is closed.", "• no backup."]
    again = texts.permit_refused(release=R, reasons=["The window is closed.", "no backup"])
    other = texts.permit_refused(release=R, reasons=["The window is closed."])
    assert first.dedupe_key == again.dedupe_key != other.dedupe_key


def test_another_attempt_of_a_release_is_told_again() -> None:
    assert planned().dedupe_key != planned(attempt=2).dedupe_key


def test_a_retried_task_tells_of_one_window_once() -> None:
    def opened(at: datetime) -> str:
        needs = timedelta(minutes=55)
        return texts.window_opened(
            release=R, opens=at, closes=CLOSES, needs=needs, zone=ZONE
        ).dedupe_key

    assert opened(OPENS) == opened(OPENS + timedelta(minutes=3))


def test_only_the_end_of_a_release_is_final() -> None:
    assert {notice.event for notice in every_notice() if notice.final} == {
        "release.released",
        "release.rolled_back",
        "release.ended",
    }


def test_the_retrospective_is_a_date_or_an_instant() -> None:
    def of(when: date) -> str:
        return texts.released(
            release=R, version="2.3.0", commits_count=1, notes_link=None, seconds=0.2,
            retrospective=when, zone=ZONE,
        ).fields["Retrospective"]  # fmt: skip

    assert of(date(2026, 12, 1)) == "Tue 1 Dec 2026"
    assert of(datetime(2026, 12, 1, 15, 0, tzinfo=UTC)) == "Tue 1 Dec 2026 10:00 EST (15:00 UTC)"


def test_no_title_can_forge_lines_or_turn_the_reading_direction() -> None:
    notice = planned(title="a\r\nFORGED line\x1b[31m\u202egnp.exe\x00")
    assert notice.text.splitlines() == [notice.text]
    assert "\x1b" not in notice.text
    assert "\u202e" not in notice.text


@pytest.mark.parametrize("letter", ["\ufffe", "\uffff", "\ufdd0", "\U0001fffe", "\ud800"])
def test_what_is_no_character_is_shown_as_one_that_is_missing(letter: str) -> None:
    assert one_line(f"a{letter}b") == paragraph(f"a{letter}b") == "a\ufffdb"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "push to https://x:ghp_abcdefgh123@github.com/a failed",
            "push to https://x:…@github.com/a",
        ),
        ("token xoxb-123456-abcdef refused", "token xoxb-… refused"),
        ("Authorization: Bearer eyJhbGciOi.abc", "Authorization: Bearer …"),
        ("postgresql://app:s3cr%20et@db/x", "postgresql://app:…@db/x"),
    ],
)
def test_no_password_and_no_token_gets_into_a_notice(said: str, shown: str) -> None:
    assert one_line(said).startswith(shown)
    assert paragraph(said).startswith(shown)
    notice = texts.train_ended(release=R, outcome="failed", reason=said)
    assert notice.text.startswith(shown)


@pytest.mark.parametrize("empty", ["event", "thread", "title", "dedupe_key"])
def test_a_notice_without_its_essentials_is_misuse(empty: str) -> None:
    values = {
        "event": "e", "thread": "t", "title": "t", "text": "", "dedupe_key": "k",
        "audience": Audience.TEAM, "severity": Severity.INFO, empty: " \n",
    }  # fmt: skip
    with pytest.raises(ValueError, match=empty):
        Notice(**values)  # type: ignore[arg-type]
