"""Where the ledger is, for programs outside Airflow: the shell's commands on this machine."""

from __future__ import annotations

import os

from include.errors import LedgerError
from include.ledger.ledger import Ledger
from include.settings import Settings


def open_ledger(settings: Settings, *, demo: bool = False, keep: int = 0) -> Ledger:
    """Return the ledger of $AIRFLOW_CONN_RELEASE_CONTROL_DB, else the one that `up` made here.

    With `demo` it is the made-up one of `./hims demo-data` on this machine, wherever the other is.
    `keep` is how many connections stay open.
    Raises LedgerError when there is neither.
    """
    url = os.environ.get("AIRFLOW_CONN_RELEASE_CONTROL_DB")
    if url and "://" in url and not demo:
        return Ledger(url.replace("postgres://", "postgresql://", 1), keep=keep)
    from include.stack.secrets import load_secrets

    secrets = load_secrets(settings.state_dir)
    if secrets is None:
        raise LedgerError(
            "there is no ledger on this machine yet: run `./hims up`, or set "
            "AIRFLOW_CONN_RELEASE_CONTROL_DB to the URL of one"
        )
    return Ledger(
        secrets.database_url(
            "ledger_app", "ledger_demo" if demo else "ledger", settings.overall.ports.postgres
        ),
        keep=keep,
    )
