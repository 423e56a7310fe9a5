"""config/ as typed, validated settings.

The project root holds `config/`; the variable HIMS_CONFIG names another directory of the same shape
(the tests use it to run a second stack on other ports). Relative paths in it start at the root.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from pydantic import Field, field_validator

from include.documents import Section, load_section
from include.errors import ConfigError, Problem, RequestError, did_you_mean
from include.fields import Duration

if TYPE_CHECKING:
    # A command that asks for the calendar alone shall not pay for these models.
    from include.services.environment import Environment
    from include.services.service import Service

ROOT = Path(__file__).resolve().parent.parent

Port = int


class Ports(Section):
    """Loopback TCP ports of the local stack; each component takes exactly the one named here."""

    airflow: Port = Field(ge=1, le=65535)
    postgres: Port = Field(ge=1, le=65535)
    haproxy_admin: Port = Field(ge=1, le=65535)
    haproxy_metrics: Port = Field(ge=1, le=65535)
    worker_logs: Port = Field(ge=1, le=65535)
    trigger_logs: Port = Field(ge=1, le=65535)


class Backups(Section):
    """How backups are taken and read.

    `postgres_bin` is the directory of PostgreSQL's client programs, at least as new as the servers
    and with TLS where those ask for it; without it those of this project are used. With `encrypt`
    new backups are encrypted with the key in the Connection backup_default.
    """

    postgres_bin: Path | None = None
    encrypt: bool = False


class Reports(Section):
    """How reports count: `observed_for` is how long after its end a change, and after its switch a
    deployment, is still charged with an incident that it caused.
    """

    observed_for: Duration = Field(
        default=timedelta(hours=72), gt=timedelta(0), le=timedelta(days=90)
    )


class Global(Section):
    """config/global.yaml: what holds for every environment and service."""

    organisation: str
    state_dir: Path
    ui_url: str | None = None
    reports_bucket: str | None = Field(
        default=None, pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s]*)?$"
    )
    backups: Backups = Backups()
    reports: Reports = Reports()
    ports: Ports

    @field_validator("ui_url")
    @classmethod
    def _without_slash(cls, value: str | None) -> str | None:
        return value.rstrip("/") if value else value


@dataclass(frozen=True)
class Settings:
    """Everything under one configuration directory, read on first use and then kept.

    Every property raises ConfigError (file, line, key, remedy) when its file cannot be used.
    """

    directory: Path

    @cached_property
    def overall(self) -> Global:
        """Return config/global.yaml."""
        return load_section(self.directory / "global.yaml", Global, name=self.label("global.yaml"))

    @property
    def state_dir(self) -> Path:
        """Return the directory of everything that this machine writes (`.run`)."""
        return self.path(self.overall.state_dir)

    @property
    def ui_url(self) -> str:
        """Return the address under which people open Airflow, without a trailing slash."""
        return self.overall.ui_url or f"http://127.0.0.1:{self.overall.ports.airflow}"

    def run_url(self, dag_id: str, run_id: str) -> str:
        """Return the page of a run in Airflow."""
        return f"{self.ui_url}/dags/{dag_id}/runs/{quote(run_id)}"

    def task_url(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str:
        """Return the page on which a human task is answered."""
        mapped = f"/mapped/{map_index}" if map_index >= 0 else ""
        return f"{self.run_url(dag_id, run_id)}/tasks/{task_id}{mapped}/required_actions"

    @cached_property
    def services(self) -> tuple[str, ...]:
        """Return the names of the configured services, sorted."""
        return tuple(sorted(path.stem for path in (self.directory / "services").glob("*.yaml")))

    def service(self, name: str) -> Service:
        """Return one service; RequestError names the configured ones if there is none of it."""
        if name not in self.services:
            raise RequestError(
                f'service "{name[:80]}" is not configured{did_you_mean(name[:80], self.services)}; '
                f"a service is a file under {self.label('services')}/"
            )
        from include.services.service import Service

        relative = f"services/{name}.yaml"
        found = load_section(self.directory / relative, Service, name=self.label(relative))
        if found.name != name:
            problem = Problem(
                file=self.label(relative),
                key="name",
                message=f'is "{found.name}", but the file is named after "{name}"',
            )
            raise ConfigError([problem])
        return found

    @cached_property
    def environments(self) -> tuple[str, ...]:
        """Return the names of all places that a service runs in or has values for, sorted."""
        values = (self.directory / "values" / "environments").glob("*.yaml")
        places = (name for one in self.services for name in self.service(one).environments)
        return tuple(sorted({"production", *(path.stem for path in values), *places}))

    def checked_environment(self, name: str) -> str:
        """Return `name` if a service may run there; else RequestError with the names there are."""
        if name not in self.environments:
            near = did_you_mean(name[:60], self.environments)
            known = "" if near.startswith("; known") else f" Known: {', '.join(self.environments)}"
            raise RequestError(f'there is no environment "{name[:60]}"{near}{known}')
        return name

    def environment(self, name: str) -> Environment:
        """Return one file of config/environments/ (production, staging, rehearsal …)."""
        known = sorted(path.stem for path in (self.directory / "environments").glob("*.yaml"))
        if name not in known:
            raise RequestError(
                f'environment "{name[:80]}" is not configured{did_you_mean(name[:80], known)}'
            )
        from include.services.environment import Environment

        relative = f"environments/{name}.yaml"
        return load_section(self.directory / relative, Environment, name=self.label(relative))

    def path(self, relative: Path | str) -> Path:
        """Return a configured path, taken from the project root where it is relative."""
        return ROOT / relative

    def config_file(self, relative: str) -> Path:
        """Return the path of a file of this configuration directory."""
        return self.directory / relative

    def label(self, relative: str) -> str:
        """Return how messages name a file of this configuration."""
        try:
            return str((self.directory / relative).relative_to(ROOT))
        except ValueError:
            return str(self.directory / relative)


def load_settings(directory: Path | None = None) -> Settings:
    """Return the settings in `directory`, else in $HIMS_CONFIG, else in the project's config/."""
    chosen = directory or Path(os.environ.get("HIMS_CONFIG") or ROOT / "config")
    if not chosen.is_dir():
        raise ConfigError([Problem(file=str(chosen), key="", message="is not a directory")])
    return Settings(chosen.resolve())
