"""Watching a version that has traffic, beside the one that it replaces.

Each look sends real requests to both and reads what a source of metrics counted of people's. A
version that has all the traffic is asked as people ask; one that has a share of it is asked in its
slot, for the answers of the other version say nothing about it. No answer counts as an error, never
as silence. What cannot be told is held: looked at longer, told, and left without a verdict at last.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from include.deploy.detectable import Detectable, detectable
from include.deploy.judge import (
    Judgement,
    Look,
    Rules,
    Sample,
    Verdict,
    check_ceilings,
    judge,
    planned_looks,
)
from include.deploy.metrics.balancer import BalancerMetrics
from include.deploy.metrics.source import Counts, MetricSource
from include.deploy.smoke import Answer, request
from include.deploy.target import Colour, Health, Target
from include.errors import MetricsLost, TargetError
from include.services.environment import Watch

# Requests of our own per path and look.
ROUNDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What a watch saw; figures are over the whole of it. `seconds` is what it took, `held` how
    much of that was beyond its duration."""

    verdict: Verdict
    reason: str
    message: str
    requests: int
    errors: int
    p95_seconds: float | None
    seconds: float = 0.0
    held: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bystander:
    """Who hears of a watch while it lasts.

    `began` gets what it will be able to find, `held` why there is no verdict yet (once). `closing`
    says why it has to end at once, None while it need not.
    """

    began: Callable[[Detectable], None] = lambda found: None
    held: Callable[[str, str], None] = lambda reason, message: None
    closing: Callable[[], str | None] = lambda: None


