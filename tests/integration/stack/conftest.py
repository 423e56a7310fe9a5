"""Real parts of a private stack, without Airflow."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from include.settings import Settings
from include.stack.child import Child
from include.stack.component import Component
from include.stack.layout import Layout
from include.stack.node_agent import NodeAgent
from include.stack.processes import family, send
from include.stack.secrets import Secrets, ensure_secrets
from tests.private_stack import private_settings


def until(condition: Callable[[], bool], seconds: float = 20.0, what: str = "") -> None:
    """Wait until `condition` holds; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what or "it did not happen in time"
        time.sleep(0.03)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return the project's configuration with a state directory and ports of its own."""
    return private_settings(tmp_path)


@pytest.fixture
def secrets(settings: Settings) -> Secrets:
    """Return the private stack's secrets."""
    return ensure_secrets(settings, people=[])


@contextmanager
def running(settings: Settings, component: Component) -> Iterator[Child]:
    """Run one component, and end it at the end."""
    child = Child(component.name, Layout(settings.state_dir))
    child.start(component)
    try:
        yield child
    finally:
        end(child)


def end(child: Child) -> None:
    """End a child politely, and otherwise for certain."""
    child.request_stop()
    deadline = time.monotonic() + 40
    while child.runs and time.monotonic() < deadline:
        child.poll()
        time.sleep(0.02)
    if child.identity:
        send(family(child.identity), signal.SIGKILL)


@contextmanager
def agent_at_work(settings: Settings, secrets: Secrets) -> Iterator[NodeAgent]:
    """Let a node agent run the slots as the supervisor would."""
    agent = NodeAgent(settings, secrets)
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.05):
            agent.tick(database_ready=True)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield agent
    finally:
        over.set()
        thread.join()
        for slot in agent.slots:
            if slot.child.identity:
                os.killpg(slot.child.identity.pid, signal.SIGKILL)
                slot.child.poll()
