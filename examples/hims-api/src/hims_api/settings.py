"""What the environment says: the service reads no configuration file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path


class SettingsError(Exception):
    """A variable is missing, or holds what it cannot hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the database is, who we are, and what is switched on."""

    database_url: str
    version: str
    digest: str | None = None
    telemedicine: bool = False


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings in `environment`; raise SettingsError naming the variable in question."""
    database_url = environment.get("DATABASE_URL", "")
    if not database_url.startswith(("postgresql://", "postgres://")):
        raise SettingsError("DATABASE_URL must be set, like postgresql://user@127.0.0.1:5432/hims")
    return Settings(
        database_url=database_url,
        version=own_version(),
        digest=environment.get("HIMS_DIGEST") or None,
        telemedicine=_switch(environment, "HIMS_TELEMEDICINE"),
    )


def _switch(environment: Mapping[str, str], name: str) -> bool:
    value = environment.get(name, "false")
    if value not in ("true", "false"):
        raise SettingsError(f'{name} is "{value[:40]}"; it must be true or false')
    return value == "true"


def own_version() -> str:
    """Return the version that was built into the artefact, or that of the source tree."""
    built_in = files("hims_api") / "VERSION"
    if built_in.is_file():
        return built_in.read_text(encoding="utf-8").strip()
    return (Path(__file__).parents[2] / "VERSION").read_text(encoding="utf-8").strip()
