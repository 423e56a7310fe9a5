"""Airflow's environment: ours by default, the caller's where it may be, never another database."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest
import yaml

from include.settings import ROOT, Settings, load_settings
from include.stack.airflow import Airflow
from include.stack.component import Component
from include.stack.layout import Layout
from include.stack.secrets import ensure_secrets


@pytest.fixture
def airflow(settings: Settings) -> Airflow:
    return Airflow(settings, ensure_secrets(settings, people=["tina"]))


def test_everything_is_on_loopback_and_on_the_configured_ports(
    airflow: Airflow, settings: Settings
) -> None:
    environment = airflow.environment({})
    ports = settings.overall.ports
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert environment["AIRFLOW__API__PORT"] == str(ports.airflow)
    assert urlsplit(environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]).port == ports.airflow
    assert environment["AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT"] == str(ports.trigger_logs)
    database = urlsplit(environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    assert (database.hostname, database.port) == ("127.0.0.1", ports.postgres)


def test_a_person_may_override_a_setting_and_add_a_connection(airflow: Airflow) -> None:
    caller = {
        "AIRFLOW__CORE__PARALLELISM": "9",
        "AIRFLOW_CONN_SLACK_DEFAULT": "slack://:x@",
        "AIRFLOW_CONN_RELEASE_CONTROL_DB": "postgresql://elsewhere/ledger",
    }
    environment = airflow.environment(caller)
    assert {key: environment[key] for key in caller} == caller


@pytest.mark.parametrize(
    "key",
    [
        "AIRFLOW_HOME",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_SECRET",
        "AIRFLOW__CORE__FERNET_KEY",
        "AIRFLOW__API__PORT",
        "PYTHONPATH",
        "PYTHONDONTWRITEBYTECODE",
    ],
)
def test_nothing_of_another_airflow_leaks_in(airflow: Airflow, key: str) -> None:
    assert airflow.environment({key: "elsewhere"}).get(key) != "elsewhere"


def test_databases_are_given_as_connections(airflow: Airflow, settings: Settings) -> None:
    environment = airflow.environment({})
    expected = {
        "RELEASE_CONTROL": ("ledger_app", "ledger"),
        "BACKUP": ("backup_operator", "postgres"),
        "HIMS_API": ("hims_api", "hims_api"),
        "HIMS_API_STAGING": ("hims_api", "hims_api_staging"),
    }
    for name, (role, database) in expected.items():
        connection = json.loads(environment[f"AIRFLOW_CONN_{name}_DB"])
        assert connection["conn_type"] == "postgres"
        assert (connection["login"], connection["schema"]) == (role, database)
        assert connection["port"] == settings.overall.ports.postgres
        assert connection["password"] == airflow.secrets.password(role)


def test_loopback_never_goes_through_a_proxy(airflow: Airflow) -> None:
    environment = airflow.environment({"HTTP_PROXY": "http://proxy", "NO_PROXY": "example.org"})
    assert environment["NO_PROXY"].split(",") == ["example.org", "127.0.0.1", "localhost"]


def test_no_secret_is_on_a_command_line(airflow: Airflow) -> None:
    secrets = airflow.secrets
    hidden = {*secrets.passwords.values(), secrets.jwt_secret, secrets.fernet_key}
    for component in airflow.components():
        assert not any(word in part for part in component.argv for word in hidden)


def test_children_are_marked_and_find_the_code(airflow: Airflow, settings: Settings) -> None:
    environment = airflow.environment({})
    assert environment["HIMS_STACK"] == str(Layout(settings.state_dir).root)
    assert environment["PYTHONPATH"].split(":") == [str(ROOT), str(ROOT / "plugins")]
    assert environment["HIMS_CONFIG"] == str(settings.directory)


def test_an_address_below_a_path_is_kept(settings: Settings) -> None:
    path = settings.directory / "global.yaml"
    document = yaml.safe_load(path.read_text()) | {"ui_url": "https://ops.example.org/releases/"}
    path.write_text(yaml.safe_dump(document))
    changed = load_settings(settings.directory)
    airflow = Airflow(changed, ensure_secrets(changed, people=[]))
    port = changed.overall.ports.airflow
    assert airflow.address == f"http://127.0.0.1:{port}/releases"
    environment = airflow.environment({})
    assert environment["AIRFLOW__API__BASE_URL"] == "https://ops.example.org/releases"


def test_the_shell_it_is_started_from_makes_it_no_other_program(airflow: Airflow) -> None:
    def one(**caller: str) -> str:
        (first, *_) = airflow.components()
        component = Component(
            name=first.name,
            argv=first.argv,
            environment=airflow.environment(caller),
            directory=first.directory,
        )
        return component.fingerprint

    assert one(PWD="/a", TERM="xterm") == one(PWD="/b")
    assert one(AIRFLOW__CORE__PARALLELISM="9") != one()
