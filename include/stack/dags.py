"""Whether Airflow has read our Dags: an Airflow that is up but knows none is of no use yet."""

from __future__ import annotations

import re
import time
from pathlib import Path

import psycopg

from include.errors import StackError
from include.settings import ROOT, Settings
from include.stack.secrets import load_secrets

# An import error may be of a file that has been mended since Airflow last looked, in seconds.
MENDED_WITHIN = 20.0


def wait_for_dags(settings: Settings, *, timeout: float) -> None:
    """Return once every Dag of dags/ can be triggered.

    Raises StackError with the first import error, and when `timeout` seconds were not enough.
    """
    expected = declared_dags()
    secrets = load_secrets(settings.state_dir)
    if secrets is None:
        raise StackError("there are no secrets yet; run `./hims up`")
    url = secrets.database_url("airflow", "airflow", settings.overall.ports.postgres)
    begun = time.monotonic()
    deadline = begun + timeout
    while True:
        known, broken = _known(url)
        if broken and time.monotonic() - begun > MENDED_WITHIN:
            name, trace = next(iter(broken.items()))
            raise StackError(f"dags/{Path(name).name} cannot be loaded: {trace.splitlines()[-1]}")
        if expected <= known and not broken:
            return
        if time.monotonic() > deadline:
            missing = ", ".join(sorted(expected - known))
            raise StackError(
                f"Airflow has not read these Dags after {timeout:.0f} s: {missing}; see "
                "`./hims logs airflow-dag-processor`"
            )
        time.sleep(0.3)


def declared_dags() -> set[str]:
    """Return the ids of the Dags in dags/: a file's name, or those that `report_dag` is given."""
    ids: set[str] = set()
    for path in (ROOT / "dags").glob("*.py"):
        made = re.findall(r'report_dag\("(\w+)"', path.read_text(encoding="utf-8"))
        ids.update(made or [path.stem])
    return ids


def _known(url: str) -> tuple[set[str], dict[str, str]]:
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            known = connection.execute("SELECT dag_id FROM serialized_dag").fetchall()
            broken = connection.execute("SELECT filename, stacktrace FROM import_error").fetchall()
    except psycopg.Error as error:
        raise StackError(f"Airflow's database does not answer: {error}") from error
    return {row[0] for row in known}, {str(row[0]): str(row[1]) for row in broken}
