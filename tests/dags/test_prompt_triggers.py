"""A trigger that has fired is told of at once, and many are told of together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from airflow.jobs import triggerer_job_runner
from airflow.jobs.triggerer_job_runner import TriggerEventEntry
from airflow.listeners.listener import get_listener_manager
from airflow.triggers.base import TriggerEvent

from release_control.prompt_triggers import REST, tell_promptly

# Airflow's own runner would look again after this many seconds.
SECOND = 1.0


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], list[tuple[float, int]]]:
    """Return a function that lets Airflow's runner work beside a coroutine, which is given it, and
    returns when it told its supervisor of how many events; its end of the wire is all that lacks.
    """
    monkeypatch.setattr(triggerer_job_runner, "TriggerRunner", triggerer_job_runner.TriggerRunner)
    tell_promptly()

    def run(beside: Callable[[Any], Coroutine[Any, Any, None]]) -> list[tuple[float, int]]:
        found: list[tuple[float, int]] = []

        class Deaf(triggerer_job_runner.TriggerRunner):
            async def init_comms(self) -> None:
                reader = asyncio.create_task(asyncio.sleep(60))
                self.comms_decoder = type("Wire", (), {"_reader_task": reader})()

            async def sync_state_to_supervisor(self, finished_ids: list[int]) -> None:
                if events := self.process_trigger_events(finished_ids).events:
                    found.append((time.monotonic(), len(events)))

        async def both() -> None:
            runner = Deaf()
            work = asyncio.create_task(runner.arun())
            await asyncio.sleep(0.1)
            await beside(runner)
            runner._handle_signal(15, None)
            await asyncio.wait_for(work, SECOND / 2)

        asyncio.run(both())
        return found

    return run


def fire(runner: Any) -> None:
    """Do what Airflow does with what a trigger yields."""
    runner.events.append(
        TriggerEventEntry(trigger_id=1, event=TriggerEvent("reached"), persist_seq=None)
    )


def test_what_fires_is_told_at_once(told: Callable[[Any], list[tuple[float, int]]]) -> None:
    fired = []

    async def one_after_the_other(runner: Any) -> None:
        for _ in range(2):
            fired.append(time.monotonic())
            fire(runner)
            await asyncio.sleep(2 * REST)

    found = told(one_after_the_other)
    assert [number for _, number in found] == [1, 1]
    assert all(at - since < SECOND / 2 for (at, _), since in zip(found, fired, strict=True))


def test_what_fires_at_once_is_told_together(
    told: Callable[[Any], list[tuple[float, int]]],
) -> None:
    async def a_dozen(runner: Any) -> None:
        for _ in range(12):
            fire(runner)
            await asyncio.sleep(REST / 20)
        await asyncio.sleep(2 * REST)

    found = told(a_dozen)
    assert sum(number for _, number in found) == 12
    assert 2 <= len(found) <= 6


def test_what_fires_while_the_runner_is_at_work_waits_for_no_second_look(
    told: Callable[[Any], list[tuple[float, int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has sent already what it had, and creates triggers before it sleeps."""
    runner_class = triggerer_job_runner.TriggerRunner
    create = runner_class.create_triggers
    fired: list[float] = []

    async def slowly(self: Any) -> None:
        await create(self)
        if len(fired) == 1:
            fired.append(time.monotonic())
            fire(self)
            await asyncio.sleep(REST * 1.5)

    monkeypatch.setattr(runner_class, "create_triggers", slowly)

    async def one(runner: Any) -> None:
        fired.append(time.monotonic())
        fire(runner)
        await asyncio.sleep(REST * 4)

    (_, second) = told(one)
    assert second[0] - fired[1] < SECOND * 0.6


def test_a_triggerer_that_starts_runs_its_triggers_so(monkeypatch: pytest.MonkeyPatch) -> None:
    stock = triggerer_job_runner.TriggerRunner
    monkeypatch.setattr(triggerer_job_runner, "TriggerRunner", stock)
    get_listener_manager().hook.on_starting(component=None)
    assert issubclass(triggerer_job_runner.TriggerRunner, stock)
    assert triggerer_job_runner.TriggerRunner is not stock
