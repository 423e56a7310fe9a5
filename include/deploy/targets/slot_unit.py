"""What has to run in one slot, as a file says it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from include.deploy.target import Artefact, Colour
from include.errors import TargetError


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotUnit:
    """One process: `argv` runs the copy `stored` of the artefact that came from `origin`.

    `config` becomes HIMS_<KEY> variables; `database` names a database whose URL the node agent puts
    into the environment. A unit holds no secret.
    """

    service: str
    environment: str
    colour: Colour
    version: str
    digest: str
    origin: Path
    stored: Path
    argv: tuple[str, ...]
    port: int
    ready: str
    config: dict[str, str]
    database: str | None
    fence: int

    @property
    def name(self) -> str:
        """Return the slot's name as `./hims status` and the logs know it."""
        return slot_name(self.service, self.environment, self.colour)

    @property
    def fingerprint(self) -> str:
        """Return a digest of what makes the process another one; fence and origin do not."""
        document = self.document()
        del document["fence"], document["origin"]
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def artefact(self) -> Artefact:
        """Return what the slot holds; its path is the copy where the original is gone."""
        path = self.origin if self.origin.exists() else self.stored
        return Artefact(service=self.service, version=self.version, digest=self.digest, path=path)

    def document(self) -> dict[str, Any]:
        """Return the unit as JSON values."""
        document = asdict(self)
        document |= {"origin": str(self.origin), "stored": str(self.stored)}
        document |= {"argv": list(self.argv), "colour": str(self.colour)}
        return document

    @classmethod
    def parse(cls, document: Any, source: str) -> SlotUnit:
        """Return the unit that `document` describes; TargetError names `source` if it is none."""
        try:
            values = dict(document)
            values |= {"origin": Path(values["origin"]), "stored": Path(values["stored"])}
            values |= {"argv": tuple(values["argv"]), "colour": Colour(values["colour"])}
            return cls(**values)
        except (KeyError, TypeError, ValueError) as error:
            raise TargetError(f"{source}: is not a slot's unit ({error}); remove it") from error


def slot_name(service: str, environment: str, colour: Colour) -> str:
    """Return how a slot is called in `./hims status` and `./hims logs`."""
    return f"slot-{service}-{environment}-{colour}"
