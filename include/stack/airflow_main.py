"""Runs Airflow's command line with its log servers on loopback.

`airflow scheduler` and `airflow triggerer` serve the logs of running tasks through uvicorn on all
addresses of the machine (`host=""`), and no setting says otherwise. Nothing else in Airflow asks
uvicorn for all addresses by an empty name, so that is what is taken as loopback here.
"""

from __future__ import annotations

import runpy
from typing import Any

import uvicorn

from include.stack.ports import HOST

_run = uvicorn.run


def _run_on_loopback(app: Any, **options: Any) -> None:
    if not options.get("host"):
        options["host"] = HOST
    _run(app, **options)


# At import, not only as a program: a spawned child imports this module anew.
uvicorn.run = _run_on_loopback


if __name__ == "__main__":
    runpy.run_module("airflow", run_name="__main__", alter_sys=True)
