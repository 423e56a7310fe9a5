"""Processes are told apart for certain: ours are found, strangers are left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from include.stack.environment import marked
from include.stack.processes import (
    Identity,
    alive,
    belonging,
    family,
    identify,
    process,
    send,
    stop,
)

Spawn = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    started: list[subprocess.Popen[bytes]] = []

    def start(*argv: str, **options: object) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(argv, start_new_session=True, **options))  # type: ignore[call-overload]
        return started[-1]

    yield start
    for child in started:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def who(child: subprocess.Popen[bytes]) -> Identity:
    identity = identify(child.pid)
    assert identity
    return identity


def environment(state_dir: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], **marked(state_dir)}


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_successor_under_the_same_number_is_another_process(spawn: Spawn) -> None:
    now = who(spawn("sleep", "60"))
    former = Identity(now.pid, now.started - 1)
    assert alive(now)
    assert not alive(former)


def test_a_zombie_is_not_alive(spawn: Spawn) -> None:
    child = spawn("sleep", "60")
    identity = who(child)
    child.kill()
    until(lambda: process(child.pid) is None)
    assert not alive(identity)
    assert Path(f"/proc/{child.pid}").exists()


def test_a_marked_process_belongs_to_its_state_directory_alone(
    spawn: Spawn, tmp_path: Path
) -> None:
    ours = spawn("sleep", "60", env=environment(tmp_path))
    stranger = spawn("sleep", "60", env=environment(tmp_path / "other"))
    found = belonging(tmp_path, ())
    assert who(ours) in found
    assert who(stranger) not in found


def test_the_marker_survives_a_changed_process_title(spawn: Spawn, tmp_path: Path) -> None:
    code = "import setproctitle, time; setproctitle.setproctitle('x' * 500); time.sleep(60)"
    child = spawn(sys.executable, "-c", code, env=environment(tmp_path))
    until(lambda: b"xxxx" in Path(f"/proc/{child.pid}/cmdline").read_bytes())
    assert who(child) in belonging(tmp_path, ())


def test_children_with_a_clean_environment_in_a_session_of_their_own_are_found(
    spawn: Spawn, tmp_path: Path
) -> None:
    child = spawn("sh", "-c", "env -i setsid -w sleep 61", env=environment(tmp_path))
    until(lambda: len(belonging(tmp_path, ())) >= 2)
    until(lambda: any(_command(one) == "sleep 61" for one in belonging(tmp_path, ())))
    assert who(child) in belonging(tmp_path, ())


def test_a_session_whose_leader_is_gone_is_still_its_family(spawn: Spawn, tmp_path: Path) -> None:
    child = spawn("sh", "-c", "sleep 62 & wait", env=environment(tmp_path))
    leader = who(child)
    until(lambda: len(family(leader)) == 2)
    child.kill()
    child.wait()
    left = family(leader)
    try:
        assert [_command(one) for one in left] == ["sleep 62"]
    finally:
        send(left, signal.SIGKILL)


def test_a_recorded_number_that_a_stranger_has_now_is_left_alone(
    spawn: Spawn, tmp_path: Path
) -> None:
    stranger = who(spawn("sleep", "60"))
    recorded = Identity(stranger.pid, stranger.started - 1)
    assert stranger not in belonging(tmp_path, [recorded])
    assert family(recorded) == set()
    send([recorded], signal.SIGKILL)
    assert alive(stranger)


def test_this_process_and_its_ancestors_are_never_found(tmp_path: Path) -> None:
    me = identify(os.getpid())
    assert me
    assert belonging(tmp_path, [me]).isdisjoint({me, identify(os.getppid())})


def test_one_that_ignores_the_polite_signal_is_killed(spawn: Spawn) -> None:
    child = spawn("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done", stdout=-1)
    assert child.stdout
    assert child.stdout.readline() == b"ready\n"
    begun = time.monotonic()
    assert stop([who(child)], grace=0.3, reap=lambda: child.poll() and None) == set()
    assert 0.3 <= time.monotonic() - begun < 5


def _command(identity: Identity) -> str:
    try:
        raw = Path(f"/proc/{identity.pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return raw.replace(b"\0", b" ").decode().strip()
