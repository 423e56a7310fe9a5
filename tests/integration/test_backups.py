"""Backups of a real database, taken and proven as the role that does it in production."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.backups import Backup, PostgresTools, load_backup, prove_backup, take_backup
from include.backups.backup import digest_of
from include.backups.database import Database
from include.backups.restore import compare_writes, count_lost_writes, restore_over
from include.backups.scratch import scratch_database
from include.errors import BackupError
from tests.integration.conftest import OwnServer

NOW = datetime(2026, 11, 28, 7, 5, tzinfo=UTC)
TOOLS = PostgresTools()

TABLES = """
CREATE EXTENSION btree_gist;
CREATE TYPE ward AS ENUM ('north', 'south');
CREATE SCHEMA "Billing.old";
CREATE TABLE patient (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL,
    ward ward NOT NULL, born date CHECK (born > '1900-01-01'), notes jsonb);
CREATE TABLE appointment (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    patient bigint NOT NULL REFERENCES patient, during tstzrange NOT NULL,
    EXCLUDE USING gist (patient WITH =, during WITH &&));
CREATE TABLE visit (day date NOT NULL, patient bigint NOT NULL) PARTITION BY RANGE (day);
CREATE TABLE visit_2025 PARTITION OF visit FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE visit_2026 PARTITION OF visit FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE "Billing.old"."Invoice ""x"" old" (number text PRIMARY KEY);
CREATE VIEW north AS SELECT * FROM patient WHERE ward = 'north';
CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
INSERT INTO patient (name, ward, born, notes)
    SELECT 'patient ' || n, (ARRAY['north', 'south'])[1 + n % 2]::ward, '1980-01-01'::date + n,
    jsonb_build_object('n', n, 'note', md5(n::text)) FROM generate_series(1, 2000) n;
INSERT INTO appointment (patient, during)
    SELECT n, tstzrange('2026-01-01T00:00Z'::timestamptz + n * interval '1h', NULL)
    FROM generate_series(1, 500) n;
INSERT INTO visit SELECT '2025-12-01'::date + n % 60, n FROM generate_series(1, 300) n;
INSERT INTO "Billing.old"."Invoice ""x"" old" VALUES ('A-1'), ('A-2')
"""
COUNTS = {
    '"Billing.old"."Invoice ""x"" old"': 2,
    "public.appointment": 500,
    "public.patient": 2000,
    "public.visit_2025": 155,
    "public.visit_2026": 145,
}


@pytest.fixture
def hims(postgres: Any, database: Callable[[], str]) -> str:
    """Return the name of a database with patients, and make sure of the backup's role."""
    operator(postgres)
    name = database()
    postgres.execute(*TABLES.split(";\n"), database=name)
    return name


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(postgres: Any) -> Iterator[None]:
    yield
    assert scratch_databases(postgres) == []


def operator(postgres: Any) -> None:
    postgres.create_role("backup_operator", "LOGIN CREATEDB")
    postgres.execute("GRANT pg_read_all_data TO backup_operator")


def source(postgres: Any, name: str) -> str:
    return str(postgres.url(name, "backup_operator"))


def admin(postgres: Any) -> str:
    return str(postgres.url("postgres", "backup_operator"))


def scratch_databases(postgres: Any) -> list[str]:
    query = "SELECT datname FROM pg_database WHERE datname LIKE 'release_control_scratch%'"
    with psycopg.connect(postgres.url()) as connection:
        return [row[0] for row in connection.execute(query)]


def taken(postgres: Any, name: str, path: Path) -> Backup:
    return take_backup(source(postgres, name), path / "backups" / "hims.dump", TOOLS, NOW)


def changed(backup: Backup, content: bytes) -> Backup:
    """Return the backup as if `content` had been saved in the first place."""
    backup.path.write_bytes(content)
    return replace(backup, digest=digest_of(backup.path), size=len(content))


