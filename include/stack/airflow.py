"""Airflow's four parts, with every setting by environment: no file of theirs has to be edited.

A person overrides any setting by exporting AIRFLOW__SECTION__KEY before `./hims up`, except those
that tie Airflow to this machine's own database, ports and sign-ins.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from include.people import load_people
from include.people.commands import generated_passwords
from include.settings import ROOT, Settings
from include.stack.component import Component
from include.stack.environment import marked
from include.stack.layout import Layout
from include.stack.ports import HOST
from include.stack.secrets import Secrets, local_databases

PARTS = {
    "airflow-api-server": ("api-server",),
    "airflow-scheduler": ("scheduler",),
    "airflow-dag-processor": ("dag-processor",),
    "airflow-triggerer": ("triggerer",),
}
API_SERVER = "airflow-api-server"

# What Airflow's health endpoint calls the parts that send heartbeats.
HEARTBEATS = {
    "airflow-scheduler": "scheduler",
    "airflow-dag-processor": "dag_processor",
    "airflow-triggerer": "triggerer",
}

# Variables of the caller that must not decide over this stack.
_IGNORED = (
    "AIRFLOW_HOME",
    "AIRFLOW_CONFIG",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
    "AIRFLOW__CORE__FERNET_KEY",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE",
    "AIRFLOW__API__HOST",
    "AIRFLOW__API__PORT",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "VIRTUAL_ENV",
)


@dataclass(frozen=True, slots=True)
class Airflow:
    """Airflow of one state directory."""

    settings: Settings
    secrets: Secrets

    @property
    def address(self) -> str:
        """Return the address under which this machine reaches Airflow."""
        path = urlsplit(self.settings.ui_url).path.rstrip("/")
        return f"http://{HOST}:{self.settings.overall.ports.airflow}{path}"

    def components(self) -> tuple[Component, ...]:
        """Return the four parts as programs to be supervised."""
        layout = Layout(self.settings.state_dir)
        environment = self.environment()
        ports = {API_SERVER: self.settings.overall.ports.airflow}
        return tuple(
            Component(
                name=name,
                argv=(*self.argv(), *words),
                environment=environment,
                directory=layout.airflow,
                port=ports.get(name),
                needs=("postgres", "prepare"),
            )
            for name, words in PARTS.items()
        )

    def argv(self) -> tuple[str, ...]:
        """Return the words that run Airflow's command line."""
        return (sys.executable, "-m", "include.stack.airflow_main")

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the whole environment of Airflow's processes; `base` is the caller's own."""
        source = dict(os.environ if base is None else base)
        kept = {key: value for key, value in source.items() if not _ignored(key)}
        ours = self._own() | self._connections()
        overridden = {key for key in ours if key in kept and key.startswith("AIRFLOW")}
        merged = kept | {key: value for key, value in ours.items() if key not in overridden}
        return _past_the_proxy(merged) | marked(Layout(self.settings.state_dir).root)

    def _own(self) -> dict[str, str]:
        settings, secrets = self.settings, self.secrets
        layout = Layout(settings.state_dir)
        ports = settings.overall.ports
        people = load_people(settings).people
        database = secrets.database_url("airflow", "airflow", ports.postgres)
        return {
            "AIRFLOW_HOME": str(layout.airflow),
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}",
            "HIMS_CONFIG": str(settings.directory),
            **_options(
                core={
                    "executor": "release_control.executor.PatientLocalExecutor",
                    "parallelism": 4,
                    "dags_folder": ROOT / "dags",
                    "plugins_folder": ROOT / "plugins",
                    "load_examples": False,
                    "auth_manager": "release_control.auth_manager.ReleaseAuthManager",
                    "simple_auth_manager_users": ",".join(
                        f"{person.user}:{person.airflow_role}" for person in people
                    ),
                    "simple_auth_manager_passwords_file": layout.people_passwords,
                    "fernet_key": secrets.fernet_key,
                    "execution_api_server_url": f"{self.address}/execution/",
                    # Log servers listen on loopback, so that is where a task's host must be.
                    "hostname_callable": "include.stack.ports.host",
                },
                database={
                    "sql_alchemy_conn": database.replace("postgresql:", "postgresql+psycopg2:"),
                    "sql_alchemy_pool_pre_ping": True,
                    # Migrations are `up`'s business; the parts start faster without the question.
                    "check_migrations": False,
                    "load_default_connections": False,
                },
                api={
                    "host": HOST,
                    "port": ports.airflow,
                    "base_url": settings.ui_url,
                    "workers": 1,
                    "secret_key": secrets.api_secret_key,
                },
                api_auth={"jwt_secret": secrets.jwt_secret},
                logging={
                    "base_log_folder": layout.airflow / "logs",
                    "dag_processor_child_process_log_directory": layout.airflow
                    / "logs"
                    / "dag_processor",
                    "worker_log_server_port": ports.worker_logs,
                    "trigger_log_server_port": ports.trigger_logs,
                    "colored_console_log": False,
                },
                scheduler={
                    # A fifth of an idle core for a seventh of the time between two tasks.
                    "scheduler_idle_sleep_time": 0.1,
                    # Tasks of a killed scheduler are taken up again within seconds, not minutes.
                    "orphaned_tasks_check_interval": 10,
                    "scheduler_health_check_threshold": 20,
                    "task_instance_heartbeat_timeout": 120,
                    "trigger_timeout_check_interval": 5,
                    "enable_health_check": False,
                },
                # … and so is what a killed triggerer was waiting for.
                triggerer={"triggerer_health_check_threshold": 15},
                dag_processor={
                    "dag_bundle_storage_path": layout.airflow / "bundles",
                    "refresh_interval": 30,
                    "min_file_process_interval": 60,
                    "bundle_refresh_check_interval": 2,
                    "parsing_processes": 1,
                    "print_stats_interval": 0,
                },
                # A task outlives a restart of PostgreSQL: it tries for a minute or so.
                workers={"max_failed_heartbeats": 12, "execution_api_retries": 8},
                usage_data_collection={"enabled": False},
            ),
        }

    def _connections(self) -> dict[str, str]:
        port = self.settings.overall.ports.postgres
        wanted = {
            "release_control_db": ("ledger_app", "ledger"),
            "backup_db": ("backup_operator", "postgres"),
        }
        for database, role in local_databases(self.settings).items():
            wanted[f"{database}_db"] = (role, database)
        own_api = self._own_api()
        return own_api | {
            f"AIRFLOW_CONN_{name.upper()}": json.dumps(
                {
                    "conn_type": "postgres",
                    "host": HOST,
                    "port": port,
                    "login": role,
                    "password": self.secrets.password(role),
                    "schema": database,
                }
            )
            for name, (role, database) in wanted.items()
        }

    def _own_api(self) -> dict[str, str]:
        """Return the Connection under which tasks read Airflow's event log."""
        readers = [
            person.user
            for person in load_people(self.settings).people
            if person.may("read_everything")
        ]
        passwords = generated_passwords(self.settings.state_dir)
        # Services stand at the end of the list; a person's sign-in serves where there is none.
        user = next((name for name in reversed(readers) if name in passwords), None)
        if user is None:
            return {}
        connection = {
            "conn_type": "http",
            "host": self.address,
            "login": user,
            "password": passwords[user],
        }
        return {"AIRFLOW_CONN_AIRFLOW_API": json.dumps(connection)}


def _options(**sections: Mapping[str, object]) -> dict[str, str]:
    return {
        f"AIRFLOW__{section.upper()}__{key.upper()}": str(value)
        for section, options in sections.items()
        for key, value in options.items()
    }


def _ignored(key: str) -> bool:
    # _CMD and _SECRET variants of an option would win over the option itself.
    return any(
        key == name or key.startswith((f"{name}_CMD", f"{name}_SECRET")) for name in _IGNORED
    )


def _past_the_proxy(environment: dict[str, str]) -> dict[str, str]:
    """Return the environment with loopback excluded from any HTTP proxy that the caller uses."""
    result = dict(environment)
    for key in ("NO_PROXY", "no_proxy"):
        words = [word for word in result.get(key, "").split(",") if word]
        result[key] = ",".join(dict.fromkeys([*words, HOST, "localhost"]))
    return result
