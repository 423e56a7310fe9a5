"""One service: config/services/<name>.yaml.

How a service is versioned, tested, built, migrated and run is data: argument lists in which
`{placeholders}` are filled in. No shell ever sees them.
"""

from __future__ import annotations

import re
import string
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from include.documents import Section
from include.services.cloud import Ecs, Kubernetes, Rds
from include.services.metrics import Metrics

PLACEHOLDERS = {
    "python": "the interpreter of this environment",
    "version": "the version being released, like 2.3.0",
    "source": "the directory in which the release's source lies",
    "artefact": "the file that the build has to write, or has written",
    "digest": "the artefact's digest, sha256:…",
    "port": "the loopback port on which a slot has to listen",
}

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST_NAME = 40


def _known_placeholders(argv: tuple[str, ...]) -> tuple[str, ...]:
    for word in argv:
        for _, name, _, _ in string.Formatter().parse(word):
            if name is not None and name not in PLACEHOLDERS:
                known = ", ".join(sorted(PLACEHOLDERS))
                message = f'"{{{name}}}" is not a placeholder; known: {known}'
                raise ValueError(message)
    return argv


Argv = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_known_placeholders)]


class Commands(Section):
    """What to run, in order, each an argument list; run in the release's source directory."""

    version: tuple[Argv, ...]
    test: tuple[Argv, ...] = Field(min_length=1)
    build: tuple[Argv, ...] = Field(min_length=1)
    migrate: tuple[Argv, ...] = ()
    clear_caches: tuple[Argv, ...] = ()
    run: Argv


class SmokeTest(Section):
    """One HTTP request whose answer must have `status`, and `contains` in its body if given."""

    name: str
    path: str
    method: Literal["GET", "POST"] = "GET"
    body: str | None = None
    status: int = 200
    contains: str | None = None


class Checks(Section):
    """Paths under which a running slot says how it is.

    Those of `warm_up` are asked and timed while a version is watched; without any the profile may
    have no ceiling for p95.
    """

    health: str
    ready: str
    version: str
    smoke: tuple[SmokeTest, ...] = Field(min_length=1)
    warm_up: tuple[str, ...] = ()


class SlotPorts(Section):
    """Loopback ports of a service on the local target: what clients call, and the two slots."""

    frontend: int = Field(ge=1, le=65535)
    blue: int = Field(ge=1, le=65535)
    green: int = Field(ge=1, le=65535)


class Placement(Section):
    """Where and how a service runs in one environment."""

    target: Literal["local", "ecs", "kubernetes"]
    ports: SlotPorts | None = None
    database: str | None = None
    config: dict[str, str] = Field(default_factory=dict)
    metrics: Metrics | None = None
    ecs: Ecs | None = None
    kubernetes: Kubernetes | None = None
    rds: Rds | None = None
    deploy: tuple[Argv, ...] = ()
    roll_back: tuple[Argv, ...] = ()

    @model_validator(mode="after")
    def _local_needs_ports(self) -> Placement:
        if self.target == "local" and self.ports is None:
            message = "a local target needs ports: {frontend, blue, green}"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _snapshots_are_of_a_database(self) -> Placement:
        if self.rds is not None and self.database is None:
            message = "rds is where a database is: name the database too"
            raise ValueError(message)
        return self


class RepositorySource(Section):
    """The service's git repository, and the sample that `./hims up` makes it from.

    Where it is on GitHub too, `github` is its name there: the train publishes its check of the
    commits and locks the release branch from the code freeze to its end. `github_app` is the id of
    the GitHub App that may still push to it.
    """

    path: Path
    seed: Path | None = None
    github: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,38}/[\w.-]{1,100}$"
    )
    github_app: int | None = Field(default=None, ge=1)


class Service(Section):
    """A releasable service; `migrations` is the folder of its schema migrations' SQL files."""

    name: str
    title: str
    systems: tuple[str, ...] = Field(min_length=1)
    repository: RepositorySource
    commands: Commands
    checks: Checks
    migrations: str | None = None
    environments: dict[str, Placement]

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if not NAME.fullmatch(value) or len(value) > LONGEST_NAME:
            message = f"lower-case words joined by hyphens, at most {LONGEST_NAME} characters"
            raise ValueError(message)
        return value
