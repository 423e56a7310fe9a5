"""What a target really runs, beside what the ledger says.

One reading proves nothing: a slot may be starting, a check may be late. Only readings that agree
several times in a row are believed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from include.deploy.target import Colour, Target

READINGS = 5
# Seconds; longer than a load balancer takes between two checks.
_PAUSE = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One slot at one instant."""

    weight: int
    version: str | None
    digest: str | None
    ready: bool
    settings: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the ledger says: what serves, from where, with which settings (None: not known), and
    what stands by (None: nothing that anybody relies on)."""

    colour: Colour
    version: str
    digest: str
    settings: Mapping[str, str] | None = None
    standby: str | None = None


def read_steadily(
    target: Target,
    *,
    readings: int = READINGS,
    pause: Callable[[float], None] = time.sleep,
) -> dict[Colour, Reading] | None:
    """Return what is there if `readings` in a row agree; None where it does not hold still.

    Raises TargetError when the target does not answer: then there is no saying either.
    """
    first = read(target)
    for _ in range(readings - 1):
        pause(_PAUSE)
        if read(target) != first:
            return None
    return first


def read(target: Target) -> dict[Colour, Reading]:
    """Return what is there now."""
    weights = target.weights()
    found = {}
    for colour in Colour:
        health = target.health(colour)
        found[colour] = Reading(
            weight=weights[colour],
            version=health.version,
            digest=health.digest,
            ready=health.ready,
            settings=tuple(sorted(target.configuration(colour).items())),
        )
    return found


def differences(expected: Expected, found: Mapping[Colour, Reading]) -> list[str]:
    """Return, a sentence each, where reality is not what the ledger says."""
    serving, idle = found[expected.colour], found[expected.colour.other]
    said: list[str] = []
    if serving.weight != 100:
        said.append(
            f"{expected.colour} should have all the traffic and has {serving.weight} % "
            f"({expected.colour.other} has {idle.weight} %)"
        )
    if not serving.ready:
        said.append(f"{expected.colour} should serve and is not ready")
    if serving.digest != expected.digest:
        said.append(
            f"{expected.colour} runs {serving.version} ({str(serving.digest)[:19]}…), the ledger "
            f"says {expected.version} ({expected.digest[:19]}…)"
        )
    if expected.settings is not None:
        wanted, real = dict(expected.settings), dict(serving.settings)
        changed = sorted(k for k in {*wanted, *real} if wanted.get(k) != real.get(k))
        if changed:
            said.append(f"{expected.colour} has other settings than released: {', '.join(changed)}")
    if expected.standby is not None and idle.digest not in (None, expected.standby):
        said.append(
            f"{expected.colour.other} should hold {expected.standby[:19]}… in case it is needed "
            f"and runs {str(idle.digest)[:19]}…"
        )
    return said


def plain(found: Mapping[Colour, Reading]) -> dict[str, Any]:
    """Return a reading as plain data, for the ledger."""
    return {
        str(colour): {
            "weight": reading.weight,
            "version": reading.version,
            "digest": reading.digest,
            "ready": reading.ready,
            "settings": dict(reading.settings),
        }
        for colour, reading in found.items()
    }
