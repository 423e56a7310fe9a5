"""Commands of a service, run for real in a directory of the test's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from include.errors import TargetError
from include.services.workspace import CommandResult, run_commands
from include.settings import ROOT
from include.stack.processes import alive, identify

# What a worker does that is killed: it runs a command and waits for it.
_WORKER = """
import sys
from pathlib import Path
from include.services.workspace import run_commands
here = Path(sys.argv[1])
run_commands([("sh", "-c", "echo $$ > leader; sleep 60 & echo $! > child; wait")], {}, here,
             log=here / "log")
"""


def run(directory: Path, *argv: str, limit: timedelta = timedelta(seconds=20)) -> CommandResult:
    (result,) = run_commands([argv], {}, directory, log=directory / "log", limit=limit)
    return result


def eventually(holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + 20
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    return holds()


def pid_in(path: Path) -> int:
    return int(path.read_text() or 0) if path.exists() else 0


@pytest.mark.parametrize(
    ("script", "status"), [("true", 0), ("exit 3", 3), ("kill -9 $$", 128 + signal.SIGKILL)]
)
def test_a_command_ends_with_its_own_status(tmp_path: Path, script: str, status: int) -> None:
    ended = run(tmp_path, "sh", "-c", f"echo said; {script}")
    assert (ended.status, ended.killed) == (status, status > 128)
    assert "said\n" in (tmp_path / "log").read_text()


def test_a_command_whose_leash_is_killed_was_killed(tmp_path: Path) -> None:
    ended = run(tmp_path, "sh", "-c", "kill -9 $PPID; sleep 60")
    assert (ended.ok, ended.killed) == (False, True)


def test_a_command_gets_nothing_of_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SECRET", "x")
    for name in ("LANG", "LC_ALL"):
        monkeypatch.delenv(name, raising=False)
    given = run(tmp_path, "env").output
    assert "SECRET" not in given
    assert "LC_CTYPE" not in given
    assert "PATH=" in given


@pytest.mark.parametrize(
    ("program", "why"), [("no-such-program", "No such file"), ("/etc/passwd", "Permission denied")]
)
def test_a_program_that_cannot_be_started_is_said(tmp_path: Path, program: str, why: str) -> None:
    with pytest.raises(TargetError, match=rf"{program} cannot be started \({why}"):
        run(tmp_path, program)


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    script = "sleep 60 & echo $! > child; wait"
    assert run(tmp_path, "sh", "-c", script, limit=timedelta(seconds=1)).status == 124
    child = pid_in(tmp_path / "child")
    assert eventually(lambda: identify(child) is None)


def test_a_command_does_not_outlive_a_worker_that_is_killed(tmp_path: Path) -> None:
    worker = subprocess.Popen([sys.executable, "-c", _WORKER, str(tmp_path)], cwd=ROOT)
    try:
        assert eventually(lambda: pid_in(tmp_path / "child") > 0)
        ours = [identify(pid_in(tmp_path / name)) for name in ("leader", "child")]
        assert all(alive(one) for one in ours)
    finally:
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    assert eventually(lambda: not any(alive(one) for one in ours)), ours
