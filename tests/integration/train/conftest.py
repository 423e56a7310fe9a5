"""Trains on paper, with a real ledger and the sample service's real repository.

What takes long to arrange is arranged once, and put back after every test.
"""

# ruff: noqa: S608 - names of our own tables

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import time_machine

from include.cli import main
from include.ledger import Ledger
from include.rehearsal.sample import seed_repository
from include.settings import ROOT, Settings, load_settings
from tests.integration.conftest import PostgresServer
from tests.integration.train.paper import PLANNED_AT, Station
from tests.private_stack import paper_settings


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the sample service's repository as `up` makes it, to be copied."""
    path = tmp_path_factory.mktemp("seeded") / "hims-api.git"
    seed_repository(ROOT / "examples" / "hims-api", path)
    return path


@pytest.fixture
def station(ledger: Ledger, seeded: Path, tmp_path: Path) -> Station:
    """Return a station with an empty ledger and a configuration of the test's own."""
    settings = paper_settings(tmp_path)
    shutil.copytree(seeded, settings.path(settings.service("hims-api").repository.path))
    return Station(ledger, settings)


class Arranged:
    """A station whose ledger goes back to what it was, as often as a test wants."""

    def __init__(self, server: PostgresServer, database: str, settings: Settings) -> None:
        self.server = server
        self.database = database
        self.settings = settings
        self.now = PLANNED_AT
        # One for all tests: what it has learned about its statements it keeps.
        self._ledger = Ledger(server.url(database, "ledger_app"))
        self._files: dict[Path, bytes] = {}
        self._restore = ""

    def station(self, config: Path) -> Station:
        """Return a station on this ledger with a copy of its configuration at `config`."""
        shutil.copytree(self.settings.directory, config)
        station = Station(
            self._ledger, load_settings(config), database=self.database, server=self.server
        )
        station.clock.now = self.now
        return station

    def save(self, station: Station) -> None:
        """Remember the ledger, the instant, and what was built."""
        self.now = station.clock.now
        artefacts = self.settings.state_dir.glob("artefact-*")
        self._files = {path: path.read_bytes() for path in artefacts}
        parts = ["SET session_replication_role = replica"]
        with psycopg.connect(self.server.url(self.database), autocommit=True) as connection:
            connection.execute("CREATE SCHEMA saved")
            tables = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
                " AND tablename <> 'alembic_version'"
            ).fetchall()
            for (table,) in tables:
                connection.execute(f"CREATE TABLE saved.{table} AS TABLE public.{table}".encode())
                names = connection.execute(
                    "SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute WHERE attrelid"
                    " = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''",
                    [f"public.{table}"],
                ).fetchone()
                assert names is not None
                parts += [
                    f"DELETE FROM public.{table}",
                    f"INSERT INTO public.{table} ({names[0]}) OVERRIDING SYSTEM VALUE"
                    f" SELECT {names[0]} FROM saved.{table}",
                ]
        self._restore = "; ".join(parts)

    def restore(self) -> None:
        """Make everything as it was saved, with nobody in the database any more."""
        self._ledger.close()
        # Every ledger that a test opened would keep a connection for the whole session.
        self.server.disconnect(self.database)
        with psycopg.connect(self.server.url(self.database)) as connection:
            connection.execute(self._restore.encode())
        for path, content in self._files.items():
            path.write_bytes(content)
        for name in ("anchors", "evidence"):
            shutil.rmtree(self.settings.state_dir / name, ignore_errors=True)


def _arranged(
    postgres: PostgresServer,
    template: str,
    seeded: Path,
    home: Path,
    arrange: Callable[[Station], object],
) -> Iterator[Arranged]:
    database = postgres.create_database(template=template, owner="ledger_owner")
    settings = paper_settings(home)
    shutil.copytree(seeded, settings.path(settings.service("hims-api").repository.path))
    arranged = Arranged(postgres, database, settings)
    station = arranged.station(home / "first")
    arrange(station)
    arranged.save(station)
    yield arranged
    postgres.drop_database(database)


@pytest.fixture(scope="session")
def built_once(
    postgres: PostgresServer,
    ledger_template: str,
    seeded: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Arranged]:
    """Return a train whose candidate is built and runs in staging; nobody has decided anything."""

    def arrange(station: Station) -> None:
        station.build(station.train())

    yield from _arranged(
        postgres, ledger_template, seeded, tmp_path_factory.mktemp("built"), arrange
    )


@pytest.fixture(scope="session")
def decided_once(
    postgres: PostgresServer,
    ledger_template: str,
    seeded: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Arranged]:
    """Return a train that everybody has agreed to, long before its window."""

    def arrange(station: Station) -> None:
        train = station.train()
        station.build(train)
        station.decide(train)

    yield from _arranged(
        postgres, ledger_template, seeded, tmp_path_factory.mktemp("decided"), arrange
    )


@pytest.fixture(scope="session")
def permitted_once(
    postgres: PostgresServer,
    ledger_template: str,
    seeded: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Arranged]:
    """Return a train of which every condition holds."""
    yield from _arranged(
        postgres,
        ledger_template,
        seeded,
        tmp_path_factory.mktemp("permitted"),
        Station.permitted,
    )


@pytest.fixture
def built(built_once: Arranged, tmp_path: Path) -> Iterator[Station]:
    """Return a station whose `run-1` is built and tested, and undecided."""
    yield built_once.station(tmp_path / "config")
    built_once.restore()


@pytest.fixture
def decided(decided_once: Arranged, tmp_path: Path) -> Iterator[Station]:
    """Return a station whose `run-1` waits for its window."""
    yield decided_once.station(tmp_path / "config")
    decided_once.restore()


@pytest.fixture
def permitted(permitted_once: Arranged, tmp_path: Path) -> Iterator[Station]:
    """Return a station whose `run-1` would get its permit now."""
    yield permitted_once.station(tmp_path / "config")
    permitted_once.restore()


@pytest.fixture
def hims(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs `./hims` at a station's instant: status, stdout, stderr."""

    def run(station: Station, *words: str) -> tuple[int, str, str]:
        url = station.ledger._engine.url.render_as_string(hide_password=False)
        monkeypatch.setenv("HIMS_CONFIG", str(station.settings.directory))
        monkeypatch.setenv("AIRFLOW_CONN_RELEASE_CONTROL_DB", url.replace("+psycopg2", ""))
        with time_machine.travel(station.clock.now, tick=False):
            status = main(words)
        said = capsys.readouterr()
        return status, said.out, said.err

    return run
