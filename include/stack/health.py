"""Asks each component whether it really serves; every answer is None or what is wrong."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

import psycopg

from include.deploy.targets.haproxy import HaproxyAdmin
from include.errors import TargetError
from include.settings import Settings
from include.stack import airflow as airflow_parts
from include.stack.databases import connect
from include.stack.ports import HOST
from include.stack.secrets import SUPERUSER, Secrets


def ask_postgres(settings: Settings, secrets: Secrets) -> str | None:
    """Return None when PostgreSQL answers a query."""
    try:
        port = settings.overall.ports.postgres
        with connect(secrets, SUPERUSER, "postgres", port) as connection:
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        return " ".join(str(error).split())
    return None


def ask_haproxy(settings: Settings) -> str | None:
    """Return None when HAProxy's admin port answers."""
    try:
        reply = HaproxyAdmin(settings.overall.ports.haproxy_admin, timeout=2).ask("show info")
    except TargetError as error:
        return str(error)
    return None if "Version:" in reply else "the admin port gives no sensible answer"


def ask_airflow(address: str, started: Mapping[str, float]) -> dict[str, str | None]:
    """Return what is wrong with each of Airflow's parts, by component name.

    `started` gives the instants (seconds since the epoch) at which the parts were started: a
    heartbeat from before is the word of a process that is gone.
    """
    parts = airflow_parts.HEARTBEATS
    try:
        document = _get_json(f"{address}/api/v2/monitor/health", timeout=8)
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = f"the API does not answer yet ({error})"
        silent = dict.fromkeys(parts, "unknown while the API server does not answer")
        return {airflow_parts.API_SERVER: reason, **silent}
    answers: dict[str, str | None] = {airflow_parts.API_SERVER: None}
    for component, key in parts.items():
        answers[component] = _heartbeat_problem(document, key, started.get(component, 0.0))
    return answers


def _heartbeat_problem(document: object, key: str, started: float) -> str | None:
    entry = document.get(key) if isinstance(document, dict) else None
    if not isinstance(entry, dict):
        return "Airflow says nothing about it"
    last = entry.get(f"latest_{key}_heartbeat")
    try:
        beat = datetime.fromisoformat(str(last).replace("Z", "+00:00")) if last else None
    except ValueError:
        beat = None
    if beat is None:
        return "no heartbeat yet"
    if beat.astimezone(UTC).timestamp() < started:
        return "no heartbeat since it was started"
    return None if entry.get("status") == "healthy" else f"last heartbeat at {last}"


def ask_slot(port: int, path: str) -> str | None:
    """Return None when a slot answers its readiness path with 200."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"does not answer on port {port} ({error})"
    finally:
        connection.close()
    return None if status == 200 else f"{path} answers {status}"


def _get_json(url: str, *, timeout: float) -> object:
    # Straight to loopback: a proxy in the caller's environment has no say here.
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or HOST, parts.port, timeout=timeout)
    try:
        connection.request("GET", parts.path, headers={"Accept": "application/json"})
        response = connection.getresponse()
        body = response.read(1_000_000)
        if response.status != 200:
            message = f"{parts.path} answers {response.status}"
            raise ValueError(message)
        return json.loads(body)
    finally:
        connection.close()
