"""What a stack that has just come up needs to be of use: the sample's repository, and the version
that is in production before the first train runs.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from include.deploy.deployment import live_deployment, open_deployment
from include.deploy.target import Artefact, Colour
from include.deploy.targets.local import LocalTarget
from include.errors import StackError
from include.ledger import Actor, Ledger, Source, Subject
from include.ledger.connection import open_ledger
from include.output import print_progress
from include.releases.repository import Repository
from include.releases.versions import Version
from include.services.build import build
from include.services.migration import migrate
from include.services.service import Service
from include.settings import Settings
from include.stack.secrets import load_secrets, service_role

ROBOT = Actor.service("up")


def provision(settings: Settings, *, say: Callable[[str], None] = print_progress) -> None:
    """Seed repositories that do not exist yet and put a first version live where there is none.

    Safe to call at every `up`. Raises StackError when the first version cannot be built or started.
    """
    ledger = open_ledger(settings)
    for name in settings.services:
        service = settings.service(name)
        if service.repository.seed is None:
            continue
        from include.rehearsal.sample import seed_repository

        path = settings.path(service.repository.path)
        seed_repository(settings.path(service.repository.seed), path)
        for environment, placement in service.environments.items():
            if placement.target == "local":
                _put_baseline(settings, ledger, service, environment, say)


def _put_baseline(
    settings: Settings,
    ledger: Ledger,
    service: Service,
    environment: str,
    say: Callable[[str], None],
) -> None:
    with ledger.read() as connection:
        if live_deployment(connection, service.name, environment) is not None:
            return
    repository = Repository(settings.path(service.repository.path))
    version, commit = _newest(repository, service)
    log = settings.state_dir / "evidence" / f"baseline-{service.name}-{environment}.log"
    made = build(
        service,
        repository,
        commit,
        str(version),
        store=settings.state_dir / "artefacts",
        log=log,
    )
    if made.artefact is None:
        raise StackError(f"{service.name} {version} cannot be built: {made.message} (see {log})")
    _start(settings, service, environment, made.artefact)
    now = datetime.now(UTC)
    with ledger.write(ROBOT, Source(kind="cli"), now) as unit:
        open_deployment(
            unit,
            made.artefact,
            environment,
            Colour.BLUE,
            fence=0,
            release=None,
            attempt=None,
            state="live",
        )
        unit.append(
            "deployment.baseline",
            Subject(kind="service", id=service.name, version=str(version)),
            message=f"{service.name} {version} serves {environment}, before any release train",
            details={"digest": made.artefact.digest, "commit": commit, "environment": environment},
        )
    say(f"  {service.title} {version} serves {environment}")


def _start(settings: Settings, service: Service, environment: str, artefact: Artefact) -> None:
    secrets = load_secrets(settings.state_dir)
    database = service.environments[environment].database
    if database is not None and secrets is not None and service.commands.migrate:
        url = secrets.database_url(
            service_role(service.name), database, settings.overall.ports.postgres
        )
        log = settings.state_dir / "evidence" / f"baseline-{service.name}-{environment}.log"
        ran = migrate(service, artefact, url, log=log)
        if not ran.ok:
            raise StackError(f"{database} cannot be migrated: {ran.describe()}")
    target = LocalTarget(
        service, environment, settings.state_dir, settings.overall.ports.haproxy_admin
    )
    target.stage(artefact, Colour.BLUE, 0)
    target.set_weights({Colour.BLUE: 100, Colour.GREEN: 0}, 0)


def _newest(repository: Repository, service: Service) -> tuple[Version, str]:
    released = {
        version: tag.sha
        for tag in repository.tags()
        if (version := Version.from_tag(tag.name)) is not None
    }
    if not released:
        raise StackError(
            f"{service.name}: {repository.path} has no version tag to begin with; tag the version "
            "that is in production, like v2.2.0"
        )
    newest = max(released)
    return newest, released[newest]
