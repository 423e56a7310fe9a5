"""What a target really runs, beside what the ledger says.

One reading proves nothing: a slot may be starting, a check may be late. Only readings that agree
several times in a row are believed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from include.deploy.target import Colour, Target
from include.deploy.targets.cloud import variable

READINGS = 5
# Seconds; longer than a load balancer takes between two checks.
_PAUSE = 1.0

Seen = TypeVar("Seen")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One slot at one instant: `version` and `digest` are what it says of itself, `held` is the
    digest of what its platform runs there."""

    weight: int
    version: str | None
    digest: str | None
    held: str | None
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
    look: Callable[[], Seen],
    *,
    readings: int = READINGS,
    pause: Callable[[float], None] = time.sleep,
) -> Seen | None:
    """Return what `look` finds if `readings` in a row agree; None where it does not hold still.

    Raises what `look` raises when it gets no answer: then there is no saying either.
    """
    first = look()
    for _ in range(readings - 1):
        pause(_PAUSE)
        if look() != first:
            return None
    return first


def read(target: Target) -> dict[Colour, Reading]:
    """Return what is there now."""
    weights = target.weights()
    found = {}
    for colour in Colour:
        health, held = target.health(colour), target.staged(colour)
        found[colour] = Reading(
            weight=weights[colour],
            version=health.version,
            digest=health.digest,
            held=held.digest if held else None,
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
    # What a process says of itself was told to it, and stays what it was when its image is changed.
    elif serving.held not in (None, expected.digest):
        said.append(
            f"{expected.colour} says that it runs {expected.version} and runs "
            f"{str(serving.held)[:90]}, not {expected.digest[:19]}…"
        )
    if expected.settings is not None:
        changed = other_settings(expected.settings, dict(serving.settings))
        if changed:
            said.append(f"{expected.colour} has other settings than released: {', '.join(changed)}")
    if expected.standby is not None and idle.digest not in (None, expected.standby):
        said.append(
            f"{expected.colour.other} should hold {expected.standby[:19]}… in case it is needed "
            f"and runs {str(idle.digest)[:19]}…"
        )
    return said


def other_settings(wanted: Mapping[str, str], real: Mapping[str, str]) -> list[str]:
    """Return which settings are not the same; those that become one variable are one."""
    names = {variable(name): name for name in (*real, *wanted)}
    released, found = (
        {variable(name): value for name, value in given.items()} for given in (wanted, real)
    )
    return sorted(name for key, name in names.items() if released.get(key) != found.get(key))


def plain(found: Mapping[Colour, Reading]) -> dict[str, Any]:
    """Return a reading as plain data, for the ledger."""
    return {
        str(colour): {
            "weight": reading.weight,
            "version": reading.version,
            "digest": reading.digest,
            "held": reading.held,
            "ready": reading.ready,
            "settings": dict(reading.settings),
        }
        for colour, reading in found.items()
    }
