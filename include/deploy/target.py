"""What every deployment target can do, whatever runs behind it.

A target has two slots, blue and green. One serves people, the other is where the next version is
staged. Every call that changes something carries the permit's fence: a target records the highest
fence it has seen for a service and refuses an older one (FencedOff), so a deploy that was believed
dead can do nothing once another has begun.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class Colour(StrEnum):
    """The two slots of a service in one environment."""

    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> Colour:
        """Return the slot that this one is not."""
        return Colour.GREEN if self is Colour.BLUE else Colour.BLUE


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """What a build made: identified by its content, `digest` is `sha256:<hex>`."""

    service: str
    version: str
    digest: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a slot is, as read from the running process, not from what was asked of it.

    `ready` says it would serve people now; `version` and `digest` are what it says it runs.
    """

    running: bool
    ready: bool
    message: str
    version: str | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Requests that the load balancer has passed to a slot since it started counting."""

    requests: int
    server_errors: int
    failed_connections: int


class Target(Protocol):
    """One service in one environment. Every method raises TargetError when there is no answer."""

    def staged(self, slot: Colour) -> Artefact | None:
        """Return what the slot holds, None when it is empty."""

    def stage(self, artefact: Artefact, slot: Colour, fence: int) -> None:
        """Put `artefact` in the slot and start it; return once it runs. Staging what is there
        already changes nothing. Raises FencedOff, and TargetError if the slot serves people."""

    def health(self, slot: Colour) -> Health:
        """Return how the slot is now."""

    def address(self, slot: Colour) -> str:
        """Return the base URL that reaches this slot alone, past the load balancer."""

    def frontend(self) -> str:
        """Return the base URL that people use."""

    def weights(self) -> dict[Colour, int]:
        """Return the share of traffic per slot in percent, read from the load balancer."""

    def set_weights(self, weights: Mapping[Colour, int], fence: int) -> None:
        """Set the shares (they add up to 100) and read them back. Raises FencedOff."""

    def configuration(self, slot: Colour) -> Mapping[str, str]:
        """Return all settings that the slot runs with, without secrets; {} when it is empty. What
        config does not name any more, or somebody has added by hand, is among them."""

    def traffic(self, slot: Colour) -> Traffic:
        """Return the load balancer's counters of the slot."""

    def retire(self, slot: Colour, fence: int) -> None:
        """Stop and empty a slot that has no traffic. Raises FencedOff, TargetError if it has."""