def watch(
    target: Target,
    colour: Colour,
    paths: Sequence[str],
    rules: Watch,
    *,
    duration: timedelta,
    digest: str | None = None,
    metrics: MetricSource | None = None,
    bystander: Bystander | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Watched:
    """Watch slot `colour` for `duration`; end early, with a no, once it is bad beyond doubt.

    It has to run the artefact `digest`; where that is not said, what it runs at the beginning.

    Without a verdict at its end it goes on for `rules.hold` at most. Raises TargetError when the
    target does not answer at the beginning.
    """
    around = bystander or Bystander()
    source = metrics or BalancerMetrics(target)
    seen = _Analysis(target, colour, paths, rules, duration, source, digest)
    around.began(seen.detectable())
    begin = time.monotonic()
    ends = duration.total_seconds()
    told = False
    while True:
        seen.ask()
        passed = time.monotonic() - begin
        over = passed >= ends + rules.hold.total_seconds()
        found = seen.look(passed, over=over)
        if found.verdict == "no_go":
            return seen.result(found, passed)
        waiting = passed >= ends
        if waiting and (found.verdict == "go" or over):
            return seen.result(found, passed)
        if (why := around.closing()) is not None:
            closing = Judgement(verdict="inconclusive", reason="window_closing", message=why)
            return seen.result(closing, passed)
        if waiting and not told:
            around.held(found.reason, found.message)
            told = True
        left = (ends + rules.hold.total_seconds() if waiting else ends) - passed
        pause(min(rules.interval.total_seconds(), max(left, 0.0)))


@dataclass(slots=True)
class _Own:
    """Our own requests to one slot."""

    errors: int = 0
    seconds: list[float] = field(default_factory=list)

    def add(self, answer: Answer) -> None:
        self.seconds.append(answer.seconds)
        self.errors += answer.status == 0 or answer.status >= 500


class _Analysis:
    """One analysis from its first look to its verdict."""

    def __init__(
        self,
        target: Target,
        colour: Colour,
        paths: Sequence[str],
        rules: Watch,
        duration: timedelta,
        metrics: MetricSource,
        digest: str | None,
    ) -> None:
        self._target, self._colour, self._paths = target, colour, paths
        self._duration = duration.total_seconds()
        self._metrics = metrics
        self._rules = Rules(
            max_error_rate=rules.max_error_rate,
            max_p95=rules.max_p95.total_seconds() if rules.max_p95 is not None else None,
            false_alarm=rules.false_alarm,
            suspicion=rules.suspicion,
            tolerance=rules.tolerance,
            minimum=rules.minimum_requests,
        )
        alone = target.weights()[colour] == 100
        self._front = target.frontend() if alone else None
        self._address = target.address(colour)
        self._digest = digest or target.health(colour).digest
        # Beside a slot that is not ready nothing can be compared.
        other = colour.other
        self._beside = target.address(other) if target.health(other).ready else None
        self._people, self._new, self._base = _Own(), _Own(), _Own()
        ticks = int(self._duration / max(rules.interval.total_seconds(), 0.001)) + 1
        self._answers = ticks * len(paths) * ROUNDS
        self._looks = planned_looks(self._answers)
        self._done = 0
        self._last: Judgement | None = None
        self._counted = {colour: Counts(requests=0, errors=0) for colour in Colour}
        for slot in Colour:
            self._mark(slot)

    def detectable(self) -> Detectable:
        """Return what this analysis can find by our own requests alone; people's come on top."""
        for path in [*self._paths] * ROUNDS if self._beside else ():
            self._base.add(request(f"{self._beside}{path}", timeout=10))
        return detectable(
            self._rules,
            requests=self._answers,
            base_requests=self._answers if self._beside else 0,
            answers=self._answers,
            base_seconds=self._base.seconds,
            share=Look(number=self._looks, planned=self._looks).share,
        )

    def ask(self) -> None:
        """Send our own requests, to one and the other by turns and on the same way.

        A version that has all the traffic is asked as people ask as well, through the load
        balancer; how long that takes says nothing beside a slot that is asked without it.
        """
        for path in [*self._paths] * ROUNDS:
            if self._front is not None:
                self._people.add(request(self._front + path, timeout=10))
            if self._front is None or self._beside is not None:
                self._new.add(request(self._address + path, timeout=10))
            if self._beside is not None:
                self._base.add(request(self._beside + path, timeout=10))

    def look(self, passed: float, *, over: bool) -> Judgement:
        """Return what can be said now; `over` says that it is the last chance to say it."""
        try:
            health = self._target.health(self._colour)
            self._counted[self._colour] = self._metrics.counts(self._colour)
            self._counted[self._colour.other] = self._counted_beside()
        except TargetError as error:
            lost = Judgement(verdict="inconclusive", reason="no_figures", message=str(error))
            return self._ceilings(self._sample(), last=over) or lost
        if (gone := self._gone(health)) is not None:
            return gone
        new = self._sample()
        last = passed >= self._duration
        if (broken := self._ceilings(new, last=last)) is not None:
            return broken
        due = min(self._looks, int(passed / self._duration * self._looks)) if self._duration else 1
        if self._last is not None and self._last.verdict == "inconclusive":
            return self._extended(self._last, new, over=over)
        if not last and due <= self._done:
            return self._going_on()
        number = self._looks if last else max(due, 1)
        found = judge(new, self._neighbour(), self._rules, Look(number=number, planned=self._looks))
        # What was not compared cost nothing of the false alarms, and may be looked at again.
        if found.verdict == "go" or found.errors_p is not None:
            self._done, self._last = number, found
        if not last and found.verdict == "inconclusive":
            return self._going_on()
        return found

    def result(self, found: Judgement, passed: float) -> Watched:
        """Return how the watch ended."""
        sample = self._sample()
        return Watched(
            verdict=found.verdict,
            reason=found.reason,
            message=found.message,
            requests=sample.requests,
            errors=sample.errors,
            p95_seconds=sample.p95,
            seconds=passed,
            held=max(0.0, passed - self._duration),
        )

    def _counted_beside(self) -> Counts:
        try:
            return self._metrics.counts(self._colour.other)
        except MetricsLost:
            if self._front is None:
                raise
            # Nobody is led to the other slot, and many a source has nothing to say of such a one.
            # That the source works is known by what it has just said of this slot.
            return Counts(requests=0, errors=0)

    def _extended(self, last: Judgement, new: Sample, *, over: bool) -> Judgement:
        """Return the verdict of the one look more that is paid for: at the end of the hold, or as
        soon as the answers are there that were too few."""
        if self._done > self._looks:
            return last
        base, minimum = self._neighbour(), self._rules.minimum
        timed = min(len(sample.seconds) for sample in (new, base) if sample is not None)
        if not over and (last.reason != "too_few" or timed < minimum):
            return last
        self._done = self._looks + 1
        look = Look(number=self._done, planned=self._looks)
        self._last = judge(new, base, self._rules, look)
        return self._last

    def _going_on(self) -> Judgement:
        return Judgement(verdict="go", reason="so_far", message="nothing stands against it so far")

    def _gone(self, health: Health) -> Judgement | None:
        if not health.ready:
            message = f"{self._colour}: {health.message}"
            return Judgement(verdict="no_go", reason="not_ready", message=message)
        if self._digest is not None and health.digest not in (None, self._digest):
            message = (
                f"{self._colour} runs {health.version} ({str(health.digest)[:19]}…) now; what was "
                "seen of the version before says nothing about it"
            )
            return Judgement(verdict="no_go", reason="replaced", message=message)
        return None

    def _mark(self, slot: Colour) -> None:
        # Where the source is away it marks at its first answer, and what came before is lost.
        try:
            self._metrics.mark(slot)
        except MetricsLost:
            return

    def _sample(self) -> Sample:
        counted, people, own = self._counted[self._colour], self._people, self._new
        # What we ask as people ask is counted with what people ask; it must not count twice.
        served = max(counted.requests, len(people.seconds)) + len(own.seconds)
        errors = max(counted.errors, people.errors) + own.errors
        return Sample(
            requests=served,
            errors=min(errors, served),
            seconds=tuple(own.seconds if self._beside is not None else self._met()),
        )

    def _ceilings(self, new: Sample, *, last: bool) -> Judgement | None:
        return check_ceilings(replace(new, seconds=tuple(self._met())), self._rules, last=last)

    def _met(self) -> list[float]:
        """Return the seconds that people wait, as far as we can know."""
        return self._people.seconds if self._front is not None else self._new.seconds

    def _neighbour(self) -> Sample | None:
        if self._beside is None:
            return None
        counted, own = self._counted[self._colour.other], self._base
        served = counted.requests + len(own.seconds)
        errors = min(counted.errors + own.errors, served)
        return Sample(requests=served, errors=errors, seconds=tuple(own.seconds))
