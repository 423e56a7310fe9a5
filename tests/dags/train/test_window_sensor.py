"""The wait for a change window: when it sleeps, what it shows, and when it enters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRuntimeError,
    ErrorType,
    TaskDeferred,
)
from airflow.sdk.execution_time.comms import ErrorResponse
from airflow.triggers.base import TaskSuccessEvent

from include.notices.queue_state import anything_open
from release_control.sensors.change_window import ChangeWindowSensor
from release_control.triggers.calendar import calendar_stamp
from release_control.triggers.window_entry import WindowEntryTrigger
from tests.dags.airflow_parts import Instance, context
from tests.integration.train.paper import IN_WINDOW, OPENING, Station

Aboard = Callable[[Station], Station]

TASK = "wait_change_window"


def run() -> Any:
    operator = ChangeWindowSensor(task_id=TASK)
    return operator.execute(context(Instance(TASK)))


def fall_asleep() -> TaskDeferred:
    with pytest.raises(TaskDeferred) as deferred:
        run()
    return deferred.value


def wake(asleep: TaskDeferred, station: Station, at: datetime, reason: str = "reached") -> Any:
    """Resume the sensor as Airflow does."""
    station.clock.now = at
    resume = getattr(ChangeWindowSensor(task_id=TASK), asleep.method_name)
    return resume(context(Instance(TASK)), event={"reason": reason}, **(asleep.kwargs or {}))


async def _events(trigger: WindowEntryTrigger, settle: Callable[[], object] | None) -> list[Any]:
    found: list[Any] = []
    async with asyncio.timeout(20):
        if settle is not None:
            asyncio.get_running_loop().call_later(1, settle)
        async for event in trigger.run():
            found.append(event)
    return found


def sleep(asleep: TaskDeferred, *, until: datetime, settle: Any = None) -> Any:
    """Run a trigger as the triggerer does, after a restart, and return its one event."""
    _, arguments = asleep.trigger.serialize()
    trigger = WindowEntryTrigger(**{**arguments, "instant": until.isoformat()})
    trigger.task_instance = Instance(TASK)
    (event,) = asyncio.run(_events(trigger, settle))
    return event


def test_the_window_is_slept_until_with_an_eye_on_the_calendar(
    decided: Station, aboard: Aboard
) -> None:
    aboard(decided)
    deferred = fall_asleep()
    asleep = deferred.trigger.serialize()[1]
    calendar = decided.settings.config_file("calendar.yaml")
    assert asleep["instant"] == OPENING.isoformat()
    assert asleep["file"] == str(calendar)
    assert asleep["stamp"] == calendar_stamp(calendar, decided.ledger)
    assert asleep["waiting"].startswith("opens Sat 28 Nov 02:00 EST, in ")
    assert wake(deferred, decided, IN_WINDOW)["reason"] == "done"


def test_the_triggerer_enters_at_the_opening_once_and_tells(
    decided: Station, aboard: Aboard
) -> None:
    aboard(decided)
    deferred = fall_asleep()
    decided.clock.now = OPENING
    # The second one is that of a triggerer which does not know of the first.
    ends = [sleep(deferred, until=OPENING) for _ in range(2)]
    assert all(isinstance(event, TaskSuccessEvent) for event in ends), ends
    first, second = (event.xcoms["return_value"] for event in ends)
    assert first["message"].startswith("standard is open until Sat 28 Nov 2026 04:00 EST")
    assert (first["reason"], second["reason"]) == ("done", "already_done")
    (entered,) = decided.bodies("window.entered")
    assert entered["time"] >= OPENING.strftime("%Y-%m-%dT%H:%M:%S")
    assert entered["source"]["task_id"] == TASK
    assert not anything_open(decided.ledger)


def test_what_the_triggerer_cannot_enter_is_left_to_the_task(
    decided: Station, aboard: Aboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    aboard(decided)
    deferred = fall_asleep()
    decided.clock.now = OPENING - timedelta(minutes=1)
    asked = [sleep(deferred, until=OPENING)]
    decided.clock.now = OPENING + timedelta(days=15)
    asked.append(sleep(deferred, until=OPENING))
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_CONTROL_DB", "postgres://x@127.0.0.1:1/gone")
    asked.append(sleep(deferred, until=OPENING))
    assert [event.payload for event in asked] == [{"reason": "reached"}] * 3
    assert not any(isinstance(event, TaskSuccessEvent) for event in asked)
    (refused,) = decided.bodies("window.entered")
    assert (refused["outcome"], refused["reason"]) == ("failure", "no_window")


def test_a_calendar_that_changes_wakes_the_task_and_enters_nothing(
    decided: Station, aboard: Aboard
) -> None:
    aboard(decided).clock.now = IN_WINDOW - timedelta(hours=5)
    deferred = fall_asleep()
    decided.clock.now = IN_WINDOW
    calendar = decided.settings.config_file("calendar.yaml")
    later = datetime.now(UTC) + timedelta(hours=1)
    event = sleep(deferred, until=later, settle=calendar.touch)
    assert event.payload == {"reason": "changed"}
    assert decided.bodies("window.entered") == []


def test_a_calendar_that_changed_is_asked_at_once_and_the_wait_goes_on(
    decided: Station, aboard: Aboard
) -> None:
    aboard(decided)
    deferred = fall_asleep()
    with pytest.raises(TaskDeferred) as again:
        wake(deferred, decided, OPENING - timedelta(seconds=1.5), "changed")
    assert again.value.trigger.serialize()[1]["instant"] == OPENING.isoformat()


def test_a_broken_calendar_is_slept_over_and_ends_nothing(decided: Station, aboard: Aboard) -> None:
    aboard(decided).clock.now = IN_WINDOW
    decided.settings.config_file("calendar.yaml").write_text("windows: [")
    fall_asleep()


def test_what_it_waits_for_is_on_the_task_s_page(decided: Station, aboard: Aboard) -> None:
    aboard(decided).clock.now = OPENING - timedelta(hours=5)
    sensor = ChangeWindowSensor(task_id=TASK)
    shown: dict[str, str] = {}
    store = SimpleNamespace(set=shown.__setitem__)
    with pytest.raises(TaskDeferred):
        sensor.execute({**context(Instance(TASK)), "task_state_store": store})
    assert shown["waiting"].startswith("opens Sat 02:00 EST, in 5 h; needs ")
    assert shown["waiting"].endswith("before the 03:40 cutoff")


def test_a_store_that_takes_nothing_stops_nobody(decided: Station, aboard: Aboard) -> None:
    aboard(decided)

    def refuses(key: str, value: str) -> None:
        raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))

    sensor = ChangeWindowSensor(task_id=TASK)
    store = SimpleNamespace(set=refuses)
    with pytest.raises(TaskDeferred):
        sensor.execute({**context(Instance(TASK)), "task_state_store": store})


def test_no_window_left_ends_the_train(decided: Station, aboard: Aboard) -> None:
    aboard(decided).clock.now = OPENING + timedelta(days=15)
    with pytest.raises(AirflowFailException, match="no window opens before the approval ends"):
        run()
