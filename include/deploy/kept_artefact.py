"""The artefact of an earlier deployment, as it was kept when it was built."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Connection, Row

from include.deploy.target import Artefact
from include.errors import RequestError
from include.ledger import schema


def kept_artefact(connection: Connection, state_dir: Path, row: Row[Any]) -> Artefact:
    """Return the artefact of a row of `deployment`; RequestError if it is gone or another one."""
    path: Path | None = None
    if row.release_id is not None:
        built = connection.execute(
            select(schema.step.c.result).where(
                schema.step.c.release_id == row.release_id,
                schema.step.c.attempt == row.attempt,
                schema.step.c.name == "build_artefact",
            )
        ).scalar()
        path = Path(str(built["path"])) if built else None
    if path is None:
        name = f"{row.service}-{row.version}-{row.digest.removeprefix('sha256:')}"
        path = state_dir / "artefacts" / name
    if not path.is_file():
        raise RequestError(
            f"version: the artefact of {row.version} ({row.digest[:19]}…) is not at {path} any "
            "more; build and release a newer version instead"
        )
    with path.open("rb") as stream:
        digest = "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != row.digest:
        raise RequestError(f"version: {path} is not what served people as {row.version}")
    return Artefact(service=row.service, version=row.version, digest=row.digest, path=path)
