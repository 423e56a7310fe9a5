"""The sample service as it runs: built artefacts, processes on loopback ports, real requests."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from include.releases.repository import Repository

DAY = "/appointments?day=2026-12-01"


def build(repository: Path, rev: str, directory: Path) -> Path:
    """Export `rev` into `directory`, build it there and return the artefact."""
    Repository(repository).export(rev, directory / "source")
    artefact = directory / "hims-api.pyz"
    subprocess.run(
        [sys.executable, "tools/build.py", "--output", str(artefact)],
        cwd=directory / "source", check=True, capture_output=True,
    )  # fmt: skip
    return artefact


def run(
    artefact: Path, *words: str, database: str | None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run one command of the service to its end."""
    return subprocess.run(
        [sys.executable, str(artefact), *words],
        env=_environment(database, variables), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def migrate(artefact: Path, database: str) -> str:
    """Migrate and return what was printed."""
    done = run(artefact, "migrate", database=database)
    assert done.returncode == 0, done.stderr
    return done.stdout


def schema(artefact: Path, database: str) -> Any:
    """Return `migrate --status`."""
    done = run(artefact, "migrate", "--status", database=database)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def free_port() -> int:
    """Return a loopback port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Answer:
    """An answer, its body read as JSON."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass
class Service:
    """One running process of the service."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        """Return the base URL."""
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection of one's own, which stays open between requests."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def ask(self, method: str, target: str, body: Any = None) -> Answer:
        """Send one request on a new connection; bytes are sent as they are."""
        connection = self.connect()
        try:
            return ask(connection, method, target, body)
        finally:
            connection.close()

    def get(self, target: str) -> Answer:
        """Send one GET on a new connection."""
        return self.ask("GET", target)

    def wait_for(self, target: str, status: int, *, seconds: float = 15) -> Answer:
        """Ask until the status comes."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                answer = self.get(target)
            except OSError as error:
                answer = Answer(0, str(error))
            if answer.status == status:
                return answer
            said = self.log.read_text()
            assert self.process.poll() is None, said
            assert time.monotonic() < deadline, f"{answer}\n{said}"
            time.sleep(0.01)

    def stop(self) -> int:
        """Send SIGTERM and return the exit status."""
        self.process.terminate()
        return self.process.wait(20)


def ask(
    connection: http.client.HTTPConnection, method: str, target: str, body: Any = None
) -> Answer:
    """Send one request on `connection`."""
    raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    begin = time.monotonic()
    connection.request(method, target, body=raw)
    response = connection.getresponse()
    content = response.read()
    headers = {name.lower(): value for name, value in response.getheaders()}
    seconds = time.monotonic() - begin
    return Answer(response.status, json.loads(content) if content else None, headers, seconds)


@contextmanager
def serving(
    artefact: Path, database: str, *, port: int | None = None, **variables: str
) -> Iterator[Service]:
    """Run the service until the block ends; it is alive, if not ready, when the block begins."""
    chosen = port or free_port()
    log = artefact.with_name(f"{chosen}.log")
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, str(artefact), "serve", "--port", str(chosen)],
            env=_environment(database, variables), stdin=subprocess.DEVNULL,
            stdout=stream, stderr=stream,
        )  # fmt: skip
    service = Service(chosen, process, log)
    try:
        service.wait_for("/healthz", 200)
        yield service
    finally:
        process.kill()
        process.wait()


def _environment(database: str | None, variables: Mapping[str, str]) -> dict[str, str]:
    plain = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **variables}
    return plain | ({"DATABASE_URL": database} if database is not None else {})
