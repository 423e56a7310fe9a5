"""A release plan: everything that a train will go by, frozen and hashed when it starts.

Configuration may change while a train waits two weeks; the train goes by what it planned with.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from include.documents import Section
from include.fields import Duration, Instant
from include.ledger.record import content_hash
from include.releases.policy import ReleasePolicy
from include.releases.versions import ReleaseType, Version
from include.services.environment import Environment
from include.services.service import Service


class PlannedSlot(Section):
    """The opening of a change window that the train aims for; `latest` ends its approval."""

    window: str
    start: Instant
    latest_start: Instant
    end: Instant
    local: str
    latest: Instant


class PlannedSeat(Section):
    """A seat of the CAB that will be asked."""

    name: str
    title: str


class Person(Section):
    """Who started the train."""

    user: str
    name: str


class PolicyHashes(Section):
    """SHA-256 of the configuration files that the plan was drawn from."""

    calendar: str
    approvals: str
    releases: str
    service: str
    profile: str


class ReleasePlan(Section):
    """The frozen plan. Every instant is UTC; `zone` is where its window is at home."""

    release: str
    attempt: int
    service: Service
    version: str
    release_type: ReleaseType
    strategy: str
    profile_name: str
    profile: Environment
    rules: ReleasePolicy
    requester: Person
    title: str
    previous_version: str
    previous_commit: str
    source_branch: str
    release_branch: str
    feature_freeze: Instant
    code_freeze: Instant
    slot: PlannedSlot
    needs: Duration
    zone: str
    change_type: str
    seats: tuple[PlannedSeat, ...]
    mandatory_seats: tuple[str, ...]
    votes_needed: int
    chair: str | None
    checkpoints: dict[str, tuple[str, ...]]
    gates: tuple[str, ...]
    policy: PolicyHashes

    @property
    def number(self) -> Version:
        """Return the version as a number."""
        return Version.parse(self.version)

    @property
    def work(self) -> timedelta:
        """Return what must be left of a window when the train enters it: `needs` must still be
        left when the backup, which is taken and proven inside the window, is done."""
        return self.profile.durations.backup + self.needs

    @property
    def rehearsal(self) -> bool:
        """Return whether this is a rehearsal."""
        return self.profile_name == "rehearsal"

    def content(self) -> dict[str, Any]:
        """Return the plan as plain JSON data."""
        return self.model_dump(mode="json")

    def digest(self) -> str:
        """Return `sha256:<hex>` over the plan's canonical JSON."""
        return content_hash(self.content())


def read_plan(content: Any) -> ReleasePlan:
    """Return the plan that the ledger holds as JSON."""
    return ReleasePlan.model_validate(content)
