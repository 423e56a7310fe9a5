"""One environment or profile: config/environments/<name>.yaml.

`production` and `rehearsal` are profiles of the same train: they differ in these values alone.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from include.documents import Section
from include.fields import Duration
from include.releases.policy import Leads


class Durations(Section):
    """How long production work takes, while there is no history to measure it from."""

    backup: Duration
    deploy: Duration
    rollback: Duration
    reserve: Duration

    @property
    def needed(self) -> timedelta:
        """Return what must be left of the window before a deploy may start (design §5)."""
        return self.deploy + self.rollback + self.reserve

    @property
    def work(self) -> timedelta:
        """Return what must be left when a train enters its window, backup and all."""
        return self.backup + self.needed


class Answers(Section):
    """How long people have for an answer; silence never approves, it ends the train."""

    uat: Duration
    cab: Duration
    go_no_go: Duration


class Watch(Section):
    """How long, how often and against what a new version is watched.

    `hold` is how much longer it is looked at when there is no verdict: no figures, too few, or a
    suspicion; `then` is what happens after that. `false_alarm` is the largest chance of a rollback
    of a version that is no worse; see `include.deploy.judge.Rules` for it and what follows it.
    """

    duration: Duration
    interval: Duration = Field(gt=timedelta(0))
    max_error_rate: float = Field(ge=0, le=1)
    max_p95: Duration | None = None
    hold: Duration = timedelta(0)
    then: Literal["roll_back", "finish"] = "roll_back"
    false_alarm: float = Field(default=0.004, gt=0, lt=1)
    suspicion: float = Field(default=0.035, ge=0, lt=1)
    tolerance: float = Field(default=0.1, ge=0)
    minimum_requests: int = Field(default=10, ge=1)


class Closing(Section):
    """What a step does when its window closes under it, each `finish` or `roll_back`.

    `shift` is a step with a part of the traffic, `watch` the look at the whole of it.
    """

    shift: Literal["roll_back", "finish"] = "roll_back"
    watch: Literal["roll_back", "finish"] = "finish"


class Share(Section):
    """One step of a gradual deploy: `percent` of the traffic, looked at for a part of the watch."""

    percent: int = Field(gt=0, lt=100)
    of_watch: float = Field(gt=0, le=10)


def _growing(shares: tuple[Share, ...]) -> tuple[Share, ...]:
    percents = [share.percent for share in shares]
    if percents != sorted(set(percents)):
        message = "shares only grow from step to step, like 5, 25, 50"
        raise ValueError(message)
    return shares


class Shares(Section):
    """The steps of a canary and of a rolling deploy before all the traffic, which comes last."""

    canary: Annotated[tuple[Share, ...], Field(min_length=1), AfterValidator(_growing)] = (
        Share(percent=5, of_watch=0.5),
        Share(percent=25, of_watch=0.25),
        Share(percent=50, of_watch=0.25),
    )
    rolling: Annotated[tuple[Share, ...], Field(min_length=1), AfterValidator(_growing)] = (
        Share(percent=50, of_watch=0.25),
    )


class Environment(Section):
    """One profile of the release train; `leads` stand in for those of config/releases.yaml.

    With more than one of `backup_jobs` a backup is written by as many connections at once.
    """

    calendar: str
    leads: Leads | None = None
    durations: Durations
    answers: Answers
    backup_max_age: Duration
    watch: Watch
    closing: Closing = Closing()
    shares: Shares = Shares()
    blue_retention: Duration
    backup_retention: Duration = timedelta(days=30)
    backup_jobs: int = Field(default=1, ge=1, le=64)
    retrospective_after: Duration
