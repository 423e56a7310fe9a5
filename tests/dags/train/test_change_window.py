"""The run of a change window: announced, started, slept through, closed."""

from __future__ import annotations

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

from include.calendar import Span, load_calendar
from include.changes.change import book_slot, load_change, open_change
from include.entries.extension import ask_extension, decide_extension
from include.ledger import schema
from release_control.operators import change_window, granted_windows
from release_control.operators.change_window import (
    AnnounceOpeningOperator,
    CloseOpeningOperator,
    StartDueChangesOperator,
)
from release_control.operators.granted_windows import OpenGrantedWindowsOperator
from tests.dags.airflow_parts import Instance
from tests.integration.entries.office import put
from tests.integration.train.paper import DAG, IN_WINDOW, OPENING, Station, person

ENDS = OPENING + timedelta(hours=2)
Aboard = Callable[[Station], Station]
WINDOW = Span(OPENING, ENDS)


@pytest.fixture
def hall(station: Station, aboard: Aboard, monkeypatch: pytest.MonkeyPatch) -> Station:
    """Return a station whose change window is open."""
    aboard(station).clock.now = IN_WINDOW
    monkeypatch.setattr(change_window, "now", station.clock)
    return station


class Airflow:
    """Airflow as far as it starts runs: each once."""

    def __init__(self) -> None:
        self.runs: dict[str, tuple[str, dict[str, Any]]] = {}
        self.broken = False

    def start(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> bool:
        if self.broken:
            detail = {"status_code": 404}
            raise AirflowRuntimeError(
                ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail)
            )
        new = run_id not in self.runs
        self.runs.setdefault(run_id, (dag_id, conf))
        return new


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Airflow:
    found = Airflow()
    monkeypatch.setattr(change_window, "start_run", found.start)
    return found


def context(
    interval: Span | None = WINDOW, *, conf: Any = None, after: datetime = OPENING
) -> dict[str, Any]:
    start, end = interval or (None, None)
    return {
        "ti": Instance(dag_id="change_window"),
        "dag_run": SimpleNamespace(
            data_interval_start=start, data_interval_end=end, conf=conf, run_after=after
        ),
    }


def change(hall: Station, *, systems: tuple[str, ...] = ("api",), state: str = "scheduled") -> str:
    content = {
        "type": "normal",
        "title": "A change",
        "affected_systems": list(systems),
        "requester": "mei",
        "on_close": "finish",
    }
    with hall.ledger.write(person("mei"), DAG, hall.clock()) as unit:
        opened = open_change(unit, content, release_id=None)
        put(unit, opened, state)
        assert book_slot(unit, opened, start=OPENING, end=ENDS, window="standard") is None
    return opened.id


def start(given: dict[str, Any] | None = None) -> dict[str, Any]:
    operator = StartDueChangesOperator(task_id="start_due_changes")
    return operator.execute(given or context())


def test_what_is_due_is_started_with_its_change(hall: Station, airflow: Airflow) -> None:
    key = change(hall)
    with pytest.raises(TaskDeferred) as deferred:
        start()
    ((run_id, (dag_id, conf)),) = airflow.runs.items()
    assert (dag_id, conf) == ("change_implementation", {"change": key})
    assert run_id == f"window__20261128T070000Z__{key}"
    assert deferred.value.trigger.serialize()[1]["instant"] == ENDS.isoformat()
    hall.clock.now = ENDS
    assert start() == {"started": [key]}


def test_a_run_without_an_interval_is_about_the_window_that_is_open(hall: Station) -> None:
    """And not about one that started before it and is held back by a blackout."""
    path = hall.settings.config_file("calendar.yaml")
    path.write_text("""
timezone: America/New_York
windows:
  a: {rrule: FREQ=WEEKLY;BYDAY=SA, start: "01:00", end: "06:00", systems: [a]}
  b: {rrule: FREQ=WEEKLY;BYDAY=SA, start: "02:00", end: "04:00", systems: [b]}
blackouts:
  x: {start: 2026-11-28T00:00, end: 2026-11-28T05:00, systems: [a], reason: why}
""")
    with pytest.raises(TaskDeferred) as deferred:
        start(context(None, after=IN_WINDOW))
    opening = deferred.value.trigger.serialize()[1]["opening"]
    assert opening == [OPENING.isoformat(), ENDS.isoformat()]


@pytest.mark.parametrize("killed", ["before it is written", "before Airflow", "before the end"])
def test_whenever_it_is_killed_each_change_has_one_run(
    hall: Station, airflow: Airflow, monkeypatch: pytest.MonkeyPatch, killed: str
) -> None:
    class Killed(BaseException):
        """The process is gone."""

    def dies(*_: Any, **__: Any) -> None:
        raise Killed

    keys = [change(hall, systems=(name,)) for name in ("a", "b", "c")]
    with monkeypatch.context() as patched:
        if killed == "before it is written":
            patched.setattr("include.windows.starting._write", dies)
        elif killed == "before Airflow":
            patched.setattr(change_window, "start_run", dies)
        else:
            patched.setattr(StartDueChangesOperator, "_confirm", dies)
        with pytest.raises(Killed):
            start()
    for _ in range(2):
        with pytest.raises(TaskDeferred):
            start()
    assert sorted(conf["change"] for _, conf in airflow.runs.values()) == keys
    started = [row for row in hall.rows(schema.opening_start) if row.started_at is not None]
    assert len(started) == 3