def test_a_backup_is_taken_and_proven(postgres: Any, hims: str, tmp_path: Path) -> None:
    backup = taken(postgres, hims, tmp_path)
    assert backup.counts == COUNTS
    assert backup.rows == 2802
    assert (backup.database, backup.taken_at) == (hims, NOW)
    assert backup.server_version.split(".")[0] == str(TOOLS.major)
    assert backup.path.read_bytes()[:5] == b"PGDMP"
    assert (backup.size, backup.digest) == (backup.path.stat().st_size, digest_of(backup.path))
    assert backup.path.stat().st_mode & 0o077 == 0
    assert load_backup(backup.path) == backup
    proof = prove_backup(backup, admin(postgres), TOOLS, NOW)
    assert (proof.proven, proof.reason) == (True, "proven"), proof.message
    assert proof.counts == COUNTS
    assert "2,802 rows" in proof.message
    assert proof.seconds > 0


def test_the_password_never_stands_on_a_command_line(
    postgres: Any, hims: str, tmp_path: Path
) -> None:
    recorder = tmp_path / "bin"
    recorder.mkdir()
    for name in ("pg_dump", "pg_restore"):
        program = recorder / name
        program.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$@" >> {tmp_path}/seen\nexec {TOOLS.program(name)} "$@"\n'
        )
        program.chmod(0o755)
    tools = PostgresTools(recorder)
    backup = take_backup(source(postgres, hims), tmp_path / "hims.dump", tools, NOW)
    assert prove_backup(backup, admin(postgres), tools, NOW).proven
    seen = (tmp_path / "seen").read_text()
    assert "backup_operator" in seen
    assert "integration" not in seen


def test_a_second_call_returns_the_backup_that_is_there(
    postgres: Any, hims: str, tmp_path: Path
) -> None:
    first = taken(postgres, hims, tmp_path)
    postgres.execute("DELETE FROM appointment", database=hims)
    later = NOW.replace(hour=8)
    again = take_backup(source(postgres, hims), first.path, TOOLS, later)
    assert again == first
    assert again.taken_at == NOW


