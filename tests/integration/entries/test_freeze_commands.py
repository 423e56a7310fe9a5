"""`./hims freeze add` on a real ledger, signed in as a person does it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from include.cli import main
from include.ledger import Actor, Ledger, Source, Subject, schema
from include.releases.lock import lock
from tests.unit.config_copy import ConfigCopy

Add = Callable[..., tuple[int, Any, str]]


class _SignIn(BaseHTTPRequestHandler):
    """Airflow's sign-in; everybody's password is right."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.end_headers()
        self.wfile.write(b'{"access_token": "token"}')

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def freeze(
    ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> Iterator[Add]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _SignIn)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    copy = ConfigCopy(tmp_path / "config")
    where = f"ui_url: http://127.0.0.1:{server.server_port}\nstate_dir: {tmp_path / 'run'}"
    copy.replace("global.yaml", "state_dir: .run", where)
    monkeypatch.setenv("HIMS_CONFIG", str(copy.directory))
    monkeypatch.setenv("HIMS_PASSWORD", "right")
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_CONTROL_DB", ledger_url)

    def run(*words: str) -> tuple[int, Any, str]:
        status = main(["freeze", *words, "--json"])
        said = capsys.readouterr()
        return status, json.loads(said.out) if said.out else None, said.err

    yield run
    server.shutdown()
    server.server_close()


def test_a_freeze_of_a_system_that_is_none_is_refused_and_not_entered(freeze: Add) -> None:
    words = ("add", "--for", "2h", "--user", "olga", "--reason", "The audit needs quiet")
    status, document, told = freeze(*words, "--system", "api", "--system", "apii")
    assert (status, document) == (2, None)
    assert 'nothing names a system "apii"; did you mean "api"?' in told
    assert freeze("list")[1]["freezes"] == []
    status, document, _ = freeze(*words, "--system", "api", "--environment", "staging")
    assert (status, document["ok"]) == (0, True)
    (entered,) = freeze("list")[1]["freezes"]
    assert (entered["systems"], entered["environments"]) == (["api"], ["staging"])


PHI = "asked for over MRN 00123456"


def test_a_reason_does_not_bring_a_patient_into_the_ledger(
    freeze: Add, ledger_url: str, capsys: Any
) -> None:
    signed = ("--user", "olga", "--reason", PHI)
    _, document, _ = freeze("add", "--for", "2h", *signed)
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    exception = ("--owner", "sam", "--control", PHI, "--end", until)
    assert freeze("except", document["id"], *exception, *signed)[0] == 0
    assert freeze("lift", document["id"], *signed)[0] == 0
    ledger = Ledger(ledger_url)
    with ledger.write(Actor.service("test"), Source(kind="cli"), datetime.now(UTC)) as unit:
        lock(unit, "hims-api", release=None, reason="drift", by="test")
        unit.append("service.locked", Subject(kind="service", id="hims-api"), message="locked")
    assert main(["unlock", "hims-api", *signed]) == 0
    assert "[" in capsys.readouterr().out
    with ledger.read() as connection:
        kept = [
            *connection.execute(select(schema.record.c.body)).scalars(),
            *connection.execute(select(schema.release_lock.c.unlock_reason)).scalars(),
            *connection.execute(text("SELECT to_jsonb(f)::text FROM calendar_freeze f")).scalars(),
        ]
    assert "removed]" in str(kept)
    assert "00123456" not in str(kept)
