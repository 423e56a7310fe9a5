"""Sleeping until an instant, with an eye on the calendar's file and an ear on the ledger."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

import release_control.triggers.calendar
from include.ledger import Ledger
from release_control.triggers import ledger_ear
from release_control.triggers.calendar import CalendarTrigger, calendar_stamp
from tests.integration.conftest import PostgresServer

ENTRY = (
    "INSERT INTO calendar_freeze (id, kind, starts_at, ends_at, systems, environments, owner,"
    " reason, entered_by, entered_at) VALUES (%s, 'freeze', now(), now() + interval '1 hour',"
    " '{api}', '{production}', 'olga', 'x', 'olga', now())"
)


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def fires(trigger: CalendarTrigger, *, within: float = 10) -> dict[str, Any]:
    async with asyncio.timeout(within):
        async for event in trigger.run():
            return dict(event.payload)
    raise AssertionError("it ended without an event")


@pytest.fixture
def calendar(tmp_path: Path) -> Path:
    path = tmp_path / "calendar.yaml"
    path.write_text("a")
    os.utime(path, ns=(1, 1))
    return path


@pytest.fixture
def reachable(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(
        "AIRFLOW_CONN_RELEASE_CONTROL_DB", ledger_url.replace("postgresql:", "postgres:")
    )
    return ledger_url


def enter(url: str, key: str = "FRZ-000001") -> None:
    with psycopg.connect(url) as connection:
        connection.execute(ENTRY, [key])


def waits_until(
    trigger: CalendarTrigger, change: Callable[[], object], *, settle: float = 0.5
) -> tuple[dict[str, Any], float]:
    """Return the event, and how long after the change it came."""

    async def both() -> tuple[dict[str, Any], float]:
        waiting = asyncio.create_task(fires(trigger))
        await asyncio.sleep(settle)
        assert not waiting.done(), waiting
        await asyncio.to_thread(change)
        begun = time.monotonic()
        return await waiting, time.monotonic() - begun

    return asyncio.run(both())


def test_a_freeze_that_is_entered_wakes_it(reachable: str, ledger: Ledger, calendar: Path) -> None:
    trigger = CalendarTrigger(soon(3600), str(calendar), calendar_stamp(calendar, ledger))
    event, _ = waits_until(trigger, lambda: enter(reachable))
    assert event == {"reason": "changed"}


def test_an_entry_between_the_question_and_the_sleep_is_noticed(
    reachable: str, ledger: Ledger, calendar: Path
) -> None:
    stamp = calendar_stamp(calendar, ledger)
    enter(reachable)
    event = asyncio.run(fires(CalendarTrigger(soon(3600), str(calendar), stamp)))
    assert event == {"reason": "changed"}


def test_an_entry_that_is_not_committed_yet_is_noticed_once_it_is(
    reachable: str, ledger: Ledger, calendar: Path
) -> None:
    with psycopg.connect(reachable) as connection:
        connection.execute(ENTRY, ["FRZ-000001"])
        trigger = CalendarTrigger(soon(3600), str(calendar), calendar_stamp(calendar, ledger))
        event, _ = waits_until(trigger, connection.commit)
    assert event == {"reason": "changed"}


def test_a_line_that_broke_is_taken_up_again_and_nothing_is_missed(
    reachable: str,
    ledger: Ledger,
    calendar: Path,
    postgres: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ledger_ear, "REDIAL", 0.5)
    name = reachable.rpartition("/")[2]
    trigger = CalendarTrigger(soon(3600), str(calendar), calendar_stamp(calendar, ledger))

    def break_and_enter() -> None:
        postgres.disconnect(name)
        enter(reachable)

    event, _ = waits_until(trigger, break_and_enter)
    assert event == {"reason": "changed"}


@pytest.mark.parametrize("change", ["edited", "replaced", "removed"])
def test_it_wakes_when_the_file_changes(
    reachable: str,
    ledger: Ledger,
    calendar: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    monkeypatch.setattr(release_control.triggers.calendar, "FILE_LOOK", 0.05)
    trigger = CalendarTrigger(soon(3600), str(calendar), calendar_stamp(calendar, ledger))

    def spoil() -> None:
        if change == "edited":
            calendar.write_text("b")
        elif change == "replaced":
            (calendar.parent / "new").write_text("b")
            (calendar.parent / "new").rename(calendar)
        else:
            calendar.unlink()

    event, _ = waits_until(trigger, spoil)
    assert event == {"reason": "changed"}


def test_a_ledger_that_is_away_does_not_keep_it_from_waking(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger, calendar: Path
) -> None:
    stamp = calendar_stamp(calendar, ledger)
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_CONTROL_DB", "postgres://x:y@127.0.0.1:1/nothing")
    event = asyncio.run(fires(CalendarTrigger(soon(0.5), str(calendar), stamp)))
    assert event == {"reason": "reached"}


def test_it_fires_at_the_instant(reachable: str, ledger: Ledger, calendar: Path) -> None:
    begun = time.monotonic()
    trigger = CalendarTrigger(soon(0.4), str(calendar), calendar_stamp(calendar, ledger))
    assert asyncio.run(fires(trigger)) == {"reason": "reached"}
    assert time.monotonic() - begun >= 0.4


def test_many_share_one_line(
    reachable: str, ledger: Ledger, calendar: Path, postgres: PostgresServer
) -> None:
    stamp = calendar_stamp(calendar, ledger)

    def lines() -> int:
        with psycopg.connect(postgres.url()) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE application_name = 'release-control-triggers'"
            ).fetchone()
        assert row is not None
        return int(row[0])

    async def all_of_them() -> list[dict[str, Any]]:
        triggers = [CalendarTrigger(soon(3600), str(calendar), stamp) for _ in range(20)]
        tasks: list[Awaitable[dict[str, Any]]] = [
            asyncio.create_task(fires(trigger)) for trigger in triggers
        ]
        await asyncio.sleep(0.5)
        assert await asyncio.to_thread(lines) == 1
        await asyncio.to_thread(enter, reachable)
        return list(await asyncio.gather(*tasks))

    assert asyncio.run(all_of_them()) == [{"reason": "changed"}] * 20
    assert lines() == 0


def test_it_survives_the_triggerer() -> None:
    trigger = CalendarTrigger("2026-11-28T07:00:00+00:00", "/calendar.yaml", "1.2.3/4", "opens")
    path, arguments = trigger.serialize()
    module, _, name = path.rpartition(".")
    assert (module, name) == (CalendarTrigger.__module__, CalendarTrigger.__qualname__)
    assert CalendarTrigger(**arguments).serialize() == trigger.serialize()
