"""`./hims` as a shell calls it: where it may lie, and what becomes of its output."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from include.settings import ROOT

CLOSED = ("calendar", "state", "--at", "2026-12-04T12:00:00Z", "--json")
OPEN = ("calendar", "state", "--at", "2026-12-05T08:00:00Z", "--json")


def hims(*words: str, stdout: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "include.cli", *words],
        cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("question", [OPEN, CLOSED], ids=["yes", "no"])
def test_an_answer_that_nobody_reads_is_no_yes(question: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = hims(*question, stdout=writer)
    finally:
        os.close(writer)
    assert done.returncode == 141
    assert done.stderr == ""


def test_an_answer_that_cannot_be_written_is_a_readable_error() -> None:
    with Path("/dev/full").open("w") as full:
        done = hims(*OPEN, stdout=full.fileno())
    assert done.returncode == 2
    assert done.stderr == "hims: the system refuses: No space left on device\n"


def test_a_link_to_the_front_door_leads_in(tmp_path: Path) -> None:
    link = tmp_path / "hims"
    link.symlink_to(ROOT / "hims")
    done = subprocess.run([link, *OPEN], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("{")


@pytest.mark.parametrize(
    ("left", "said"),
    [
        ((), "no environment"),
        (("bin/python", ".place"), "is not complete"),
    ],
    ids=["none", "interrupted"],
)
def test_an_environment_that_is_not_there_is_asked_for(
    tmp_path: Path, left: tuple[str, ...], said: str
) -> None:
    shutil.copy(ROOT / "hims", tmp_path)
    for name in left:
        path = tmp_path / ".venv" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o755)
    done = subprocess.run([tmp_path / "hims", *OPEN], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "make setup" in done.stderr
