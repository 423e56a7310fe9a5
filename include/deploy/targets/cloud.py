"""What the targets in clouds share: slots by name, shares checked, health asked over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from include.deploy.smoke import request
from include.deploy.target import Artefact, Colour, Health
from include.errors import FencedOff, TargetError
from include.services.cloud import SlotNames
from include.services.service import Service

# What a slot says of itself, where the platform keeps such things: labels, tags, annotations.
VERSION = "release-control.version"
DIGEST = "release-control.digest"
FENCE = "release-control.fence"
# A container's variables that are settings begin so; two tell it what it is.
_PREFIX = "HIMS_"
_ITSELF = ("HIMS_VERSION", "HIMS_DIGEST")
POLL = 1.0


def named(names: SlotNames, slot: Colour) -> str:
    """Return the name of a slot."""
    return names.blue if slot is Colour.BLUE else names.green


def variable(setting: str) -> str:
    """Return the environment variable of a setting, as the local target's agent names it."""
    return f"{_PREFIX}{setting.upper().replace('-', '_')}"


def is_setting(name: str) -> bool:
    """Tell whether an environment variable is a setting of the service."""
    return name.startswith(_PREFIX) and name not in _ITSELF


def variables(config: Mapping[str, str], artefact: Artefact) -> dict[str, str]:
    """Return what a container is told that runs `artefact` with these settings."""
    told = {variable(name): value for name, value in config.items()}
    return told | dict(zip(_ITSELF, (artefact.version, artefact.digest), strict=True))


def settings_in(found: Mapping[str, str], config: Mapping[str, str]) -> dict[str, str]:
    """Return the settings among a container's variables, whether or not `config` names them: by
    the names that it gives them, else by the variables' own in small letters."""
    known = {variable(name): name for name in config}
    return {
        known.get(name, name.removeprefix(_PREFIX).lower()): value
        for name, value in found.items()
        if is_setting(name)
    }


def require_shares(weights: Mapping[Colour, int]) -> dict[Colour, int]:
    """Return both shares; TargetError unless they add up to 100."""
    wanted = {colour: weights.get(colour, 0) for colour in Colour}
    if sum(wanted.values()) != 100 or min(wanted.values()) < 0:
        shown = ", ".join(f"{colour} {share}" for colour, share in wanted.items())
        raise TargetError(f"shares must be 0 or more and add up to 100, not {shown}")
    return wanted


def percent(weights: Mapping[Colour, int], total: int) -> dict[Colour, int]:
    """Return the slots' weights as parts of `total`, which counts whatever else has traffic too.

    Rounding makes neither nothing of a little nor everything of almost all: a slot is emptied by
    what is read here.
    """
    return {
        slot: round(100 * weight / total)
        if weight in (0, total)
        else min(99, max(1, round(100 * weight / total)))
        for slot, weight in weights.items()
    }


def require_fence(where: str, fence: int, seen: int) -> None:
    """Raise FencedOff if a newer fence has been used."""
    if fence < seen:
        raise FencedOff(
            f"{where}: this permit's fence is {fence}, but {seen} has been used since; nothing was "
            "changed"
        )


def require_newest(where: str, fence: int, seen: int) -> None:
    """Raise FencedOff if a newer fence has been used while this one's work was on its way."""
    if fence < seen:
        raise FencedOff(
            f"{where}: while this permit (fence {fence}) was at work, a newer one ({seen}) has "
            "begun; what is there now is for the newer one to look at"
        )


def ask_health(service: Service, address: str, *, running: bool, held: Artefact | None) -> Health:
    """Return how a slot is, as its own answers say."""
    if held is None and not running:
        return Health(running=False, ready=False, message="empty")
    ready = request(address + service.checks.ready, timeout=5)
    said = request(address + service.checks.version, timeout=5)
    try:
        document = json.loads(said.body)
    except ValueError:
        document = {}
    if not isinstance(document, dict):
        document = {}
    answers = ready.status != 0
    return Health(
        running=running,
        ready=ready.status == 200,
        message="ready"
        if ready.status == 200
        else (
            f"{service.checks.ready} answers {ready.status}"
            if answers
            else f"does not answer ({ready.body[:100]})"
        ),
        version=_text(document.get("version")),
        digest=_text(document.get("digest")),
    )


def artefact_of(service: str, notes: Mapping[str, str], image: str) -> Artefact | None:
    """Return what a slot holds that runs `image`; None where it has no notes of ours.

    The digest is the image's own: whoever sets another by hand leaves our notes as they were. An
    image that is named by no digest is given as it is named.
    """
    version, pinned = notes.get(VERSION), image.rpartition("@")[2]
    if not version or not notes.get(DIGEST) or not pinned:
        return None
    return Artefact(service=service, version=version, digest=pinned, path=Path("/nowhere"))


def same(held: Artefact | None, artefact: Artefact) -> bool:
    """Tell whether a slot holds this artefact."""
    wanted = artefact.version, artefact.digest
    return held is not None and (held.version, held.digest) == wanted


def wait_until(done: Callable[[], bool], seconds: float, explain: Callable[[], str]) -> None:
    """Wait; TargetError with the explanation when it takes longer."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise TargetError(f"{explain()} (waited {seconds:.0f} s)")
        time.sleep(min(POLL, max(seconds / 20, 0.01)))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
