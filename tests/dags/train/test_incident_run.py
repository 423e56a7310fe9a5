"""An incident's run: what its tasks do with the ledger, and until when they sleep."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from include.incidents.incident import load_incident
from release_control.operators.incident import (
    HoldReviewOperator,
    OpenIncidentOperator,
    WatchClocksOperator,
)
from tests.dags.airflow_parts import Instance, context
from tests.integration.train.paper import Station

Aboard = Callable[[Station], Station]
SECOND = timedelta(seconds=1)
FORM = {"title": "API is down", "severity": "P1", "systems": ["api"]}


def run(operator: Any, **form: Any) -> Any:
    about = context(Instance(operator.task_id, dag_id="incident"), user="olga", **{**FORM, **form})
    return operator.execute(about)


def test_a_run_opens_its_incident_once_and_sleeps_until_its_clock_is_at_75_percent(
    station: Station, aboard: Aboard
) -> None:
    home = aboard(station)
    with pytest.raises(AirflowFailException, match="no system"):
        run(OpenIncidentOperator(task_id="open_incident"), systems=["apy"])
    key = run(OpenIncidentOperator(task_id="open_incident"))
    assert run(OpenIncidentOperator(task_id="open_incident")) == key
    with home.ledger.read() as connection:
        clock = load_incident(connection, key).response
    assert clock is not None
    # Instants are kept to the second.
    assert abs(clock.warns_at - clock.start - timedelta(minutes=11, seconds=15)) < SECOND
    with pytest.raises(TaskDeferred) as asleep:
        run(WatchClocksOperator(task_id="watch_clocks"))
    assert asleep.value.trigger.serialize()[1]["instant"] == clock.warns_at.isoformat()
    with pytest.raises(AirflowFailException, match="nobody has told"):
        run(HoldReviewOperator(task_id="hold_review"))


def test_each_moment_of_its_clocks_is_told_once_and_then_the_run_sleeps_no_more(
    station: Station, aboard: Aboard
) -> None:
    home = aboard(station)
    key = run(OpenIncidentOperator(task_id="open_incident"))
    with home.ledger.read() as connection:
        clocks = load_incident(connection, key).clocks
    moments = sorted(moment for clock in clocks for moment in clock.moments)
    assert len(moments) == 4
    for moment, following in zip(moments, [*moments[1:], None], strict=True):
        with time_machine.travel(moment, tick=False):
            for _ in range(2):
                if following is None:
                    run(WatchClocksOperator(task_id="watch_clocks"))
                    continue
                with pytest.raises(TaskDeferred) as asleep:
                    run(WatchClocksOperator(task_id="watch_clocks"))
                trigger = asleep.value.trigger.serialize()[1]
                assert trigger["instant"] == following.isoformat()
                assert asleep.value.method_name == "execute"
    events = [json.loads(row["body"])["event"] for row in home.ledger.records()]
    told = [event for event in events if event.startswith("incident.")]
    assert told == ["incident.opened", *["incident.warned", "incident.breached"] * 2]


def test_tasks_without_their_incident_end_in_words(station: Station, aboard: Aboard) -> None:
    aboard(station)
    for operator in (WatchClocksOperator(task_id="w"), HoldReviewOperator(task_id="h")):
        with pytest.raises(AirflowFailException, match="knows no incident"):
            run(operator)
