"""One running station for all modules that drive trains on it: starting one takes a minute."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from include.settings import ROOT
from tests.bench.stand import DAGS as BENCH_DAGS
from tests.e2e.station import Station, bundles

DAGS = Path(__file__).parent / "dags"
FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Take note of a test that fails, for what cleans up after it."""
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


@pytest.fixture(autouse=True)
def nothing_under_way(request: pytest.FixtureRequest) -> Iterator[None]:
    """Show what the trains of a test that failed came to, and end them: they would stop others."""
    yield
    if request.node.stash.get(FAILED, False) and "station" in request.fixturenames:
        found: Station = request.getfixturevalue("station")
        found.end_trains()
        found.print_story()


@pytest.fixture(scope="session")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """Return a station that serves 2.2.0 at first, and then whatever the tests released on it."""
    made = Station(tmp_path_factory.mktemp("station"))
    try:
        # Beside ours, a Dag of somebody else's.
        status, _, err = made.run("up", env=bundles(beside=DAGS))
        assert status == 0, err
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def second_station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """Return a station that two people have started at the same moment, with the bench's Dags.

    Its parts are killed and it is brought down: what needs it whole comes first.
    """
    made = Station(tmp_path_factory.mktemp("stack"))
    # Nothing of the caller's own Airflow settings.
    kept = {key: value for key, value in made.environment.items() if "AIRFLOW__" not in key}
    made.environment = {**kept, **bundles(beside=BENCH_DAGS)}
    try:
        both = [
            subprocess.Popen(
                [str(ROOT / "hims"), "up"],
                env=made.environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
            )
            for _ in range(2)
        ]  # fmt: skip
        for process in both:
            _, err = process.communicate(timeout=400)
            assert process.returncode == 0, err
        yield made
    finally:
        made.stop()
