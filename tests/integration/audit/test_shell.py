"""`./hims audit …` as people use it: two of them to prune, and words that name a patient."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from include.cli import main
from include.ledger import Subject
from tests.integration.audit.vault import CLI, RITA, Vault
from tests.unit.config_copy import ConfigCopy

Shell = Callable[..., tuple[int, dict[str, Any]]]
PHI = "asked for over MRN 00123456"


class _FrontDoor(BaseHTTPRequestHandler):
    """Airflow's sign-in; everybody's password is `right`."""

    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(201 if said["password"] == "right" else 401)
        self.end_headers()
        self.wfile.write(b'{"access_token": "token"}')

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def shell(
    vault: Vault,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Shell]:
    """Return a function that runs `./hims audit … --json` on the vault's ledger."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _FrontDoor)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    copy = ConfigCopy(tmp_path / "config")
    copy.replace(
        "global.yaml",
        "state_dir: .run",
        f"ui_url: http://127.0.0.1:{server.server_port}\nstate_dir: {tmp_path / 'run'}",
    )
    monkeypatch.setenv("HIMS_CONFIG", str(copy.directory))
    monkeypatch.setenv("HIMS_PASSWORD", "right")
    monkeypatch.setenv(
        "AIRFLOW_CONN_RELEASE_CONTROL_DB", vault.server.url(vault.database, "ledger_app")
    )

    def run(*words: str) -> tuple[int, dict[str, Any]]:
        status = main(["audit", *words, "--json"])
        said = capsys.readouterr()
        return status, json.loads(said.out) if said.out else {"error": said.err}

    yield run
    server.shutdown()
    server.server_close()


def bodies(vault: Vault, event: str) -> list[dict[str, Any]]:
    return [json.loads(row["body"]) for row in vault.ledger.records(event=event)]


def test_two_people_prune_what_one_of_them_was_shown(vault: Vault, shell: Shell) -> None:
    with vault.ledger.write(RITA, CLI, datetime(2019, 3, 2, 7, tzinfo=UTC)) as unit:
        unit.append("old.thing", Subject(kind="thing", id="x"), message="it happened")
    status, plan = shell("prune")
    assert (status, [item["event"] for item in plan["records"]]) == (0, ["old.thing"])
    why = ("--reason", "six years are over")
    assert shell("prune", "--ask", "--user", "rita", *why)[1]["reason"] == "not_eligible"
    status, asked = shell("prune", "--ask", "--user", "cora", *why)
    assert (status, asked["plan"]) == (0, plan["plan"])
    confirm = ("prune", "--confirm", plan["plan"], "--user")
    assert shell(*confirm, "cora")[1]["reason"] == "same_person"
    assert shell(*confirm, "devi")[1]["reason"] == "not_eligible"
    assert bodies(vault, "old")[0]["message"] == "it happened"
    assert shell(*confirm, "sam")[0] == 0
    assert bodies(vault, "old")[0]["reason"] == "pruned"
    status, left = shell("prune")
    assert (status, left["records"], left["texts"]) == (1, [], [])
    assert shell("verify")[1]["findings"] == []


@pytest.mark.parametrize(
    ("words", "event"),
    [
        (("hold", "add", "--everything", "--user", "cora"), "hold.placed"),
        (("hold", "lift", "HLD-000009", "--user", "cora"), "hold.refused"),
        (("prune", "--ask", "--user", "cora"), "retention.asked"),
        (("acknowledge", "--user", "sam"), "ledger.acknowledged"),
    ],
)
def test_a_reason_does_not_bring_a_patient_into_the_ledger(
    vault: Vault, shell: Shell, words: tuple[str, ...], event: str
) -> None:
    with vault.ledger.write(RITA, CLI, datetime(2019, 3, 2, 7, tzinfo=UTC)) as unit:
        unit.append("old.thing", Subject(kind="thing", id="x"), message="it happened")
    vault.write()
    vault.attack("UPDATE record SET body = replace(body, 'it', 'It') WHERE seq = 2")
    shell("verify")
    shell(*words, "--reason", PHI)
    assert len(bodies(vault, event)) == 1
    assert "00123456" not in "".join(row["body"] for row in vault.ledger.records())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pack", "--from", "yesterday", "--to", "2027-01-01", "-o", "x.zip"), "--from: "),
        (("pack", "--from", "2026-01-01T00:00:00Z", "--to", "soon", "-o", "x.zip"), "--to: "),
        (("pack", "CHG-000001", "-o", "/nowhere/x.zip"), "no release or change CHG-000001"),
        (("hold", "add", "--release", " ", "--user", "cora", "--reason", "y"), "--release: "),
    ],
)
def test_misuse_is_one_sentence(shell: Shell, words: tuple[str, ...], said: str) -> None:
    status, answer = shell(*words)
    assert (status, list(answer)) == (2, ["error"])
    assert said in answer["error"]
    assert answer["error"].count("\n") == 1


def test_a_watch_seals_by_itself_and_ends_when_it_is_told_to(vault: Vault, shell: Shell) -> None:
    watch = subprocess.Popen([sys.executable, "-m", "include.cli", "audit", "seal", "--watch"])
    try:
        vault.now = datetime.now(UTC)
        vault.write(2)
        begin = time.monotonic()
        while shell("verify")[1]["unsealed"] and time.monotonic() < begin + 60:
            time.sleep(0.2)
        # Each verification is a record that waits for the next head.
        assert shell("verify")[1]["heads"] >= 1
    finally:
        watch.terminate()
        assert watch.wait(timeout=30) == 0
