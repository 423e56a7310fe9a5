"""The stack's PostgreSQL: made once, safe to kill at any moment, and closed to those without a
password."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from include.errors import StackError
from include.settings import Settings
from include.stack.child import Child
from include.stack.databases import connect, ensure_databases
from include.stack.health import ask_postgres
from include.stack.layout import Layout
from include.stack.postgres import PostgresServer
from include.stack.processes import works_in
from include.stack.secrets import Secrets
from tests.integration.stack.conftest import end, running, until


@pytest.fixture
def server(settings: Settings, secrets: Secrets) -> PostgresServer:
    made = PostgresServer(settings)
    made.initialise(secrets, lambda _: None)
    return made


@pytest.fixture
def database(settings: Settings, secrets: Secrets, server: PostgresServer) -> Iterator[Child]:
    with running(settings, server.component()) as child:
        until(lambda: ask_postgres(settings, secrets) is None)
        yield child


def start_again(settings: Settings, secrets: Secrets, server: PostgresServer, child: Child) -> None:
    until(lambda: child.poll() or not child.runs)
    server.clear_stale()
    child.start(server.component())
    until(lambda: ask_postgres(settings, secrets) is None)


def test_committed_rows_survive_a_killed_server(
    settings: Settings, secrets: Secrets, server: PostgresServer, database: Child
) -> None:
    port = settings.overall.ports.postgres
    with connect(secrets, "postgres", "postgres", port) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        assert database.identity
        os.kill(database.identity.pid, signal.SIGKILL)
    start_again(settings, secrets, server, database)
    with connect(secrets, "postgres", "postgres", port) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_a_pid_file_whose_number_a_stranger_has_now_does_not_stop_it(
    settings: Settings, secrets: Secrets, server: PostgresServer, database: Child
) -> None:
    end(database)
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        pid_file = server.data / "postmaster.pid"
        pid_file.write_text(f"{stranger.pid}\n{server.data}\n0\n1\n\n127.0.0.1\n0 0\nready\n")
        start_again(settings, secrets, server, database)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_backend_that_outlives_a_killed_server_is_ended_before_the_next_start(
    settings: Settings, secrets: Secrets, server: PostgresServer, database: Child
) -> None:
    connection = connect(secrets, "postgres", "postgres", settings.overall.ports.postgres)
    backend = connection.info.backend_pid
    assert database.identity
    os.kill(backend, signal.SIGSTOP)  # so that it does not notice by itself
    os.kill(database.identity.pid, signal.SIGKILL)
    until(lambda: database.poll() or not database.runs)
    assert works_in(backend, server.data, "postgres")
    start_again(settings, secrets, server, database)
    assert not works_in(backend, server.data, "postgres")
    connection.close()


@pytest.mark.parametrize("leftover", ["data.new", "data"])
def test_a_half_made_cluster_is_made_anew(
    settings: Settings, secrets: Secrets, leftover: str
) -> None:
    half = Layout(settings.state_dir).postgres / leftover
    (half / "base").mkdir(parents=True)
    (half / "base" / "1").write_text("torn")
    server = PostgresServer(settings)
    server.initialise(secrets, lambda _: None)
    with running(settings, server.component()):
        until(lambda: ask_postgres(settings, secrets) is None)


def test_a_whole_cluster_is_never_made_again(
    settings: Settings, secrets: Secrets, server: PostgresServer
) -> None:
    said: list[str] = []
    before = (server.data / "global" / "pg_control").read_bytes()
    PostgresServer(settings).initialise(secrets, said.append)
    assert said == []
    assert (server.data / "global" / "pg_control").read_bytes() == before


def test_lost_passwords_are_said_before_anything_is_tried(
    settings: Settings, server: PostgresServer
) -> None:
    server.refuse_without_passwords()
    Layout(settings.state_dir).secrets.unlink()
    with pytest.raises(StackError, match=r"secrets\.json is gone"):
        server.refuse_without_passwords()


def test_nobody_gets_in_without_the_password(
    settings: Settings, secrets: Secrets, database: Child
) -> None:
    port = settings.overall.ports.postgres
    for password in ("", "postgres"):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(
                host="127.0.0.1", port=port, user="postgres", password=password, dbname="postgres"
            )
    assert database.identity
    inodes = {str(link.readlink()) for link in Path(f"/proc/{database.identity.pid}/fd").iterdir()}
    unix = {
        f"socket:[{line.split()[6]}]"
        for line in Path("/proc/net/unix").read_text().splitlines()[1:]
        if line.split()[3] == "00010000"  # listening
    }
    assert not inodes & unix


def test_the_server_does_not_run_as_root_and_nothing_changes_hands(
    settings: Settings, server: PostgresServer, database: Child
) -> None:
    assert database.identity
    assert server.data.stat().st_uid == os.geteuid()
    status = Path(f"/proc/{database.identity.pid}/status").read_text()
    assert "postgres" in status
    if os.geteuid() == 0:
        inside, outside, _ = Path(f"/proc/{database.identity.pid}/uid_map").read_text().split()
        assert inside != "0"
        assert outside == "0"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user")
def test_without_user_namespaces_it_runs_under_an_unprivileged_uid(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    import tempfile

    from include.stack.secrets import ensure_secrets
    from tests.private_stack import private_settings

    programs = tmp_path_factory.mktemp("bin")
    for name in ("setpriv", "sh"):
        found = shutil.which(name)
        assert found
        (programs / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(programs))
    # Below pytest's own directories nobody but root may look.
    with tempfile.TemporaryDirectory() as home:
        Path(home).chmod(0o755)
        settings = private_settings(Path(home))
        secrets = ensure_secrets(settings, people=[])
        server = PostgresServer(settings)
        server.initialise(secrets, lambda _: None)
        assert server.data.stat().st_uid == 65534
        with running(settings, server.component()) as child:
            until(lambda: ask_postgres(settings, secrets) is None)
            assert child.identity
            assert Path(f"/proc/{child.identity.pid}").stat().st_uid == 65534


def test_databases_and_roles_are_made_once_and_kept(
    settings: Settings, secrets: Secrets, database: Child
) -> None:
    ensure_databases(settings, secrets)
    port = settings.overall.ports.postgres
    with connect(secrets, "hims_api", "hims_api", port) as connection:
        connection.execute("CREATE TABLE patient (id int)")
    ensure_databases(settings, secrets)
    with connect(secrets, "hims_api", "hims_api", port) as connection:
        assert connection.execute("SELECT count(*) FROM patient").fetchone() == (0,)


@pytest.mark.parametrize(
    ("role", "database_name", "allowed"),
    [
        ("airflow", "airflow", True),
        ("ledger_owner", "ledger", True),
        ("ledger_app", "ledger", True),
        ("hims_api", "hims_api", True),
        ("hims_api", "hims_api_staging", True),
        ("backup_operator", "hims_api", True),
        ("backup_operator", "postgres", True),
        ("backup_operator", "ledger", False),
        ("ledger_app", "airflow", False),
        ("ledger_app", "hims_api", False),
        ("hims_api", "ledger", False),
        ("hims_api", "airflow", False),
        ("airflow", "ledger", False),
    ],
)
def test_each_role_reaches_its_own_databases_only(
    databases: tuple[Settings, Secrets], role: str, database_name: str, allowed: bool
) -> None:
    settings, secrets = databases
    port = settings.overall.ports.postgres
    if allowed:
        connect(secrets, role, database_name, port).close()
    else:
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            connect(secrets, role, database_name, port)


def test_the_backup_role_reads_everything_and_changes_nothing(
    databases: tuple[Settings, Secrets],
) -> None:
    settings, secrets = databases
    port = settings.overall.ports.postgres
    with connect(secrets, "hims_api", "hims_api", port) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS visit AS SELECT 1 AS id")
    with connect(secrets, "backup_operator", "hims_api", port) as connection:
        assert connection.execute("SELECT id FROM visit").fetchone() == (1,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM visit")
    with connect(secrets, "backup_operator", "postgres", port) as connection:
        connection.execute("CREATE DATABASE scratch")
        connection.execute("DROP DATABASE scratch")


def test_no_password_reaches_the_server_log(
    settings: Settings, secrets: Secrets, database: Child
) -> None:
    port = settings.overall.ports.postgres
    with connect(secrets, "postgres", "postgres", port) as connection:
        connection.execute("ALTER SYSTEM SET log_statement = 'all'")
        connection.execute("SELECT pg_reload_conf()")
    until(lambda: _shows(settings, secrets, "all"))
    ensure_databases(settings, secrets)
    log = Layout(settings.state_dir).log("postgres").read_text()
    assert "CREATE ROLE" in log
    assert not [word for word in secrets.passwords.values() if word in log]


def _shows(settings: Settings, secrets: Secrets, value: str) -> bool:
    port = settings.overall.ports.postgres
    with connect(secrets, "postgres", "postgres", port) as connection:
        return connection.execute("SHOW log_statement").fetchone() == (value,)


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, Secrets]]:
    from include.stack.secrets import ensure_secrets
    from tests.private_stack import private_settings

    settings = private_settings(tmp_path_factory.mktemp("stack"))
    secrets = ensure_secrets(settings, people=[])
    server = PostgresServer(settings)
    server.initialise(secrets, lambda _: None)
    with running(settings, server.component()):
        until(lambda: ask_postgres(settings, secrets) is None)
        ensure_databases(settings, secrets)
        yield settings, secrets
