"""What the databases need before Airflow starts: roles, databases, and both schemas at their head.

Runs as a program of its own, started by the supervisor once PostgreSQL answers; safe to run again.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

from include.durable import read_json, write_json
from include.errors import ReleaseControlError, StackError
from include.settings import Settings, load_settings
from include.stack.airflow import Airflow
from include.stack.databases import connect, ensure_databases
from include.stack.layout import Layout
from include.stack.secrets import Secrets, load_secrets


def prepare(settings: Settings) -> None:
    """Bring everything that lies in PostgreSQL up to date. Raises ReleaseControlError."""
    secrets = load_secrets(settings.state_dir)
    if secrets is None:
        raise StackError("there are no secrets yet; `./hims up` makes them")
    _say("roles and databases")
    ensure_databases(settings, secrets)
    migrating = _start_airflow_migration(settings, secrets)
    try:
        _say("the ledger's schema")
        _upgrade_ledger(settings, secrets)
    finally:
        status = migrating.wait() if migrating else 0
    if status:
        raise StackError(
            f"`airflow db migrate` failed with exit status {status}; its output is above"
        )
    if migrating:
        document = {"airflow": version("apache-airflow"), "revision": _revision(settings, secrets)}
        write_json(Layout(settings.state_dir).airflow / "migrated.json", document)


def _upgrade_ledger(settings: Settings, secrets: Secrets) -> None:
    from include.ledger.migrations import upgrade

    port = settings.overall.ports.postgres
    upgrade(secrets.database_url("ledger_owner", "ledger", port), app_role="ledger_app")


def _start_airflow_migration(
    settings: Settings, secrets: Secrets
) -> subprocess.Popen[bytes] | None:
    """Start `airflow db migrate`, unless this version has migrated this database before.

    Asking Airflow itself costs six seconds and more.
    """
    done = read_json(Layout(settings.state_dir).airflow / "migrated.json")
    revision = _revision(settings, secrets)
    if revision and done == {"airflow": version("apache-airflow"), "revision": revision}:
        return None
    _say("Airflow's schema")
    airflow = Airflow(settings, secrets)
    return subprocess.Popen(
        [*airflow.argv(), "db", "migrate"],
        env=airflow.environment(),
        cwd=Layout(settings.state_dir).airflow,
        stdin=subprocess.DEVNULL,
    )


def _revision(settings: Settings, secrets: Secrets) -> str | None:
    port = settings.overall.ports.postgres
    with connect(secrets, "airflow", "airflow", port) as connection:
        found = connection.execute("SELECT to_regclass('public.alembic_version')").fetchone()
        if found is None or found[0] is None:
            return None
        query = "SELECT string_agg(version_num, ',') FROM alembic_version"
        row = connection.execute(query).fetchone()
    return str(row[0]) if row and row[0] else None


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """Prepare, and return the exit status; what went wrong is on stderr."""
    try:
        prepare(load_settings())
    except ReleaseControlError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
