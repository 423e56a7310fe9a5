"""Logs stay within bounds and lose nothing that was asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from include.errors import StackError
from include.stack import logs
from include.stack.layout import Layout
from include.stack.logs import find_log, log_names, open_log, rotate, tail, trim


def test_rotating_keeps_two_former_logs(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    for number in range(4):
        path.write_text(f"run {number}")
        rotate(path)
    assert not path.exists()
    assert (tmp_path / "a.log.1").read_text() == "run 3"
    assert (tmp_path / "a.log.2").read_text() == "run 2"
    assert not (tmp_path / "a.log.3").exists()


def test_a_log_that_grew_too_large_is_cut_while_its_writer_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "LARGEST", 10)
    path = tmp_path / "a.log"
    writer = open_log(path)
    os.write(writer, b"more than ten bytes\n")
    trim(path)
    os.write(writer, b"next\n")
    os.close(writer)
    assert path.read_text() == "next\n"
    assert (tmp_path / "a.log.1").read_text() == "more than ten bytes\n"


def test_the_tail_is_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("\n".join(str(number) for number in range(100_000)))
    assert tail(path, 3) == ["99997", "99998", "99999"]
    assert tail(path, 0) == []
    assert tail(tmp_path / "none", 3) == []


def test_a_wrong_name_is_answered_with_the_right_one(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    with pytest.raises(StackError, match="no logs"):
        find_log(layout, "postgres")
    layout.logs.mkdir()
    (layout.logs / "postgres.log").write_text("hello")
    assert log_names(layout) == {"postgres": 5}
    with pytest.raises(StackError, match='did you mean "postgres"'):
        find_log(layout, "postgress")
    with pytest.raises(StackError, match="there is no log"):
        find_log(layout, "../secrets")
