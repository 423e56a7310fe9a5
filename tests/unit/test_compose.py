"""docker-compose.yaml, which no container engine reads here, is checked all the same."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from include.settings import load_settings
from include.stack.airflow import Airflow
from include.stack.secrets import Secrets
from tests.unit.compose_file import ROOT, complaints, load, plain

COMPOSE = ROOT / "docker-compose.yaml"
EXAMPLE = ROOT / ".env.example"


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """The environment that all Airflow containers share, as Compose makes it."""
    common = load(COMPOSE.read_text())["x-airflow-common"]["environment"]
    return {key: plain(str(value)) for key, value in common.items()}


def test_there_is_nothing_to_complain_about() -> None:
    assert complaints(COMPOSE.read_text(), EXAMPLE.read_text()) == []


def test_the_schema_checker_itself_accepts_the_file() -> None:
    command = [sys.executable, "-m", "check_jsonschema"]
    schema = ["--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run([*command, *schema], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


REQUIRED = ":?run make env, see .env.example}"

# What is done to the file, and what must be said then.
BROKEN = {
    "a misspelt key": ("    image: redis", "    imaeg: redis", r"schema: .*imaeg"),
    "an anchor that is not there": ("*airflow-ready", "*airflow-redy", "undefined alias"),
    "a key that stands twice": (
        "    command: scheduler",
        "    command: scheduler\n    command: triggerer",
        '"command" stands twice',
    ),
    "an unknown service to wait for": (
        "      airflow-apiserver:\n        condition: service_healthy",
        "      airflow-webserver:\n        condition: service_healthy",
        'airflow-worker: depends on "airflow-webserver", which is no service',
    ),
    "waiting for health that nobody tells": (
        "      airflow-apiserver:\n        condition: service_healthy",
        "      ledger-migrate:\n        condition: service_healthy",
        "airflow-worker: waits for ledger-migrate to be healthy, which has no health check",
    ),
    "waiting for an end that never comes": (
        "    command: []\n    environment:",
        "    command: []\n    restart: always\n    environment:",
        "waits for ledger-migrate to end, which is restarted",
    ),
    "an undeclared volume": (
        "- postgres-db-volume:/var",
        "- postgres-volume:/var",
        '"postgres-volume" is used, but not declared under volumes',
    ),
    "a volume that nobody uses": (
        "  work-volume:\n",
        "  work-volume:\n  spare-volume:\n",
        '"spare-volume" is declared under volumes, but not used',
    ),
    "an undeclared network": (
        "    command: scheduler",
        "    command: scheduler\n    networks: [backend]",
        '"backend" is used, but not declared under networks',
    ),
    "extending what is not there": (
        "    command: scheduler",
        "    command: scheduler\n    extends: {service: airflow-base}",
        'extends "airflow-base", which is no service',
    ),
    "an undeclared secret": (
        "    command: scheduler",
        "    command: scheduler\n    secrets: [signing_key]",
        '"signing_key" is used, but not declared under secrets',
    ),
    "a mount from nowhere": (
        "/include:/opt",
        "/includes:/opt",
        "mounts ./includes, which does not",
    ),
    "a writable work tree": (
        "/opt/airflow/config:ro",
        "/opt/airflow/config",
        r"may write into \./config",
    ),
    "no dag-processor": (
        "command: dag-processor",
        "command: version",
        'runs "airflow dag-processor"',
    ),
    "no triggerer by default": (
        "    command: triggerer",
        "    command: triggerer\n    profiles: [waiting]",
        'no service runs "airflow triggerer"',
    ),
    "a component without the common environment": (
        "      <<: *airflow-common-env\n      # Required",
        "      # Required",
        "airflow-worker: does not have Airflow's common environment",
    ),
    "the database on a port of the host": (
        "    image: postgres",
        '    ports: ["127.0.0.1:5432:5432"]\n    image: postgres',
        "postgres: publishes .*; only the api-server may",
    ),
    "the api-server on all addresses": (
        '"127.0.0.1:28080:8080"',
        '"28080:8080"',
        "publishes 28080:8080 on all addresses",
    ),
    "the host's network": (
        "    command: scheduler",
        "    command: scheduler\n    network_mode: host",
        "airflow-scheduler: is on the host's network",
    ),
    "an image that moves": (
        "postgres:18.6-trixie",
        "postgres:latest",
        "postgres: the image .* not pinned",
    ),
    "an image without a tag": (
        "redis:7.2.11-bookworm",
        "redis",
        "redis: the image redis is not pinned",
    ),
    "a worker that stays dead": (
        "    stop_grace_period: 2m\n    restart: always",
        "    stop_grace_period: 2m",
        "airflow-worker: is not restarted when it dies",
    ),
    "a password in the file": (
        "POSTGRES_PASSWORD: ${POSTGRES_PASSWORD" + REQUIRED,
        "POSTGRES_PASSWORD: airflow",
        "postgres: POSTGRES_PASSWORD is not taken from a required variable",
    ),
    "a password with a default": (
        "POSTGRES_PASSWORD: ${POSTGRES_PASSWORD" + REQUIRED,
        "POSTGRES_PASSWORD: ${POSTGRES_PASSWORD:-airflow}",
        r"\$POSTGRES_PASSWORD: a secret has a default",
    ),
    "a password in a URL": (
        "psycopg2://airflow:${AIRFLOW_DB_PASSWORD" + REQUIRED,
        "psycopg2://airflow:airflow",
        "a URL holds the password airflow",
    ),
    "the ledger's owner in a worker": (
        '      DUMB_INIT_SETSID: "0"',
        "      LEDGER_URL: postgresql://o:${LEDGER_OWNER_PASSWORD" + REQUIRED + "@postgres/ledger",
        "airflow-worker: LEDGER_URL gives it the ledger's owner",
    ),
    "a requirement without a word of help": (
        "${FLOWER_PASSWORD" + REQUIRED,
        "${FLOWER_PASSWORD:?}",
        r"\$FLOWER_PASSWORD: is required without saying how",
    ),
    "a variable that nobody knows": (
        "${FLOWER_PASSWORD" + REQUIRED,
        "${FLOWER_PASS:?run make env}",
        r"\$FLOWER_PASS: is required, but \.env\.example does not have it",
    ),
    "a variable that may be empty": (
        "AIRFLOW__CORE__LOAD_EXAMPLES: 'false'",
        "AIRFLOW__CORE__LOAD_EXAMPLES: ${EXAMPLES}",
        r"\$EXAMPLES: has neither a default nor a value",
    ),
    "a variable of the container taken for Compose's": (
        "$${HOSTNAME}",
        "${HOSTNAME}",
        r"\$HOSTNAME: has neither a default nor a value",
    ),
    "a default that .env.example does not show": (
        '"${AIRFLOW_UID:-50000}:0"',
        '"${AIRFLOW_UID:-1000}:0"',
        r"\$AIRFLOW_UID: \.env\.example does not show its default, \"1000\"",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused_with_the_reason(name: str) -> None:
    old, new, expected = BROKEN[name]
    text = COMPOSE.read_text()
    assert old in text, "the example no longer fits the file"
    found = complaints(text.replace(old, new), EXAMPLE.read_text())
    assert any(re.search(expected, one) for one in found), found


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("REDIS_PASSWORD=\n", "", "REDIS_PASSWORD: is required, but .env.example does not have it"),
        (
            "REDIS_PASSWORD=\n",
            "REDIS_PASSWORD=secret\n",
            "REDIS_PASSWORD: .env.example holds a secret",
        ),
        (
            "REDIS_PASSWORD=\n",
            "REDIS_PASSWORD=\nSPARE=\n",
            "SPARE: is in .env.example, but not used",
        ),
    ],
)
def test_a_wrong_env_example_is_refused(old: str, new: str, expected: str) -> None:
    text = EXAMPLE.read_text()
    assert old in text
    found = complaints(COMPOSE.read_text(), text.replace(old, new))
    assert any(expected in one for one in found), found


# Settings that containers and the local stack both have, and that differ for a reason.
DIFFERENT = {
    "AIRFLOW__CORE__EXECUTOR": "workers are containers of their own",
    "AIRFLOW__CORE__FERNET_KEY": "a secret",
    "AIRFLOW__API_AUTH__JWT_SECRET": "a secret",
    "AIRFLOW__API__SECRET_KEY": "a secret",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "another server",
    "AIRFLOW_CONN_RELEASE_CONTROL_DB": "another server",
    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "another host name",
    "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "asked by the health check over HTTP",
    "PYTHONPATH": "another root; see below",
}


def local_environment() -> dict[str, str]:
    settings = load_settings()
    secrets = Secrets(
        passwords=dict.fromkeys(("airflow", "ledger_app", "ledger_owner", "backup_operator"), "x")
        | _service_passwords(settings),
        jwt_secret="x",
        api_secret_key="x",
        fernet_key="x",
    )
    return Airflow(settings, secrets).environment({})


def _service_passwords(settings: Any) -> dict[str, str]:
    from include.stack.secrets import local_databases

    return dict.fromkeys(local_databases(settings).values(), "x")


def test_settings_agree_with_the_local_stack(environment: dict[str, str]) -> None:
    local = local_environment()
    shared = environment.keys() & local.keys()
    assert DIFFERENT.keys() <= shared
    assert len(shared) > len(DIFFERENT) + 8, "the two have hardly anything in common"
    apart = {
        key: (environment[key], local[key])
        # Each signs in to its own API server, the local one once it has made sign-ins.
        for key in shared - DIFFERENT.keys() - {"AIRFLOW_CONN_AIRFLOW_API"}
        if environment[key].lower() != local[key].lower()
    }
    assert apart == {}


def test_the_address_in_links_is_the_published_one(environment: dict[str, str]) -> None:
    settings = load_settings()
    assert environment["AIRFLOW__API__BASE_URL"] == settings.ui_url
    ports = load(COMPOSE.read_text())["services"]["airflow-apiserver"]["ports"]
    assert ports == [f"127.0.0.1:{settings.overall.ports.airflow}:8080"]


def test_the_auth_manager_is_found_on_the_python_path(environment: dict[str, str]) -> None:
    module, name = environment["AIRFLOW__CORE__AUTH_MANAGER"].rsplit(".", 1)
    roots = [
        ROOT / Path(path).relative_to("/opt/airflow")
        for path in environment["PYTHONPATH"].split(":")
    ]
    assert roots == [ROOT, ROOT / "plugins"]
    files = [root / f"{module.replace('.', '/')}.py" for root in roots]
    source = next(file for file in files if file.is_file())
    classes = [
        node.name for node in ast.parse(source.read_text()).body if isinstance(node, ast.ClassDef)
    ]
    assert name in classes


def test_programs_named_in_entry_points_are_in_the_image() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    for service in load(COMPOSE.read_text())["services"].values():
        entrypoint = service.get("entrypoint", [])
        for word in [entrypoint] if isinstance(entrypoint, str) else entrypoint:
            if word.startswith("/opt/airflow/"):
                relative = word.removeprefix("/opt/airflow/")
                assert (ROOT / relative).is_file()
                assert relative in dockerfile


def test_passwords_of_people_are_mounted_into_the_api_server_alone() -> None:
    services = load(COMPOSE.read_text())["services"]
    holders = {
        name
        for name, service in services.items()
        if any("sign-ins-volume" in volume for volume in service.get("volumes", []))
    }
    assert holders == {"airflow-apiserver", "airflow-init"}
