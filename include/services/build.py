"""Building a service's artefact from one commit, and keeping it under its digest."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from include.deploy.target import Artefact
from include.releases.repository import Repository
from include.services.service import Service
from include.services.workspace import require_answer, run_commands


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What a build came to; without an artefact, `message` says why."""

    artefact: Artefact | None
    reason: str
    message: str


def build(
    service: Service, repository: Repository, commit: str, version: str, *, store: Path, log: Path
) -> Build:
    """Build `commit` in a directory of its own and move the artefact into `store`.

    The same content lands on the same name, so building again changes nothing.
    """
    store.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=store) as scratch:
        source, built = Path(scratch) / "source", Path(scratch) / "artefact"
        repository.export(commit, source)
        values = {"version": version, "source": str(source), "artefact": str(built)}
        ran = run_commands(service.commands.build, values, source, log=log)
        if not ran[-1].ok:
            require_answer(ran[-1])
            return Build(artefact=None, reason="build_failed", message=ran[-1].describe())
        if not built.is_file():
            message = "the build ended well and wrote no artefact"
            return Build(artefact=None, reason="nothing_built", message=message)
        digest = file_digest(built)
        kept = store / f"{service.name}-{version}-{digest.removeprefix('sha256:')}"
        if not kept.exists():
            shutil.move(built, kept)
    artefact = Artefact(service=service.name, version=version, digest=digest, path=kept)
    return Build(artefact=artefact, reason="done", message=f"artefact {digest[:19]}… built")


def file_digest(path: Path) -> str:
    """Return `sha256:<hex>` of a file's content."""
    with path.open("rb") as stream:
        return "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
