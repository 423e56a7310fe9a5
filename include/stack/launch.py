"""Starting and stopping the stack from a command: spawn the supervisor, watch, tell people."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from include.durable import locked
from include.errors import StackError
from include.people import load_people
from include.settings import ROOT, Settings
from include.stack.airflow import API_SERVER, Airflow
from include.stack.environment import marked
from include.stack.layout import Layout
from include.stack.logs import open_log, rotate, tail
from include.stack.ports import port_claims
from include.stack.processes import Identity, alive, belonging, identify, send, wait_gone
from include.stack.record import Entry, StackRecord, read_record, write_record
from include.stack.secrets import load_secrets, local_databases
from include.stack.shutdown import stop_everything

_GIVE_UP_AFTER = 3
_TITLES = {
    "postgres": "PostgreSQL",
    "haproxy": "HAProxy",
    "prepare": "databases and schemas",
    "airflow-api-server": "Airflow API and UI",
    "airflow-scheduler": "Airflow scheduler",
    "airflow-dag-processor": "Airflow Dag processor",
    "airflow-triggerer": "Airflow triggerer",
}


def start(settings: Settings, *, timeout: float, say: Callable[[str], None]) -> None:
    """Have everything running and healthy when this returns; does nothing to what already is.

    Raises StackError when a component does not come up, with the end of its log, and ConfigError
    when the configuration can't be used. Other calls of `start` may run at the same time.
    """
    layout = Layout(settings.state_dir)
    _check_configuration(settings)
    _check_user()
    _check_state_dir(layout)
    begun = time.monotonic()
    with locked(layout.up_lock, wait=90, what="starting or stopping the stack"):
        supervisor = _living_supervisor(layout)
        if supervisor is None:
            supervisor = _spawn(settings, layout)
        elif _has_changed(settings, layout):
            say(
                "  note: configuration or environment is not what the running stack was started "
                "with;\n  ./hims down and ./hims up apply it"
            )
    _watch(layout, supervisor, begun=begun, timeout=timeout, say=say)


def stop(settings: Settings, *, say: Callable[[str], None]) -> bool:
    """End everything that `start` has ever started here; return whether there was anything.

    Raises StackError when a process can't be ended.
    """
    layout = Layout(settings.state_dir)
    if not layout.root.is_dir():
        return False
    with locked(layout.up_lock, wait=90, what="starting or stopping the stack"):
        record = read_record(layout)
        data = layout.postgres / "data"
        everyone = belonging(layout.root, record.identities(), data_dir=data)
        if not everyone:
            return False
        if record.supervisor and record.supervised:
            say("stopping")
            send([record.supervisor], signal.SIGTERM)
            if wait_gone([record.supervisor], 100):
                say("the supervisor does not end by itself")
                send([record.supervisor], signal.SIGKILL)
                wait_gone([record.supervisor], 5)
        # Whoever is left was started by a supervisor that is gone.
        left = stop_everything(layout, record)
        write_record(layout, record.stopped())
        if left:
            pids = ", ".join(str(one.pid) for one in left)
            raise StackError(f"these processes can't be ended: {pids}")
    return True


def _check_configuration(settings: Settings) -> None:
    port_claims(settings)
    local_databases(settings)
    load_people(settings)


def _check_user() -> None:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise StackError(
            f"uid {os.geteuid()} has no entry in /etc/passwd; neither PostgreSQL nor Airflow "
            "starts without one. Add it, or run ./hims as another user"
        ) from None


def _check_state_dir(layout: Layout) -> None:
    try:
        layout.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StackError(f"{layout.root}: can't be made ({error.strerror})") from error
    owner = layout.root.stat().st_uid
    if owner != os.geteuid() and os.geteuid() != 0:
        raise StackError(
            f"{layout.root} belongs to uid {owner}: run ./hims as that user, or name another "
            "state_dir in global.yaml"
        )


def _living_supervisor(layout: Layout) -> Identity | None:
    record = read_record(layout)
    return record.supervisor if record.supervised and record.phase != "failed" else None


def _has_changed(settings: Settings, layout: Layout) -> bool:
    record = read_record(layout)
    secrets = load_secrets(layout.root)
    entry = record.entries.get(API_SERVER)
    if secrets is None or entry is None or not entry.fingerprint:
        return False
    wanted = next(one for one in Airflow(settings, secrets).components() if one.name == API_SERVER)
    return wanted.fingerprint != entry.fingerprint


def _spawn(settings: Settings, layout: Layout) -> Identity:
    log = layout.log("supervisor")
    rotate(log)
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment |= marked(layout.root)
    environment |= {"HIMS_CONFIG": str(settings.directory), "PYTHONPATH": str(ROOT)}
    output = open_log(log)
    try:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "include.stack.supervisor"],
            env=environment,
            cwd=layout.root,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    finally:
        os.close(output)
    identity = identify(daemon.pid)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        record = read_record(layout)
        if identity and record.supervisor == identity:
            return identity
        if daemon.poll() is not None:
            break
        time.sleep(0.05)
    raise StackError("the supervisor does not start" + _log_end(layout, "supervisor"))


def _watch(
    layout: Layout,
    supervisor: Identity,
    *,
    begun: float,
    timeout: float,
    say: Callable[[str], None],
) -> None:
    told: set[str] = set()
    while True:
        living = alive(supervisor)
        record = read_record(layout)
        if record.phase == "failed":
            raise StackError(record.failure)
        if not living:
            raise StackError(
                "the stack was stopped while it was starting"
                if record.phase in ("stopping", "stopped")
                else "the supervisor has died" + _log_end(layout, "supervisor")
            )
        # What stands there while the phase is "starting" was written by a former supervisor.
        if record.phase == "running":
            missing = _missing(record)
            if not told and not missing:
                say("  everything runs already")
                return
            for entry in record.entries.values():
                if entry.state in ("running", "done") and entry.name not in told:
                    told.add(entry.name)
                    seconds = time.monotonic() - begun
                    say(f"  {_TITLES.get(entry.name, entry.name):<30} ready  {seconds:5.1f} s")
            if not missing:
                return
            _refuse_broken(layout, missing)
        if time.monotonic() - begun > timeout:
            words = ", ".join(
                f"{one.name} ({one.message or one.state})" for one in _missing(record)
            )
            raise StackError(f"not everything is healthy after {timeout:.0f} s: {words}")
        time.sleep(0.1)


def _missing(record: StackRecord) -> list[Entry]:
    return [
        entry
        for entry in record.entries.values()
        if entry.required and entry.state not in ("running", "done")
    ]


def _refuse_broken(layout: Layout, missing: list[Entry]) -> None:
    for entry in missing:
        if entry.failures >= _GIVE_UP_AFTER:
            raise StackError(
                f"{entry.name} does not come up: {entry.message}{_log_end(layout, entry.name)}\n"
                "(it goes on being tried; `./hims down` ends that, and `./hims up` starts afresh)"
            )


def _log_end(layout: Layout, name: str) -> str:
    lines = tail(layout.log(name), 15)
    text = "\n".join(f"    {line}" for line in lines)
    return f"\n  the end of {layout.log(name)}:\n{text}" if lines else ""