def test_a_backup_that_was_altered_is_neither_returned_nor_overwritten(
    postgres: Any, hims: str, tmp_path: Path
) -> None:
    backup = taken(postgres, hims, tmp_path)
    content = bytearray(backup.path.read_bytes())
    content[len(content) // 2] ^= 1
    backup.path.write_bytes(content)
    with pytest.raises(BackupError, match="has changed since"):
        taken(postgres, hims, tmp_path)
    assert backup.path.read_bytes() == content


def test_another_file_at_the_path_is_not_overwritten(
    postgres: Any, hims: str, tmp_path: Path, database: Callable[[], str]
) -> None:
    path = tmp_path / "hims.dump"
    path.write_text("mine")
    with pytest.raises(BackupError, match="no backup of ours"):
        take_backup(source(postgres, hims), path, TOOLS, NOW)
    assert path.read_text() == "mine"
    backup = taken(postgres, hims, tmp_path)
    with pytest.raises(BackupError, match="name another file"):
        take_backup(source(postgres, database()), backup.path, TOOLS, NOW)


@pytest.mark.parametrize("left", [0.0, 0.01, 0.3, 0.7, 0.99])
def test_a_dump_that_was_cut_off_is_not_proven_even_if_its_digest_says_so(
    postgres: Any, hims: str, tmp_path: Path, left: float
) -> None:
    backup = taken(postgres, hims, tmp_path)
    content = backup.path.read_bytes()
    cut = changed(backup, content[: int(len(content) * left)])
    proof = prove_backup(cut, admin(postgres), TOOLS, NOW)
    assert not proof.proven
    assert proof.reason == ("empty" if left == 0 else "truncated"), proof.message


def test_a_dump_without_its_last_byte_is_not_proven(
    postgres: Any, hims: str, tmp_path: Path
) -> None:
    backup = taken(postgres, hims, tmp_path)
    cut = changed(backup, backup.path.read_bytes()[:-1])
    assert not prove_backup(cut, admin(postgres), TOOLS, NOW).proven


def test_a_flipped_bit_in_the_data_is_not_proven_even_if_the_digest_fits(
    postgres: Any, hims: str, tmp_path: Path
) -> None:
    backup = taken(postgres, hims, tmp_path)
    content = bytearray(backup.path.read_bytes())
    for place in (0.5, 0.7, 0.9):
        flipped = bytearray(content)
        flipped[int(len(content) * place)] ^= 4
        proof = prove_backup(changed(backup, bytes(flipped)), admin(postgres), TOOLS, NOW)
        assert not proof.proven
        assert proof.message


def test_the_dump_of_an_empty_database_is_not_proven(
    postgres: Any, database: Callable[[], str], tmp_path: Path
) -> None:
    operator(postgres)
    proof = prove_backup(taken(postgres, database(), tmp_path), admin(postgres), TOOLS, NOW)
    assert (proof.proven, proof.reason) == (False, "empty")


def test_the_dump_of_another_database_is_not_proven(
    postgres: Any, hims: str, tmp_path: Path
) -> None:
    backup = replace(taken(postgres, hims, tmp_path), database="hims")
    proof = prove_backup(backup, admin(postgres), TOOLS, NOW)
    assert (proof.proven, proof.reason) == (False, "wrong_database")
    assert hims in proof.message


def test_rows_that_are_missing_after_the_restore_are_found(
    postgres: Any, hims: str, tmp_path: Path
) -> None:
    backup = taken(postgres, hims, tmp_path)
    counts = {**backup.counts, "public.patient": 2001, "public.lost": 3}
    proof = prove_backup(replace(backup, counts=counts), admin(postgres), TOOLS, NOW)
    assert (proof.proven, proof.reason) == (False, "count_mismatch")
    assert "public.patient: 2,001 rows backed up, 2,000 rows restored" in proof.message
    assert "public.lost: 3 rows backed up, no such table restored" in proof.message
    proof = prove_backup(replace(backup, constraints=99), admin(postgres), TOOLS, NOW)
    assert (proof.proven, proof.reason) == (False, "constraints_differ")


def test_a_schema_only_dump_in_place_of_the_backup_is_not_proven(
    postgres: Any, hims: str, tmp_path: Path
) -> None:
    backup = taken(postgres, hims, tmp_path)
    subprocess.run(
        [TOOLS.program("pg_dump"), "-Fc", "-s", "-f", backup.path, postgres.url(hims)], check=True
    )
    proof = prove_backup(changed(backup, backup.path.read_bytes()), admin(postgres), TOOLS, NOW)
    assert (proof.proven, proof.reason) == (False, "count_mismatch")


def test_a_dump_that_does_not_restore_is_not_proven(
    postgres: Any, hims: str, tmp_path: Path
) -> None:
    # Only a superuser may create a function in C, and the backup's role is none.
    library = "'tcn', 'triggered_change_notification'"
    postgres.execute(
        f"CREATE FUNCTION risky() RETURNS trigger LANGUAGE c AS {library}", database=hims
    )
    proof = prove_backup(taken(postgres, hims, tmp_path), admin(postgres), TOOLS, NOW)
    assert (proof.proven, proof.reason) == (False, "restore_failed")
    assert "permission denied for language c" in proof.message


def test_a_source_whose_rows_changed_since_is_still_proven_against_its_snapshot(
    postgres: Any, hims: str, tmp_path: Path
) -> None:
    backup = taken(postgres, hims, tmp_path)
    postgres.execute("TRUNCATE patient CASCADE", database=hims)
    assert prove_backup(backup, admin(postgres), TOOLS, NOW).proven


def test_writes_during_the_dump_disturb_neither_the_counts_nor_the_writers(
    postgres: Any, hims: str, tmp_path: Path
) -> None:
    stop = threading.Event()
    written = 0

    def write() -> None:
        nonlocal written
        with psycopg.connect(postgres.url(hims), autocommit=True) as connection:
            while not stop.is_set():
                connection.execute(
                    "WITH p AS (INSERT INTO patient (name, ward) VALUES ('x', 'north') "
                    "RETURNING id) INSERT INTO visit SELECT '2026-05-05', id FROM p"
                )
                written += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(4):
            before = written
            path = tmp_path / f"{number}.dump"
            backup = take_backup(source(postgres, hims), path, TOOLS, NOW)
            assert written > before
            # One transaction writes to both, so one snapshot has as many new rows in each.
            new = backup.counts["public.patient"] - COUNTS["public.patient"]
            assert backup.counts["public.visit_2026"] - COUNTS["public.visit_2026"] == new
            proof = prove_backup(backup, admin(postgres), TOOLS, NOW)
            assert proof.proven, proof.message
    finally:
        stop.set()
        writer.join()


@pytest.fixture
def large(postgres: Any, database: Callable[[], str]) -> str:
    """Return the name of a database that takes a second or more to dump and to restore."""
    operator(postgres)
    name = database()
    postgres.execute(
        "CREATE TABLE result (id int PRIMARY KEY, value text, other text)",
        "INSERT INTO result SELECT n, md5(n::text), md5((n * 7)::text) "
        "FROM generate_series(1, 250000) n",
        "CREATE INDEX ON result (value); CREATE INDEX ON result (other)",
        database=name,
    )
    return name


CHILD = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from include.backups import PostgresTools, load_backup, prove_backup, take_backup
what, path, url = sys.argv[1:]
now = datetime(2026, 11, 28, 7, 0, tzinfo=UTC)
if what == "take":
    take_backup(url, Path(path), PostgresTools(), now)
else:
    prove_backup(load_backup(Path(path)), url, PostgresTools(), now)
"""


def in_another_process(what: str, path: Path, url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", CHILD, what, str(path), url])


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_backup_that_was_killed_in_mid_dump_is_taken_anew(
    postgres: Any, large: str, tmp_path: Path
) -> None:
    path = tmp_path / "hims.dump"
    partial = tmp_path / ".hims.dump.partial"
    child = in_another_process("take", path, source(postgres, large))
    until(lambda: partial.exists() and partial.stat().st_size > 100_000)
    with pytest.raises(BackupError, match="another process"):
        take_backup(source(postgres, large), path, TOOLS, NOW)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert not path.exists()
    backup = take_backup(source(postgres, large), path, TOOLS, NOW)
    assert backup.counts == {"public.result": 250_000}
    assert not partial.exists()
    assert prove_backup(backup, admin(postgres), TOOLS, NOW).proven
    # The killed run's pg_dump has noticed and is gone too.
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
    with psycopg.connect(postgres.url()) as connection:
        assert connection.execute(query, [large]).fetchone() == (0,)


def test_figures_without_a_file_are_those_of_a_killed_run(
    postgres: Any, hims: str, tmp_path: Path
) -> None:
    first = taken(postgres, hims, tmp_path)
    first.path.unlink()
    postgres.execute("DELETE FROM appointment", database=hims)
    again = taken(postgres, hims, tmp_path)
    assert again.counts["public.appointment"] == 0
    assert load_backup(again.path) == again


def test_a_scratch_database_that_the_server_is_cleaning_is_dropped(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Autovacuum is nobody's session: a role that is no superuser may not end it by force."""
    home = tmp_path_factory.mktemp("postgres-cleaning")
    slowly = {"autovacuum_naptime": "1s", "autovacuum_vacuum_cost_delay": "100ms"}
    own = OwnServer(home, **slowly, autovacuum_vacuum_cost_limit="1")
    cleaning = (
        "SELECT 1 FROM pg_stat_activity WHERE backend_type = 'autovacuum worker' AND datname = %s"
    )
    try:
        own.start()
        operator(own.server)
        place = Database.at(admin(own.server))
        with place.connect(autocommit=True) as connection:
            with scratch_database(place, connection, like="postgres") as scratch:
                with scratch.connect(autocommit=True) as inside:
                    inside.execute("CREATE TABLE t AS SELECT n FROM generate_series(1, 100000) n")
                    inside.execute("DELETE FROM t")
                name = [scratch.name]
                with psycopg.connect(own.server.url(), autocommit=True) as seer:
                    until(lambda: seer.execute(cleaning, name).fetchone() is not None)
            assert scratch_databases(own.server) == []
    finally:
        own.remove()


def test_the_scratch_database_of_a_killed_proof_is_dropped_by_the_next(
    postgres: Any, large: str, hims: str, tmp_path: Path
) -> None:
    backup = take_backup(source(postgres, large), tmp_path / "large.dump", TOOLS, NOW)
    small = taken(postgres, hims, tmp_path)
    child = in_another_process("prove", backup.path, admin(postgres))
    until(lambda: bool(scratch_databases(postgres)))
    [theirs] = scratch_databases(postgres)
    # While its maker lives it is left alone …
    assert prove_backup(small, admin(postgres), TOOLS, NOW).proven
    assert child.poll() is None
    assert scratch_databases(postgres) == [theirs]
    # … and afterwards it goes, though its pg_restore may still be at work.
    os.kill(child.pid, signal.SIGKILL)
    child.wait()

    def gone() -> bool:
        assert prove_backup(small, admin(postgres), TOOLS, NOW).proven
        return theirs not in scratch_databases(postgres)

    until(gone)


def test_a_role_that_may_not_create_databases_is_told_so(
    postgres: Any, hims: str, tmp_path: Path
) -> None:
    postgres.create_role("reader")
    backup = taken(postgres, hims, tmp_path)
    with pytest.raises(BackupError, match="needs CREATEDB"):
        prove_backup(backup, postgres.url("postgres", "reader"), TOOLS, NOW)
    with pytest.raises(BackupError, match="permission denied"):
        take_backup(postgres.url(hims, "reader"), tmp_path / "other.dump", TOOLS, NOW)
    assert not (tmp_path / "other.dump").exists()


def test_a_client_older_than_the_server_takes_no_backup(
    postgres: Any, hims: str, tmp_path: Path
) -> None:
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 12.1'\n")
    old.chmod(0o755)
    with pytest.raises(BackupError, match="at least as new"):
        take_backup(source(postgres, hims), tmp_path / "x.dump", PostgresTools(tmp_path), NOW)


def test_a_dump_that_fails_in_the_middle_leaves_nothing(
    postgres: Any, hims: str, tmp_path: Path
) -> None:
    broken = tmp_path / "pg_dump"
    broken.write_text(
        "#!/bin/sh\ncase $1 in --version) echo 'pg_dump (PostgreSQL) 99.0'; exit;; esac\n"
        "echo PGDMP and then\necho 'pg_dump: error: the disk is on fire' >&2\nexit 1\n"
    )
    broken.chmod(0o755)
    with pytest.raises(BackupError, match="the disk is on fire"):
        take_backup(source(postgres, hims), tmp_path / "x.dump", PostgresTools(tmp_path), NOW)
    assert {item.name for item in tmp_path.iterdir()} <= {"pg_dump", ".x.dump.lock"}


# --- with several jobs


def test_a_backup_by_several_connections_is_a_folder_and_proven(
    postgres: Any, hims: str, tmp_path: Path
) -> None:
    backup = take_backup(source(postgres, hims), tmp_path / "b", TOOLS, now=NOW, jobs=2)
    assert backup.path.is_dir()
    assert backup.digest == digest_of(backup.path)
    assert load_backup(backup.path) == backup
    proof = prove_backup(backup, admin(postgres), TOOLS, now=NOW)
    assert (proof.proven, proof.reason) == (True, "proven"), proof.message
    # Asked again it is the same backup, and nothing is dumped anew.
    again = take_backup(source(postgres, hims), backup.path, TOOLS, now=NOW, jobs=2)
    assert again == backup


@pytest.mark.parametrize("harm", ["truncate", "empty", "remove", "add", "change", "gone"])
def test_a_folder_that_was_touched_is_refused(
    postgres: Any, hims: str, tmp_path: Path, harm: str
) -> None:
    backup = take_backup(source(postgres, hims), tmp_path / "b", TOOLS, now=NOW, jobs=2)
    largest = max(backup.path.iterdir(), key=lambda file: file.stat().st_size)
    content = largest.read_bytes()
    if harm == "truncate":
        largest.write_bytes(content[:-20])
    elif harm == "empty":
        largest.write_bytes(b"")
    elif harm == "remove":
        largest.unlink()
    elif harm == "add":
        (backup.path / "more").write_bytes(b"x")
    elif harm == "change":
        largest.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        shutil.rmtree(backup.path)
    proof = prove_backup(backup, admin(postgres), TOOLS, now=NOW)
    assert not proof.proven
    assert proof.reason in ("truncated", "digest_changed", "missing"), proof.message


def test_a_folder_that_a_killed_run_left_is_begun_anew(
    postgres: Any, hims: str, tmp_path: Path
) -> None:
    (tmp_path / ".b.partial").mkdir()
    (tmp_path / ".b.partial" / "toc.dat").write_bytes(b"half")
    backup = take_backup(source(postgres, hims), tmp_path / "b", TOOLS, now=NOW, jobs=2)
    assert prove_backup(backup, admin(postgres), TOOLS, now=NOW).proven
    assert not (tmp_path / ".b.partial").exists()


KEY = bytes(range(32))
SEALING = PostgresTools(key=lambda: KEY, encrypt=True)


def test_an_encrypted_backup_is_proven_and_shows_nothing(
    postgres: Any, hims: str, tmp_path: Path
) -> None:
    path = tmp_path / "hims.dump"
    backup = take_backup(source(postgres, hims), path, SEALING, NOW, jobs=4)
    assert path.is_file()
    assert backup.digest == digest_of(path)
    content = path.read_bytes()
    assert b"PGDMP" not in content
    assert b"patient" not in content
    proof = prove_backup(backup, admin(postgres), SEALING, NOW)
    assert (proof.proven, proof.reason) == (True, "proven")
    assert dict(proof.counts) == COUNTS
    assert [item.name for item in tmp_path.iterdir() if "partial" in item.name] == []


def test_an_encrypted_backup_is_put_back_and_its_price_counted(
    postgres: Any, hims: str, tmp_path: Path
) -> None:
    url = str(postgres.url(hims, "postgres"))
    owner = str(postgres.url("postgres", "postgres"))
    backup = take_backup(url, tmp_path / "hims.dump", SEALING, NOW)
    postgres.execute("INSERT INTO visit VALUES ('2026-02-02', 1)", database=hims)
    lost = count_lost_writes(backup, url, owner, SEALING)
    assert dict(lost.written) == {"public.visit_2026": 1}
    # What was encrypted is read also where new backups no longer are.
    reading = PostgresTools(key=lambda: KEY)
    assert restore_over(backup, url, reading) == sum(COUNTS.values())
    assert count_lost_writes(backup, url, owner, reading).rows == 0


def test_what_would_be_lost_is_counted_without_holding_the_rows(postgres: Any) -> None:
    then, now = (str(postgres.create_database()) for _ in range(2))
    for name in (then, now):
        # Each row twice: a table without a key is counted right as well.
        make = "CREATE TABLE reading AS SELECT n / 2 AS n FROM generate_series(2, 60001) n"
        postgres.execute(make, database=name)
    postgres.execute(
        "INSERT INTO reading VALUES (1), (1), (70000)",
        "DELETE FROM reading WHERE n IN (5, 6)",
        "CREATE TABLE later AS SELECT 1 AS n",
        database=now,
    )
    scratch = Database.at(str(postgres.url(then, "postgres")))
    tracemalloc.start()
    try:
        lost = compare_writes(scratch, str(postgres.url(now, "postgres")))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert dict(lost.written) == {"public.later": 1, "public.reading": 3}
    assert dict(lost.gone) == {"public.reading": 4}
    assert most < 6_000_000
    for name in (then, now):
        postgres.drop_database(name)


def rows_of(postgres: Any, name: str) -> int:
    with psycopg.connect(postgres.url(name)) as connection:
        row = connection.execute("SELECT count(*) FROM visit").fetchone()
        assert row is not None
        return int(row[0])


def test_what_is_put_back_is_on_no_disk_in_plain(
    postgres: Any, hims: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = take_backup(str(postgres.url(hims)), tmp_path / "hims.dump", SEALING, NOW)

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a folder for what is decrypted")

    monkeypatch.setattr("tempfile.TemporaryDirectory", refuse)
    assert restore_over(backup, str(postgres.url(hims)), SEALING) == sum(COUNTS.values())


@pytest.mark.parametrize("what", ["another dump", "cut off", "other figures", "gone"])
def test_what_is_not_the_backup_is_not_put_back_and_changes_nothing(
    postgres: Any, hims: str, tmp_path: Path, what: str
) -> None:
    url = str(postgres.url(hims))
    backup = take_backup(url, tmp_path / "hims.dump", TOOLS, NOW)
    postgres.execute("INSERT INTO visit VALUES ('2026-02-02', 1)", database=hims)
    before = rows_of(postgres, hims)
    if what == "another dump":
        other = take_backup(url, tmp_path / "other.dump", TOOLS, NOW)
        shutil.copy(other.path, backup.path)
    if what == "cut off":
        backup.path.write_bytes(backup.path.read_bytes()[:-200])
    if what == "other figures":
        backup = replace(backup, counts={**backup.counts, "public.patient": 1999})
    if what == "gone":
        backup.path.unlink()
    with pytest.raises(BackupError):
        restore_over(backup, url, TOOLS)
    assert rows_of(postgres, hims) == before


def test_nobody_writes_between_the_last_count_and_the_restore_and_all_can_read(
    postgres: Any, hims: str, tmp_path: Path
) -> None:
    url = str(postgres.url(hims))
    backup = take_backup(url, tmp_path / "hims.dump", TOOLS, NOW)
    read: list[int] = []

    def meanwhile() -> None:
        read.append(rows_of(postgres, hims))
        take_backup(url, tmp_path / "kept.dump", TOOLS, NOW)
        for table in ("visit VALUES ('2026-02-02', 1)", "visit_2026 VALUES ('2026-02-02', 1)"):
            with (
                psycopg.connect(url, options="-c lock_timeout=200") as writer,
                pytest.raises(psycopg.errors.LockNotAvailable),
            ):
                writer.execute(f"INSERT INTO {table}".encode())

    assert restore_over(backup, url, TOOLS, before=meanwhile) == sum(COUNTS.values())
    assert read == [300]
    postgres.execute("INSERT INTO visit VALUES ('2026-02-02', 1)", database=hims)


def test_what_is_raised_before_the_restore_leaves_all_as_it_is(
    postgres: Any, hims: str, tmp_path: Path
) -> None:
    url = str(postgres.url(hims))
    backup = take_backup(url, tmp_path / "hims.dump", TOOLS, NOW)
    postgres.execute("INSERT INTO visit VALUES ('2026-02-02', 1)", database=hims)

    def too_much() -> None:
        raise RuntimeError("more than was agreed to")

    with pytest.raises(RuntimeError, match="agreed"):
        restore_over(backup, url, TOOLS, before=too_much)
    assert rows_of(postgres, hims) == 301
    # Nothing is held either.
    postgres.execute("INSERT INTO visit VALUES ('2026-02-02', 1)", database=hims)


def test_an_encrypted_backup_without_its_key_is_not_proven(
    postgres: Any, hims: str, tmp_path: Path
) -> None:
    backup = take_backup(source(postgres, hims), tmp_path / "hims.dump", SEALING, NOW)
    for tools in (PostgresTools(key=lambda: bytes(32)), PostgresTools()):
        proof = prove_backup(backup, admin(postgres), tools, NOW)
        assert (proof.proven, proof.reason) == (False, "unreadable")
        assert "key" in proof.message


def test_an_encrypted_backup_that_was_cut_off_with_its_figures_is_not_proven(
    postgres: Any, hims: str, tmp_path: Path
) -> None:
    path = tmp_path / "hims.dump"
    backup = take_backup(source(postgres, hims), path, SEALING, NOW)
    path.write_bytes(path.read_bytes()[:-40])
    forged = replace(backup, digest=digest_of(path), size=path.stat().st_size)
    proof = prove_backup(forged, admin(postgres), SEALING, NOW)
    assert (proof.proven, proof.reason) == (False, "unreadable")
