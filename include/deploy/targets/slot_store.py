"""The files through which the local target and the node agent talk about one service.

    .run/nodes/<environment>/<service>/
        blue.json green.json     what has to run (written by the target, read by the agent)
        blue.state green.state   what runs (written by the agent, read by the target)
        weights.json             the shares of traffic that were set last
        fence.json               the highest fence that has been seen
        artefacts/<sha256>       what slots run, verified copies

Each file is replaced as a whole. Whoever changes something holds `lock`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from include.deploy.target import Artefact, Colour
from include.deploy.targets.slot_unit import SlotUnit
from include.durable import locked, read_json, write_json
from include.errors import FencedOff, StackError, TargetError

_CHUNK = 1 << 20


class SlotStore:
    """One service in one environment of a state directory."""

    def __init__(self, state_dir: Path, service: str, environment: str) -> None:
        self.service = service
        self.environment = environment
        self.directory = state_dir.resolve() / "nodes" / environment / service

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the service's lock; TargetError when another process keeps it for 30 s."""
        try:
            with locked(self.directory / "lock", what=f"{self.service} in {self.environment}"):
                yield
        except StackError as error:
            raise TargetError(str(error)) from error

    def advance(self, fence: int) -> None:
        """Record `fence`; FencedOff if a higher one has been seen. To be called under the lock."""
        path = self.directory / "fence.json"
        highest = self._read(path) or {"fence": 0}
        seen = int(highest["fence"])
        if fence < seen:
            raise FencedOff(
                f"{self.service} in {self.environment}: this permit's fence is {fence}, but "
                f"{seen} has been used since; nothing was changed"
            )
        if fence > seen:
            write_json(path, {"fence": fence})

    def fence(self) -> int:
        """Return the highest fence that has been seen, 0 for none."""
        return int((self._read(self.directory / "fence.json") or {"fence": 0})["fence"])

    def unit(self, colour: Colour) -> SlotUnit | None:
        """Return what has to run in a slot."""
        path = self.directory / f"{colour}.json"
        document = self._read(path)
        return None if document is None else SlotUnit.parse(document, str(path))

    def put_unit(self, unit: SlotUnit) -> None:
        """Replace what has to run in the unit's slot."""
        write_json(self.directory / f"{unit.colour}.json", unit.document())

    def remove_unit(self, colour: Colour) -> None:
        """Empty a slot."""
        (self.directory / f"{colour}.json").unlink(missing_ok=True)

    def weights(self) -> dict[Colour, int]:
        """Return the shares that were set last, in percent; nothing set yet is 0 for both."""
        document = self._read(self.directory / "weights.json") or {}
        return {colour: int(document.get(colour, 0)) for colour in Colour}

    def put_weights(self, weights: Mapping[Colour, int]) -> None:
        """Remember shares for the next start of the load balancer."""
        document = {str(colour): weight for colour, weight in weights.items()}
        write_json(self.directory / "weights.json", document)

    def state(self, colour: Colour) -> dict[str, Any]:
        """Return what the node agent said last about a slot, {} for nothing.

        `unit` is the fingerprint of the unit it has taken notice of, `running` that of what runs,
        `pid` its process; `failures` counts its ends, `message` explains the last one.
        """
        document = self._read(self.directory / f"{colour}.state")
        return document if isinstance(document, dict) else {}

    def put_state(self, colour: Colour, document: Mapping[str, Any] | None) -> None:
        """Say what runs in a slot; None for nothing."""
        path = self.directory / f"{colour}.state"
        if document is None:
            path.unlink(missing_ok=True)
        else:
            write_json(path, dict(document))

    def keep(self, artefact: Artefact) -> Path:
        """Copy an artefact into the store and return the copy, whose digest has been verified.

        Raises TargetError when the file is missing or is not what its digest says.
        """
        algorithm, _, wanted = artefact.digest.partition(":")
        if algorithm != "sha256" or len(wanted) != 64:
            raise TargetError(f'"{artefact.digest}" is not a digest; write it like sha256:<64 hex>')
        kept = self.directory / "artefacts" / wanted
        if kept.is_file() and _sha256(kept) == wanted:
            return kept
        kept.parent.mkdir(parents=True, exist_ok=True)
        beside = kept.with_name(f".{wanted}.{os.getpid()}")
        try:
            shutil.copyfile(artefact.path, beside)
            actual = _sha256(beside)
            if actual != wanted:
                raise TargetError(
                    f"{artefact.path} is not {artefact.service} {artefact.version}: its digest is "
                    f"sha256:{actual}, not {artefact.digest}"
                )
            with beside.open("rb") as stream:
                os.fsync(stream.fileno())
            beside.chmod(artefact.path.stat().st_mode & 0o755)
            beside.replace(kept)
        except OSError as error:
            raise TargetError(
                f"{artefact.path} of {artefact.service} {artefact.version} can't be staged: "
                f"{error.strerror or error}"
            ) from error
        finally:
            beside.unlink(missing_ok=True)
        return kept

    def forget_artefacts(self) -> None:
        """Remove copies that no slot runs. To be called under the lock."""
        used = {unit.stored.name for colour in Colour if (unit := self.unit(colour))}
        folder = self.directory / "artefacts"
        if folder.is_dir():
            for copy in folder.iterdir():
                if copy.name not in used:
                    copy.unlink(missing_ok=True)

    def _read(self, path: Path) -> Any:
        try:
            return read_json(path)
        except StackError as error:
            raise TargetError(str(error)) from error


def backend_name(service: str, environment: str) -> str:
    """Return the name of a service's frontend and backend in HAProxy."""
    return f"{service}.{environment}"


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
