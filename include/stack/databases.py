"""Roles and databases on the stack's PostgreSQL; calling it again changes nothing.

database         owner          others who may connect
airflow          airflow        -
ledger           ledger_owner   ledger_app (what it may do there, the ledger's migrations say)
of each service  its own role   backup_operator, who reads everything and creates databases
"""

from __future__ import annotations

from collections.abc import Iterable

import psycopg
from psycopg import sql

from include.settings import Settings
from include.stack.ports import HOST
from include.stack.secrets import SUPERUSER, Secrets, local_databases

BACKUP_ROLE = "backup_operator"


Connection = psycopg.Connection[tuple[object, ...]]


def connect(
    secrets: Secrets, role: str, database: str, port: int, *, timeout: int = 3
) -> Connection:
    """Return an autocommitting connection; raises psycopg.OperationalError when there is none."""
    return psycopg.connect(
        host=HOST,
        port=port,
        user=role,
        password=secrets.password(role),
        dbname=database,
        connect_timeout=timeout,
        application_name="hims",
        autocommit=True,
    )


def ensure_databases(settings: Settings, secrets: Secrets) -> None:
    """Make the roles, their passwords, the databases and who may connect to them."""
    services = local_databases(settings)
    owners = {"airflow": "airflow", "ledger": "ledger_owner", **services}
    guests = {"ledger": ["ledger_app"], **{database: [BACKUP_ROLE] for database in services}}
    port = settings.overall.ports.postgres
    with connect(secrets, SUPERUSER, "postgres", port) as connection:
        for role in sorted({*owners.values(), "ledger_app", BACKUP_ROLE}):
            _ensure_role(connection, role, secrets.password(role))
        backup = sql.Identifier(BACKUP_ROLE)
        connection.execute(sql.SQL("ALTER ROLE {} CREATEDB").format(backup))
        connection.execute(sql.SQL("GRANT pg_read_all_data TO {}").format(backup))
        for database, owner in owners.items():
            _ensure_database(connection, database, owner, guests.get(database, []))


def ensure_demo_ledger(settings: Settings, secrets: Secrets, *, again: bool) -> None:
    """Make the database `ledger_demo` beside the ledger; `again` throws away what it held."""
    port = settings.overall.ports.postgres
    with connect(secrets, SUPERUSER, "postgres", port) as connection:
        if again:
            connection.execute("DROP DATABASE IF EXISTS ledger_demo WITH (FORCE)")
        _ensure_database(connection, "ledger_demo", "ledger_owner", ["ledger_app"])


def _ensure_role(connection: Connection, role: str, password: str) -> None:
    known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    # Hashed here, so that the password itself never reaches the server or its log.
    hashed = connection.pgconn.encrypt_password(
        password.encode(), role.encode(), b"scram-sha-256"
    ).decode()
    statement = sql.SQL("{} ROLE {} LOGIN NOSUPERUSER NOCREATEROLE PASSWORD {}")
    verb = sql.SQL("ALTER" if known else "CREATE")
    connection.execute(statement.format(verb, sql.Identifier(role), sql.Literal(hashed)))


def _ensure_database(
    connection: Connection, database: str, owner: str, guests: Iterable[str]
) -> None:
    name = sql.Identifier(database)
    known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database])
    if not known.fetchone():
        create = sql.SQL("CREATE DATABASE {} OWNER {}")
        connection.execute(create.format(name, sql.Identifier(owner)))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    for guest in guests:
        grant = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
        connection.execute(grant.format(name, sql.Identifier(guest)))
