"""The record: comes back as written, and damage in it stops nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.stack.layout import Layout
from include.stack.processes import Identity
from include.stack.record import Entry, StackRecord, read_record, write_record

RECORD = StackRecord(
    supervisor=Identity(123, 456),
    phase="running",
    failure="",
    entries={
        "postgres": Entry(
            name="postgres",
            state="running",
            identity=Identity(7, 8),
            port=25432,
            begun=1.5,
            failures=2,
            fingerprint="abc",
        ),
        "slot": Entry(name="slot", state="empty", required=False),
    },
)


def test_it_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_record(Layout(tmp_path), RECORD)
    assert read_record(Layout(tmp_path)) == RECORD


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"components": [{}]}'])
def test_a_damaged_one_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "stack.json").write_text(content)
    assert read_record(Layout(tmp_path)) == StackRecord()


def test_links_to_the_state_directory_do_not_matter(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    assert Layout(tmp_path / "link") == Layout(real)
