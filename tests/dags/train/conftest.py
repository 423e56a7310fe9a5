"""Operators on a train on paper: the ledger is real, Airflow is what a task sees of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import release_control.boarding
import release_control.changes
import release_control.operators.plan
import release_control.sensors.instant
from include.ledger import Ledger
from tests.integration.changes.office import Office
from tests.integration.conftest import (  # noqa: F401 - fixtures
    ledger,
    ledger_template,
    ledger_url,
    lent,
    lent_once,
    postgres,
)
from tests.integration.train.conftest import (  # noqa: F401 - fixtures
    built,
    built_once,
    decided,
    decided_once,
    seeded,
    station,
)
from tests.integration.train.paper import Station
from tests.private_stack import paper_settings


@pytest.fixture
def aboard(monkeypatch: pytest.MonkeyPatch) -> Callable[[Station], Station]:
    """Return a function that makes tasks see a station: its files, its ledger, its clock."""

    def enter(found: Station) -> Station:
        url = found.ledger._engine.url.render_as_string(hide_password=False)
        monkeypatch.setenv("HIMS_CONFIG", str(found.settings.directory))
        monkeypatch.setenv(
            "AIRFLOW_CONN_RELEASE_CONTROL_DB", url.replace("postgresql+psycopg2", "postgres")
        )
        for module in (
            release_control.boarding,
            release_control.operators.plan,
            release_control.sensors.instant,
        ):
            monkeypatch.setattr(module, "now", found.clock)
        monkeypatch.setattr(release_control.boarding, "LEDGER_PAUSE", 0.1)
        return found

    return enter


@pytest.fixture
def office(
    ledger: Ledger,  # noqa: F811 - the fixture
    ledger_url: str,  # noqa: F811 - the fixture
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Office:
    """Return a change office as tasks see it: its files, its ledger, its clock."""
    made = Office(ledger, paper_settings(tmp_path))
    monkeypatch.setenv("HIMS_CONFIG", str(made.settings.directory))
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_CONTROL_DB", ledger_url)
    monkeypatch.setattr(release_control.changes, "now", made.clock)
    return made
