"""Sleeping until an instant."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

import release_control.triggers.instant
from release_control.triggers.instant import InstantTrigger


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def fires(trigger: InstantTrigger, *, within: float = 5) -> dict[str, Any]:
    async with asyncio.timeout(within):
        async for event in trigger.run():
            return dict(event.payload)
    raise AssertionError("it ended without an event")


def test_it_fires_at_the_instant_and_not_before() -> None:
    begun = time.monotonic()
    assert asyncio.run(fires(InstantTrigger(soon(0.4)))) == {"reason": "reached"}
    assert 0.4 <= time.monotonic() - begun < 1.5


def test_an_instant_that_has_passed_fires_at_once() -> None:
    begun = time.monotonic()
    asyncio.run(fires(InstantTrigger("2020-01-01T00:00:00+00:00")))
    assert time.monotonic() - begun < 0.5


def test_it_fires_once() -> None:
    async def count() -> int:
        return len([event async for event in InstantTrigger(soon(0.05)).run()])

    assert asyncio.run(count()) == 1


def test_a_clock_that_is_set_forward_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release_control.triggers.instant, "LONGEST_NAP", 0.05)
    due = datetime(2026, 11, 28, 7, tzinfo=UTC)

    async def both(traveller: Any) -> dict[str, Any]:
        waiting = asyncio.create_task(fires(InstantTrigger(due.isoformat())))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        traveller.move_to(due)
        return await waiting

    with time_machine.travel(due - timedelta(days=3)) as traveller:
        assert asyncio.run(both(traveller)) == {"reason": "reached"}


def test_it_survives_the_triggerer() -> None:
    trigger = InstantTrigger("2026-11-28T07:00:00+00:00")
    path, arguments = trigger.serialize()
    module, _, name = path.rpartition(".")
    assert (module, name) == (InstantTrigger.__module__, InstantTrigger.__qualname__)
    again = InstantTrigger(**arguments)
    assert again.serialize() == trigger.serialize()
