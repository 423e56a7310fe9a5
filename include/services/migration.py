"""Schema migrations of a service, run by the service's own command."""

from __future__ import annotations

from pathlib import Path

from include.deploy.target import Artefact
from include.services.service import Service
from include.services.workspace import CommandResult, run_commands


def migrate(service: Service, artefact: Artefact, url: str, *, log: Path) -> CommandResult:
    """Run the migrations that `artefact` brings on the database at `url`; running them again
    changes nothing. It is for a service that has a command for it. The URL goes into the command's
    environment alone, never onto its command line.
    """
    values = {
        "artefact": str(artefact.path),
        "version": artefact.version,
        "digest": artefact.digest,
    }
    return run_commands(
        service.commands.migrate,
        values,
        artefact.path.parent,
        log=log,
        environment={"DATABASE_URL": url},
    )[-1]
