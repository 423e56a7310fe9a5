"""Where PostgreSQL's programs and the key of backups come from."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Any

import pytest

from include.backups.tools import backup_tools
from include.errors import BackupError, TargetError
from include.settings import ROOT, Settings


def settings(tmp_path: Path, backups: str) -> Settings:
    directory = tmp_path / "config"
    directory.mkdir()
    shutil.copy(ROOT / "config" / "global.yaml", directory)
    with (directory / "global.yaml").open("a", encoding="utf-8") as file:
        file.write(backups)
    return Settings(directory=directory)


def nobody(name: str) -> Any:
    message = f"the Connection {name}_default is not defined"
    raise TargetError(message)


def test_without_a_word_backups_are_plain_and_need_no_key(tmp_path: Path) -> None:
    tools = backup_tools(settings(tmp_path, ""), nobody)
    assert not tools.encrypt
    with pytest.raises(BackupError, match="backup_default is not defined"):
        tools.key()


def test_the_key_is_that_of_the_connection(tmp_path: Path) -> None:
    key = bytes(range(32))
    given = {"backup": {"key": base64.b64encode(key).decode()}}
    tools = backup_tools(settings(tmp_path, "backups: {encrypt: true}\n"), given.__getitem__)
    assert tools.encrypt
    assert tools.key() == key


def test_the_programs_are_those_of_the_named_directory(tmp_path: Path) -> None:
    (tmp_path / "pg_dump").touch()
    named = settings(tmp_path, f"backups: {{postgres_bin: {tmp_path}}}\n")
    assert backup_tools(named, nobody).program("pg_dump") == tmp_path / "pg_dump"
    with pytest.raises(BackupError, match="has no pg_restore"):
        backup_tools(named, nobody).program("pg_restore")
