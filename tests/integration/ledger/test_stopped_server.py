"""A ledger whose server stops, crashes and comes back: what was promised holds, numbers too."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from include.errors import LedgerAway
from include.ledger import Actor, Ledger, Source, Subject, Unit
from include.ledger.migrations import upgrade
from include.ledger.number import Counted, next_number
from tests.integration.conftest import OwnServer

AT = datetime(2026, 12, 1, 12, tzinfo=UTC)
RITA = Actor(user="rita", name="Rita", auth="test")
TOPIC = Subject(kind="thing", id="1")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    # With fsync: after a crash, what was committed is there.
    server = OwnServer(tmp_path_factory.mktemp("postgres"), fsync="on")
    try:
        server.start()
        for role in ("ledger_owner", "ledger_app"):
            server.server.create_role(role)
        yield server
    finally:
        server.remove()


@pytest.fixture
def url(own: OwnServer) -> Iterator[str]:
    name = own.server.create_database(owner="ledger_owner")
    upgrade(own.server.url(name, "ledger_owner"), app_role="ledger_app")
    yield own.server.url(name, "ledger_app")
    own.server.drop_database(name)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_stopped_server_is_away_and_nothing_is_lost_when_it_is_back(
    own: OwnServer, url: str, how: signal.Signals
) -> None:
    ledger = Ledger(url)
    append(ledger)
    own.stop(how)
    for call in (lambda: append(ledger), ledger.records, lambda: held(ledger)):
        with pytest.raises(LedgerAway, match="does not answer"):
            call()
    own.start()
    append(ledger)
    assert len(ledger.records()) == 2


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_server_that_stops_in_the_middle_of_a_unit_takes_the_unit_with_it(
    own: OwnServer, url: str, how: signal.Signals
) -> None:
    ledger = Ledger(url)
    try:
        with pytest.raises(LedgerAway), writing(ledger) as unit:  # noqa: PT012 - the unit
            unit.append("a.thing", TOPIC, message="x")
            own.stop(how)
            unit.append("another.thing", TOPIC, message="x")
    finally:
        own.start()
    assert ledger.records() == []


@pytest.mark.parametrize("name", ["change", "permit"])
def test_a_crash_leaves_no_gap_in_the_numbers(own: OwnServer, url: str, name: Counted) -> None:
    """A sequence would be 32 ahead afterwards."""
    ledger = Ledger(url)
    numbers = [take(ledger, name) for _ in range(3)]
    own.stop(signal.SIGQUIT)
    own.start()
    numbers += [take(ledger, name) for _ in range(3)]
    assert numbers == [1, 2, 3, 4, 5, 6]


def test_a_unit_that_is_undone_gives_its_number_back(own: OwnServer, url: str) -> None:
    ledger = Ledger(url)
    with pytest.raises(ZeroDivisionError), writing(ledger) as unit:  # noqa: PT012 - the unit
        assert next_number(unit, "change") == 1
        raise ZeroDivisionError
    assert take(ledger, "change") == 1


def test_two_units_never_get_one_number(own: OwnServer, url: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    ledger = Ledger(url)
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda _: take(ledger, "permit"), range(40)))
    assert sorted(numbers) == list(range(1, 41))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE counter SET value = 0 WHERE name = 'change'",
        "UPDATE counter SET value = value + 2",
        "UPDATE counter SET value = value - 1",
        "DELETE FROM counter",
        "INSERT INTO counter VALUES ('x', 2)",
        "UPDATE counter SET name = 'x'",
        "TRUNCATE counter",
    ],
)
def test_the_application_can_only_count_by_one(own: OwnServer, url: str, statement: str) -> None:
    take(Ledger(url), "change")
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


def writing(ledger: Ledger) -> AbstractContextManager[Unit]:
    return ledger.write(RITA, Source(kind="test"), AT)


def take(ledger: Ledger, name: Counted) -> int:
    with writing(ledger) as unit:
        number = next_number(unit, name)
        unit.append("number.taken", TOPIC, message=str(number))
    return number


def append(ledger: Ledger) -> None:
    with writing(ledger) as unit:
        unit.append("a.thing", TOPIC, message="x")


def held(ledger: Ledger) -> None:
    with ledger.exclusive("x", wait=timedelta(seconds=1)):
        raise AssertionError
