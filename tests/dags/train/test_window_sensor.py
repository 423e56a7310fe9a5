"""The wait for a change window: when it sleeps, what it shows, and when it enters."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
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

from release_control.sensors.change_window import HEAD_START, ChangeWindowSensor
from release_control.triggers.calendar import calendar_stamp
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


def test_the_window_is_slept_until_with_an_eye_on_the_calendar(
    decided: Station, aboard: Aboard
) -> None:
    aboard(decided)
    deferred = fall_asleep()
    asleep = deferred.trigger.serialize()[1]
    calendar = decided.settings.config_file("calendar.yaml")
    assert asleep["instant"] == (OPENING - HEAD_START).isoformat()
    assert asleep["file"] == str(calendar)
    assert asleep["stamp"] == calendar_stamp(calendar, decided.ledger)
    assert asleep["waiting"].startswith("opens Sat 28 Nov 02:00 EST, in ")
    assert wake(deferred, decided, IN_WINDOW)["reason"] == "done"


def test_a_train_is_ready_before_the_opening_and_enters_at_it(
    decided: Station, aboard: Aboard
) -> None:
    aboard(decided)
    deferred = fall_asleep()
    waiting = len(decided.bodies("window.waiting"))
    early = timedelta(seconds=0.3)
    threading.Timer(0.1, setattr, (decided.clock, "now", OPENING)).start()
    assert wake(deferred, decided, OPENING - early)["reason"] == "done"
    assert len(decided.bodies("window.waiting")) == waiting
    (entered,) = decided.bodies("window.entered")
    assert entered["time"] >= OPENING.strftime("%Y-%m-%dT%H:%M:%S")


def test_a_calendar_that_changed_is_asked_at_once_and_the_wait_goes_on(
    decided: Station, aboard: Aboard
) -> None:
    aboard(decided)
    deferred = fall_asleep()
    with pytest.raises(TaskDeferred) as again:
        wake(deferred, decided, OPENING - timedelta(seconds=1.5), "changed")
    assert again.value.kwargs == {"opens": OPENING.isoformat()}


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