def test_what_airflow_refuses_is_tried_again_and_stops_nobody(
    hall: Station, airflow: Airflow
) -> None:
    key = change(hall)
    airflow.broken = True
    shown: dict[str, str] = {}
    given = {**context(), "task_state_store": SimpleNamespace(set=shown.__setitem__)}
    with pytest.raises(TaskDeferred) as deferred:
        start(given)
    again = datetime.fromisoformat(deferred.value.trigger.serialize()[1]["instant"])
    assert again == IN_WINDOW + change_window.START_AGAIN
    assert f"{key}: cannot be started" in shown["waiting"]
    airflow.broken = False
    with pytest.raises(TaskDeferred):
        start()
    assert len(airflow.runs) == 1


def test_a_broken_calendar_starts_nothing_and_is_slept_over(
    hall: Station, airflow: Airflow
) -> None:
    change(hall)
    path = hall.settings.config_file("calendar.yaml")
    before = path.read_text()
    path.write_text("windows: [")
    with pytest.raises(TaskDeferred):
        start()
    assert airflow.runs == {}
    path.write_text(before)
    with pytest.raises(TaskDeferred):
        start()
    assert len(airflow.runs) == 1


def test_a_run_by_hand_is_about_the_window_that_it_names_or_the_next(
    hall: Station, airflow: Airflow
) -> None:
    change(hall)
    hall.clock.now = OPENING - timedelta(hours=1)
    with pytest.raises(TaskDeferred) as deferred:
        start(context(None, after=hall.clock.now))
    asleep = deferred.value.trigger.serialize()[1]
    assert asleep["opening"] == [OPENING.isoformat(), ENDS.isoformat()]
    assert asleep["instant"] == OPENING.isoformat()
    assert airflow.runs == {}
    conf = {"start": "2026-11-29T07:00:00Z", "end": "2026-11-29T09:00:00Z"}
    with pytest.raises(TaskDeferred) as named:
        start(context(None, conf=conf, after=hall.clock.now))
    assert named.value.trigger.serialize()[1]["opening"][0] == "2026-11-29T07:00:00+00:00"
    with pytest.raises(AirflowFailException, match="is not an instant"):
        start(context(None, conf={"start": "x", "end": "y"}, after=hall.clock.now))


def test_it_is_announced_at_the_opening_and_once(hall: Station) -> None:
    change(hall)
    hall.clock.now = OPENING - timedelta(minutes=1)
    with pytest.raises(TaskDeferred):
        AnnounceOpeningOperator(task_id="announce_opening").execute(context())
    hall.clock.now = OPENING
    for _ in range(2):
        message = AnnounceOpeningOperator(task_id="announce_opening").execute(context())
        assert message.endswith("opens; due: 1")
    assert len([row for row in hall.rows(schema.notice) if row.event == "calendar.opened"]) == 1


@pytest.mark.parametrize("calendar", ["sound", "broken"])
def test_it_is_closed_at_the_end_whatever_the_calendar_says(
    hall: Station, airflow: Airflow, calendar: str
) -> None:
    key = change(hall)
    with pytest.raises(TaskDeferred):
        start()
    with hall.ledger.write(person("mei"), DAG, hall.clock()) as unit:
        found = load_change(unit.connection, key)
        put(unit, found, "implementing")
    close = CloseOpeningOperator(task_id="close_window")
    with pytest.raises(TaskDeferred):
        close.execute(context())
    hall.clock.now = ENDS
    if calendar == "broken":
        hall.settings.config_file("calendar.yaml").write_text("windows: [")
    report = close.execute(context())
    assert list(report["unfinished"]) == [key]
    assert "finishes after the window" in report["unfinished"][key]


def test_a_window_that_was_granted_to_one_change_has_a_run_of_its_own(
    hall: Station, airflow: Airflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(granted_windows, "now", hall.clock)
    monkeypatch.setattr(granted_windows, "start_run", airflow.start)
    key = change(hall)
    sunday = OPENING + timedelta(days=1)
    span = Span(sunday, sunday + timedelta(hours=4))
    calendar = load_calendar(hall.settings.config_file("calendar.yaml"))
    with hall.ledger.write(person("mei"), DAG, hall.clock()) as unit:
        asked = ask_extension(
            unit, hall.people.find("mei"), calendar, key,
            window="extended", span=span, reason="It takes longer",
        )  # fmt: skip
        assert asked.ok, asked.message
    with hall.ledger.write(person("tomas"), DAG, hall.clock()) as unit:
        granted = decide_extension(
            unit, hall.people.find("tomas"), calendar, asked.id, grant=True, reason="It is needed"
        )
        assert granted.ok, granted.message
    operator = OpenGrantedWindowsOperator(task_id="open_granted_windows")
    assert operator.execute({}) == []
    hall.clock.now = sunday - timedelta(minutes=5)
    (run_id,) = operator.execute({})
    dag_id, conf = airflow.runs[run_id]
    assert dag_id == "change_window"
    assert operator.execute({}) == []
    hall.clock.now = sunday
    with pytest.raises(TaskDeferred):
        start(context(None, conf=conf, after=sunday))
    assert ("change_implementation", {"change": key}) in airflow.runs.values()
