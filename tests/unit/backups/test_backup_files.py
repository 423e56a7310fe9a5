"""What a backup's file and programs can be refused for without any server."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from include.backups import Backup, PostgresTools, load_backup, prove_backup, take_backup
from include.backups.database import Database, said, without_values
from include.errors import BackupError

NOW = datetime(2026, 11, 28, 7, 5, tzinfo=UTC)
NOBODY_HOME = "postgresql://u:secret@127.0.0.1:1/hims"


def backup_of(path: Path, content: bytes) -> Backup:
    path.write_bytes(content)
    return Backup(
        path=path,
        digest="sha256:" + hashlib.sha256(content).hexdigest(),
        size=len(content),
        counts={"public.patients": 1},
        constraints=1,
        taken_at=NOW,
        server_version="18.6",
        database="hims",
    )


def programs(directory: Path, version: str) -> PostgresTools:
    for name in ("pg_dump", "pg_restore"):
        program = directory / name
        program.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        program.chmod(0o755)
    return PostgresTools(directory)


def test_a_missing_backup_is_not_proven(tmp_path: Path) -> None:
    backup = backup_of(tmp_path / "hims.dump", b"PGDMP")
    backup.path.unlink()
    proof = prove_backup(backup, NOBODY_HOME, PostgresTools(), NOW)
    assert (proof.proven, proof.reason) == (False, "missing")
    assert str(backup.path) in proof.message


@pytest.mark.parametrize(
    ("left", "reason"), [(b"", "empty"), (b"PGD", "truncated"), (b"PGDMX", "digest_changed")]
)
def test_a_file_that_is_not_what_was_saved_is_not_proven(
    tmp_path: Path, left: bytes, reason: str
) -> None:
    backup = backup_of(tmp_path / "hims.dump", b"PGDMP")
    backup.path.write_bytes(left)
    proof = prove_backup(backup, NOBODY_HOME, PostgresTools(), NOW)
    assert (proof.proven, proof.reason) == (False, reason)
    assert proof.document()["checked_at"] == "2026-11-28T07:05:00Z"


def test_a_file_that_is_no_dump_is_not_proven(tmp_path: Path) -> None:
    backup = backup_of(tmp_path / "hims.dump", b"-- a plain SQL script\n" * 40)
    proof = prove_backup(backup, NOBODY_HOME, PostgresTools(), NOW)
    assert (proof.proven, proof.reason) == (False, "unreadable")


def test_a_client_older_than_the_server_is_refused(tmp_path: Path) -> None:
    tools = programs(tmp_path, "15.18 (Debian 15.18-0+deb12u1)")
    tools.require(150018)
    tools.require(140000)
    with pytest.raises(BackupError, match=r"is PostgreSQL 15, the server is 16: .*client-16"):
        tools.require(160001)


def test_a_named_directory_without_the_programs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="has no pg_dump"):
        PostgresTools(tmp_path).program("pg_dump")


def test_the_programs_of_the_wheel_are_found_without_importing_it() -> None:
    assert PostgresTools().program("pg_dump").parent.name == "bin"
    assert PostgresTools().major >= 15


def test_an_unreachable_server_is_an_error_that_keeps_the_password(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=r"hims at 127\.0\.0\.1:1") as caught:
        take_backup(NOBODY_HOME, tmp_path / "hims.dump", PostgresTools(), NOW)
    assert "secret" not in str(caught.value)
    assert not (tmp_path / "hims.dump").exists()


@pytest.mark.parametrize(
    "url", ["", "hims", "http://x/y", "postgresql://h:secret@/x:y", "postgresql://u:secret@h:p%/d"]
)
def test_a_url_that_names_no_database_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(BackupError, match="not usable") as caught:
        Database.at(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_the_password_is_kept_out_of_what_is_shown_and_of_command_lines(scheme: str) -> None:
    database = Database.at(f"{scheme}://u:se%20cret@h:5433/d?sslmode=require")
    assert database.password == "se cret"
    assert "cret" not in database.argument() + repr(database) + database.place
    assert "sslmode=require" in database.argument()
    assert database.environment()["PGPASSWORD"] == "se cret"


def test_variables_that_would_redirect_a_program_do_not_reach_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGDATABASE", "other")
    monkeypatch.setenv("PGPASSWORD", "other")
    environment = Database.at("postgresql://u@h/d").environment()
    assert not {"PGDATABASE", "PGPASSWORD"} & set(environment)


def test_errors_quote_no_rows() -> None:
    assert without_values('ERROR:  invalid input syntax for type integer: "Doe, John"') == (
        "ERROR:  invalid input syntax for type integer"
    )
    assert said(ValueError("ERROR: duplicate key\nDETAIL: Key (name)=(Doe)")) == (
        "ERROR: duplicate key"
    )


def test_figures_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="there is no backup here"):
        load_backup(tmp_path / "hims.dump")
    for broken in ("", "[]", "{}", '{"format": 9}', '{"format": 1, "counts": 3}'):
        (tmp_path / "hims.dump.json").write_text(broken)
        with pytest.raises(BackupError, match="does not describe a backup"):
            load_backup(tmp_path / "hims.dump")
