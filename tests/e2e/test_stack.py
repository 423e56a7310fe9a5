"""`./hims up` to `./hims down` with everything real, on ports and a state directory of its own.

Takes a few minutes; `pytest tests/e2e/test_stack.py` runs it alone.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from include.settings import ROOT
from include.stack.layout import Layout
from include.stack.ports import port_claims
from include.stack.processes import belonging
from tests.e2e.station import Station

pytestmark = pytest.mark.timeout(600)

AIRFLOW = {"airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"}


class Stack:
    """A stack driven through the command line, as people do."""

    def __init__(self, station: Station) -> None:
        self.settings = station.settings
        self.layout = Layout(station.settings.state_dir)
        self._environment = station.environment

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(ROOT / "hims"), *words],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str) -> tuple[int, str, str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=400)
        return process.returncode, out, err

    def up(self) -> None:
        status, _, err = self.run("up")
        assert status == 0, err

    def status(self) -> dict[str, Any]:
        status, out, err = self.run("status", "--json")
        document = json.loads(out)
        assert isinstance(document, dict)
        assert status == (0 if document["healthy"] else 1), err
        return document

    def pids(self) -> dict[str, int]:
        return {one["name"]: one["pid"] for one in self.status()["components"] if one["pid"]}

    def processes(self) -> set[int]:
        data = self.layout.postgres / "data"
        return {one.pid for one in belonging(self.layout.root, (), data_dir=data)}

    def wait_healthy(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not (document := self.status())["healthy"]:
            if time.monotonic() >= deadline:
                pytest.fail(f"not healthy after {seconds:.0f} s:\n{self._trouble(document)}")
            time.sleep(1)

    def _trouble(self, document: dict[str, Any]) -> str:
        """Return every part that isn't running, each with the end of its log."""
        lines = []
        for one in document["components"]:
            if one["state"] != "running":
                log = self.layout.log(one["name"])
                end = log.read_text(errors="replace").splitlines()[-15:] if log.exists() else []
                lines += [str(one), *end]
        return "\n".join([*lines, *self.layout.log("supervisor").read_text().splitlines()[-30:]])


@pytest.fixture(scope="module")
def stack(second_station: Station) -> Stack:
    """Return a stack that two people have started at the same moment."""
    return Stack(second_station)


def test_two_who_start_it_at_once_get_one_stack(stack: Stack) -> None:
    document = stack.status()
    assert document["healthy"], document["components"]
    assert document["ui"] == stack.settings.ui_url
    names = {one["name"] for one in document["components"]}
    assert {"supervisor", "postgres", "haproxy", *AIRFLOW} <= names
    assert "slot-hims-api-production-blue" in names
    supervisors = [
        pid for pid in stack.processes() if "include.stack.supervisor" in _command_line(pid)
    ]
    assert supervisors == [stack.pids()["supervisor"]]


def test_everything_listens_on_loopback_only(stack: Stack) -> None:
    ours = stack.processes()
    addresses = _listening(ours)
    assert addresses
    assert {address for address, _ in addresses} == {"0100007F"}
    claimed = {one.port for one in port_claims(stack.settings)}
    assert {port for _, port in addresses} <= claimed


def test_a_second_up_changes_nothing(stack: Stack) -> None:
    before = stack.pids()
    stack.up()
    assert stack.pids() == before


def test_a_killed_database_comes_back_with_all_that_needs_it(stack: Stack) -> None:
    os.kill(stack.pids()["postgres"], signal.SIGKILL)
    time.sleep(12)  # the last of Airflow's parts may take so long to notice and die
    stack.wait_healthy(180)


@pytest.mark.parametrize("name", ["haproxy", "airflow-scheduler", "airflow-api-server"])
def test_a_killed_part_is_started_again_and_leaves_no_orphans(stack: Stack, name: str) -> None:
    before = stack.pids()[name]
    os.kill(before, signal.SIGKILL)
    time.sleep(1)
    stack.wait_healthy(180)
    assert stack.pids()[name] != before
    assert not [pid for pid in stack.processes() if _session(pid) == before]


def test_a_killed_supervisor_is_replaced_and_what_it_ran_is_taken_over(stack: Stack) -> None:
    before = stack.pids()
    os.kill(before.pop("supervisor"), signal.SIGKILL)
    time.sleep(0.2)
    assert not stack.status()["healthy"]
    stack.up()
    after = stack.pids()
    after.pop("supervisor")
    assert after == before


def test_logs_are_listed_and_shown(stack: Stack) -> None:
    status, out, _ = stack.run("logs", "--json")
    assert status == 0
    assert {"supervisor", "postgres", *AIRFLOW} <= {one["name"] for one in json.loads(out)}
    status, out, _ = stack.run("logs", "postgres", "-n", "5")
    assert status == 0
    assert 0 < len(out.splitlines()) <= 5
    status, _, err = stack.run("logs", "postgress")
    assert status == 2
    assert 'did you mean "postgres"' in err


def test_no_secret_is_in_a_log_or_on_a_command_line(stack: Stack) -> None:
    document = json.loads(stack.layout.secrets.read_text())
    hidden = [*document.pop("passwords").values(), *document.values()]
    hidden += json.loads(stack.layout.people_passwords.read_text()).values()
    places = {path: path.read_text(errors="replace") for path in stack.layout.logs.iterdir()}
    for pid in stack.processes():
        places[Path(f"/proc/{pid}/cmdline")] = _command_line(pid)
    assert not [path for path, text in places.items() if any(word in text for word in hidden)]


def test_down_after_a_killed_supervisor_leaves_nothing_and_frees_every_port(stack: Stack) -> None:
    stack.up()
    os.kill(stack.pids()["supervisor"], signal.SIGKILL)
    status, _, err = stack.run("down")
    assert status == 0, err
    assert stack.processes() == set()
    assert stack.status()["healthy"] is False
    for claim in port_claims(stack.settings):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", claim.port)) != 0
    assert stack.run("down")[0] == 0


def test_a_taken_port_is_one_clear_error_and_nothing_is_left_running(stack: Stack) -> None:
    stack.run("down")
    with socket.socket() as holder:
        # What was connected to the port a moment ago is not quite over.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", stack.settings.overall.ports.airflow))
        holder.listen()
        status, _, err = stack.run("up")
    assert status == 2
    assert "ports.airflow" in err
    assert f"(pid {os.getpid()})" in err
    assert "Traceback" not in err
    assert stack.processes() == set()


def _command_line(pid: int) -> str:
    """Return a process's command line, empty if it has ended since it was listed."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def _listening(pids: set[int]) -> set[tuple[str, int]]:
    """Return the local addresses (hexadecimal, as /proc has them) and ports of open listeners."""
    inodes = set()
    for pid in pids:
        try:
            inodes |= {str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()}
        except OSError:
            continue
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                address, port = fields[1].split(":")
                found.add((address, int(port, 16)))
    return found
