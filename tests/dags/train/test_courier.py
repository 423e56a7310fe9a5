"""A whole run as Airflow runs it: what a task has to say goes out when Airflow knows its end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from airflow.models.taskinstance import TaskInstance
from airflow.sdk import DAG
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from sqlalchemy import select

from include.notices.commands import list_channels, list_notices
from release_control.notifiers.run_failed import RunFailedNotifier
from release_control.operators.plan import FreezeReleasePlanOperator
from tests.dags.train.test_tasks import FORM
from tests.integration.changes.office import Office
from tests.integration.slack_sink import TOKEN, SlackSink
from tests.integration.train.paper import Station

TASK = "freeze_release_plan"


def test_a_notice_goes_out_once_airflow_knows_how_the_task_ended(
    station: Station, aboard: Callable[[Station], Station], monkeypatch: pytest.MonkeyPatch
) -> None:
    aboard(station)
    people = station.settings.directory / "people.yaml"
    known = people.read_text(encoding="utf-8")
    starter = "  dag_test: {name: Dag Test, email: dag@arocord.example, roles: [release_manager]}\n"
    people.write_text(known.replace("  rita:", f"{starter}  rita:", 1), encoding="utf-8")
    initdb()
    ended: list[Any] = []

    def state(_message: dict[str, Any]) -> None:
        with create_session() as session:
            ended.append(session.scalar(select(TaskInstance.state).filter_by(task_id=TASK)))

    with SlackSink() as sink:
        sink.before_answer = state
        monkeypatch.setenv(
            "AIRFLOW_CONN_SLACK_DEFAULT",
            json.dumps({"conn_type": "slack", "password": TOKEN, "extra": {"base_url": sink.url}}),
        )
        with DAG("release_train", schedule=None, params=FORM) as dag:
            FreezeReleasePlanOperator(task_id=TASK)
        run = dag.test(run_conf=FORM)
        assert str(run.state) == "success"
        assert len(sink.taken) == 1
    assert ended == ["success"]
    (told,) = station.bodies("notice.delivered")
    assert told["release"] == "hims-api-2.3.0"


@pytest.mark.parametrize("asynchronous", [False, True], ids=["in a task", "in the triggerer"])
def test_slack_asking_to_wait_is_obeyed_wherever_a_failure_is_told(
    office: Office, monkeypatch: pytest.MonkeyPatch, asynchronous: bool
) -> None:
    turns = 0

    async def told_beside_others(notifier: RunFailedNotifier) -> None:
        nonlocal turns
        telling = asyncio.create_task(notifier.async_notify({"reason": "a defect"}))
        while not telling.done():
            turns += 1
            await asyncio.sleep(0.01)
        await telling

    with SlackSink() as sink:
        sink.faults.append("429:77")
        monkeypatch.setenv(
            "AIRFLOW_CONN_SLACK_DEFAULT",
            json.dumps({"conn_type": "slack", "password": TOKEN, "extra": {"base_url": sink.url}}),
        )
        if asynchronous:
            asyncio.run(told_beside_others(RunFailedNotifier()))
            # The loop went on while Slack was asked.
            assert turns > 1
        else:
            RunFailedNotifier().notify({"reason": "a defect"})
        assert sink.requests == 1
        RunFailedNotifier().notify({"reason": "a defect"})
        assert sink.requests == 1
    (waiting,) = [one for one in list_channels(office.ledger) if one["not_before"] is not None]
    assert waiting["last_error"] == "Slack asks to wait 77 s"
    (notice,) = list_notices(office.ledger, event="run.failed")
    assert notice["title"] == "a Dag: the run has failed"
