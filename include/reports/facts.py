"""What happened, as values: what every metric is computed from.

Facts are what the ledger knew at one instant (`as_of`), about changes, deployments, incidents, what
gates measured and when releases were frozen. Where nobody recorded something the fact is None or
missing, never a default that looks like an answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property

from include.calendar.spans import clip
from include.calendar.wall_time import Span

# How long after a deployment a defect still counts as leaked by it.
LEAKED_WITHIN = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """How long a change was in one state; `end` is None while it is there."""

    state: str
    start: datetime
    end: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentFact:
    """An incident; `closed_at` is None while it is open. `changes` are those that caused it."""

    id: str
    severity: str
    title: str
    systems: tuple[str, ...]
    opened_at: datetime
    closed_at: datetime | None
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeFact:
    """A change's way through its states.

    `started_at` and `finished_at` bound the implementation, the second being when it entered
    validation or review for good. `ended` is `closed`, `cancelled`, `rejected`, or None while it
    is under way; `outcome` is what its review said, None where there was no word. `canary` says
    that it was led back before all of the traffic was on it. `incidents` are those that it caused.
    """

    id: str
    type: str
    title: str
    service: str | None
    systems: tuple[str, ...]
    requester: str
    release: str | None
    opened_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    ended_at: datetime | None
    ended: str | None
    outcome: str | None
    rolled_back: bool
    slot: Span | None
    window: str | None
    canary: bool = False
    stays: tuple[Stay, ...] = ()
    incidents: tuple[IncidentFact, ...] = ()

    @property
    def retroactive(self) -> bool:
        """Whether it was found or declared after the fact."""
        return self.type == "retroactive"

    @property
    def working(self) -> bool:
        """Whether it was being implemented, or led back, when it was last heard of."""
        return bool(self.stays) and self.stays[-1].state in ("implementing", "rolling_back")

    @property
    def counts(self) -> bool:
        """Whether it belongs to I, the denominator of §2.7: touched production, and is over."""
        return self.ended_at is not None and (self.started_at is not None or self.retroactive)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentFact:
    """Traffic switched to a version in production. `returned_at`: it was led back again.

    `commits` are the instants at which what it brought was committed; empty where unknown.
    """

    id: int
    service: str
    version: str
    release: str | None
    type: str | None
    change: str | None
    at: datetime
    returned_at: datetime | None
    commits: tuple[datetime, ...] = ()
    incidents: tuple[IncidentFact, ...] = ()

    @property
    def leads(self) -> list[float]:
        """Return how many seconds each commit took to production; a commit that says it was made
        later than that was made by a clock that was wrong, and tells nothing."""
        return [(self.at - made).total_seconds() for made in self.commits if made <= self.at]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureFact:
    """What one gate measured: `coverage` 93.4 and the like, with the evidence behind it."""

    name: str
    value: float
    release: str
    service: str
    gate: str
    at: datetime
    uri: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeFact:
    """`[start, end)` in which a release was under a `feature` or `code` freeze."""

    release: str
    service: str
    phase: str
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteWait:
    """How long one seat took to vote on one change, from the moment it was before the board."""

    change: str
    seat: str
    at: datetime
    waited: timedelta


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything about `[start, end)` that the ledger knew at `as_of`, of one service or of all.

    `changes` are those that moved in it, were voted on or refused, were worked on all through it,
    or are what was deployed in it or caused an incident in it.
    `measures` are of the period; `defects` are what gates had found, whenever that was, in the
    releases that were deployed in it.
    `openings` are the calendar's slots in the period, as its file says today. `observed` is how
    long after its end an implementation, and after its switch a deployment, is still charged with
    an incident. `asked_at` is when the ledger was asked for all that it knows.
    """

    start: datetime
    end: datetime
    as_of: datetime | None
    service: str | None
    observed: timedelta
    asked_at: datetime | None = None
    changes: Sequence[ChangeFact] = ()
    deployments: Sequence[DeploymentFact] = ()
    incidents: Sequence[IncidentFact] = ()
    measures: Sequence[MeasureFact] = ()
    defects: Sequence[MeasureFact] = ()
    freezes: Sequence[FreezeFact] = ()
    votes: Sequence[VoteWait] = ()
    openings: Sequence[Span] = ()
    refused: Mapping[str, int] = field(default_factory=dict)

    def between(self, start: datetime, end: datetime) -> Facts:
        """Return what of these facts a shorter stretch is about; refusals stay away.

        Changes and defects stay as they are: what they tell may lie before the stretch.
        """
        bounds = [Span(start, end)]
        return replace(
            self,
            start=start,
            end=end,
            deployments=[item for item in self.deployments if start <= item.at < end],
            incidents=[item for item in self.incidents if start <= item.opened_at < end],
            measures=[item for item in self.measures if start <= item.at < end],
            freezes=[
                replace(item, span=span)
                for item in self.freezes
                for span in clip([item.span], bounds)
            ],
            votes=[item for item in self.votes if start <= item.at < end],
            openings=clip(self.openings, bounds),
            refused={},
        )

    @cached_property
    def ended(self) -> list[ChangeFact]:
        """Return the changes that came to their end in the period."""
        return [
            change
            for change in self.changes
            if change.ended_at is not None and self.start <= change.ended_at < self.end
        ]

    @cached_property
    def implemented(self) -> list[ChangeFact]:
        """Return I of §2.7: of those that ended, the ones that had touched production."""
        return [change for change in self.ended if change.counts]

    def observed_until(self, begun: datetime, length: timedelta) -> datetime | None:
        """Return when what was `begun` will have been observed for `length`, None if it was.

        Nobody can tell who does not know when the facts were asked for.
        """
        seen = self.asked_at if self.as_of is None else self.as_of
        return begun + length if seen is not None and begun + length > seen else None

    @property
    def under_way(self) -> list[ChangeFact]:
        """Return the changes that were opened and had not ended when the period did."""
        return [
            change
            for change in self.changes
            if (change.opened_at is None or change.opened_at < self.end)
            and (change.ended_at is None or change.ended_at >= self.end)
        ]

    @property
    def known_until(self) -> datetime:
        """Return up to which instant of the period the facts can tell anything."""
        return min(at for at in (self.end, self.as_of, self.asked_at) if at is not None)

    @property
    def asked(self) -> datetime:
        """Return the instant up to which the ledger was asked, at most the period's end on."""
        return self.end if self.as_of is None else self.as_of
