"""One running station for all modules that drive trains on it: starting one takes a minute."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.station import Station


@pytest.fixture(scope="session")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """Return a station that serves 2.2.0 at first, and then whatever the tests released on it."""
    made = Station(tmp_path_factory.mktemp("station"))
    try:
        status, _, err = made.run("up")
        assert status == 0, err
        yield made
    finally:
        made.stop()
