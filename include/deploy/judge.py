"""The judge: is the new version worse than the one beside it?

Errors are compared by an exact test on counts, latency by ranks and by the share of slow answers;
absolute ceilings hold whatever the comparison says. There are three verdicts. Too little traffic,
lost figures, or a difference that is suspicious without being proven are `inconclusive`: never a
pass, never a blind abort.

However often it looks, the comparison tells a version that is no worse `no_go` in at most
`false_alarm` of all analyses: every look has its share of that (a union bound), the last one most
of it. A ceiling is broken at the end by what was measured; before the end, where a few bad answers
among the first ones would do, only by proof: of versions that keep it at most `false_alarm` are
stopped, however often that is asked. A ceiling that nobody measured is not kept: at the end too few
timed answers are `inconclusive` where p95 has one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from include.deploy.exact import evidence_above, fisher, rank_test

Verdict = Literal["go", "no_go", "inconclusive"]

# What part of the false alarms each look may cost, by its place among the planned looks. Early
# looks are for disasters, which need little; the rest is for one more look where it was extended.
_SPENT = {1: (0.5,), 2: (0.1, 0.4), 3: (0.05, 0.1, 0.35), 4: (0.03, 0.06, 0.1, 0.31)}
_EXTENDED = 0.5
LOOKS = 4

# The false alarms of one look, by what may raise them: errors, the middle, and the slow end.
_ERRORS, _MIDDLE, _SLOW = 0.5, 0.25, 0.25
# What "slow" means to the comparison of slow ends: slower than this part of both versions' answers.
SLOW = 0.95
# Two errors are not an accident; one among the first few requests is above any rate.
_NO_ACCIDENT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one version did: `errors` of `requests` failed; `seconds` are answers of our own.

    Raises ValueError for numbers that count nothing.
    """

    requests: int
    errors: int
    seconds: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.errors <= self.requests:
            message = f"{self.errors} errors of {self.requests} requests are no counts"
            raise ValueError(message)

    @property
    def rate(self) -> float:
        """Return the share of errors, 0 without requests."""
        return self.errors / self.requests if self.requests else 0.0

    @property
    def p95(self) -> float | None:
        """Return the 95th percentile of the answers' seconds, None without answers."""
        return quantile(self.seconds, 0.95)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the judge goes by.

    `max_error_rate` and `max_p95` (seconds) are ceilings. `false_alarm` is the largest chance, over
    a whole analysis, that a version which is no worse gets a `no_go`; `suspicion` that of an end
    without a verdict because of errors. `tolerance` is by how much answers may become slower, as a
    part of what they took, before that matters. Fewer than `minimum` requests tell nothing, and
    fewer timed answers nothing of how long they take.
    """

    max_error_rate: float
    max_p95: float | None = None
    false_alarm: float = 0.004
    suspicion: float = 0.035
    tolerance: float = 0.1
    minimum: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Which of the planned looks this is: `number` of `planned`, counted from 1.

    One more than planned is the look at an analysis that was extended because of a suspicion.
    """

    number: int = 1
    planned: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.planned + 1 or self.planned > LOOKS:
            message = f"look {self.number} of {self.planned}: at most {LOOKS} are planned"
            raise ValueError(message)

    @property
    def last(self) -> bool:
        """Return whether no other look is planned after this one."""
        return self.number >= self.planned

    @property
    def share(self) -> float:
        """Return this look's part of the false alarms."""
        if self.number > self.planned:
            return _EXTENDED
        return _SPENT[self.planned][self.number - 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the judge says, with the chances that it goes by (None where it did not compare)."""

    verdict: Verdict
    reason: str
    message: str
    errors_p: float | None = None
    latency_p: float | None = None


def planned_looks(answers: float) -> int:
    """Return how many looks to plan for an analysis that will see about so many answers."""
    return max(1, min(LOOKS, int(answers // 20)))


def check_ceilings(new: Sample, rules: Rules, *, last: bool = False) -> Judgement | None:
    """Return a `no_go` if an absolute ceiling is broken; this may be asked as often as wanted.

    At the `last` look what was measured decides. Before it there has to be proof that the version
    is above the ceiling in the long run, not in its first answers alone.
    """
    broken = new.errors >= _NO_ACCIDENT and new.rate > rules.max_error_rate
    if broken and (last or _proven(new.errors, new.requests, rules.max_error_rate, rules)):
        message = (
            f"{new.errors} of {new.requests} requests failed, at most "
            f"{rules.max_error_rate:.1%} may"
        )
        return Judgement(verdict="no_go", reason="error_rate", message=message)
    p95 = new.p95
    if rules.max_p95 is None or p95 is None or len(new.seconds) < rules.minimum:
        return None
    slow = _above(new.seconds, rules.max_p95)
    if p95 > rules.max_p95 and (last or _proven(slow, len(new.seconds), 1 - SLOW, rules)):
        message = f"p95 is {p95:.2f} s, at most {rules.max_p95:.2f} s are allowed"
        return Judgement(verdict="no_go", reason="latency", message=message)
    return None


def _proven(events: int, trials: int, rate: float, rules: Rules) -> bool:
    return evidence_above(events, trials, rate) >= 1 / rules.false_alarm


def judge(new: Sample, base: Sample | None, rules: Rules, look: Look | None = None) -> Judgement:
    """Judge `new` beside `base`; without a base (nothing ran before) the ceilings alone decide.

    Before the last look `go` means that nothing stands against going on. At the last one a
    difference in errors below the proof but above suspicion is `inconclusive`: look longer. So are
    too few timed answers, of either version, where p95 has a ceiling.
    """
    at = look or Look()
    if any(math.isnan(value) for value in (*new.seconds, *(base.seconds if base else ()))):
        message = "some answers took no number of seconds, so nothing can be said of any"
        return Judgement(verdict="inconclusive", reason="no_figures", message=message)
    broken = check_ceilings(new, rules, last=at.last)
    if broken is not None:
        return broken
    # Whatever is configured: nothing measured is no pass.
    minimum = max(rules.minimum, 1)
    if new.requests < minimum:
        message = f"{new.requests} requests are too few to tell; {minimum} are needed"
        return Judgement(verdict="inconclusive", reason="too_few", message=message)
    if base is None:
        if at.last and (untimed := _untimed(new, None, rules)) is not None:
            return Judgement(verdict="inconclusive", reason="too_few", message=untimed)
        return Judgement(
            verdict="go",
            reason="within_ceilings",
            message=f"{_figures(new)}; there is nothing to compare with",
        )
    if base.requests < minimum:
        message = (
            f"the version beside it had {base.requests} requests, too few to compare with; "
            f"{minimum} are needed"
        )
        return Judgement(verdict="inconclusive", reason="too_few", message=message)
    return _compare(new, base, rules, at)


def _compare(new: Sample, base: Sample, rules: Rules, look: Look) -> Judgement:
    alarm = rules.false_alarm * look.share
    errors_p = fisher(new.errors, new.requests, base.errors, base.requests)
    latency_p, slower = _latency(new, base, rules, alarm)

    def say(verdict: Verdict, reason: str, message: str) -> Judgement:
        return Judgement(
            verdict=verdict,
            reason=reason,
            message=message,
            errors_p=errors_p,
            latency_p=latency_p,
        )

    beside = f"{new.errors} of {new.requests} requests failed, {base.errors} of {base.requests}"
    if errors_p <= alarm * _ERRORS:
        return say("no_go", "more_errors", f"{beside} beside it: chance has {errors_p:.2g}")
    if slower is not None:
        return say("no_go", "slower", slower)
    if look.last and errors_p <= rules.suspicion and new.errors >= _NO_ACCIDENT:
        message = f"{beside} beside it: suspicious, not proven (chance has {errors_p:.2g})"
        return say("inconclusive", "suspicious", message)
    if look.last and (untimed := _untimed(new, base, rules)) is not None:
        return say("inconclusive", "too_few", untimed)
    return say("go", "no_worse", f"{_figures(new)}; beside it {_figures(base)}")


def _untimed(new: Sample, base: Sample | None, rules: Rules) -> str | None:
    """Return why p95 cannot be held against its ceiling, None where it can or has none."""
    if rules.max_p95 is None:
        return None
    minimum = max(rules.minimum, 1)
    if len(new.seconds) < minimum:
        return (
            f"{len(new.seconds)} timed answers are too few to tell whether p95 keeps to "
            f"{rules.max_p95:.2f} s; {minimum} are needed"
        )
    if base is not None and len(base.seconds) < minimum:
        return (
            f"the version beside it gave {len(base.seconds)} timed answers, too few to compare "
            f"with; {minimum} are needed"
        )
    return None


def _latency(
    new: Sample, base: Sample, rules: Rules, alarm: float
) -> tuple[float | None, str | None]:
    """Return the smaller of the two chances, and what is slower if anything is."""
    if len(new.seconds) < rules.minimum or len(base.seconds) < rules.minimum:
        return None, None
    middle_p = rank_test(new.seconds, base.seconds)
    slow_p = slow_end(new.seconds, base.seconds)
    for chance, part, at in ((middle_p, _MIDDLE, 0.5), (slow_p, _SLOW, SLOW)):
        was, now = quantile(base.seconds, at) or 0.0, quantile(new.seconds, at) or 0.0
        if chance <= alarm * part and now > was * (1 + rules.tolerance):
            name = "the median" if at == 0.5 else f"p{at * 100:.0f}"
            message = (
                f"{name} is {now * 1000:.0f} ms, {was * 1000:.0f} ms beside it: chance has "
                f"{chance:.2g}"
            )
            return min(middle_p, slow_p), message
    return min(middle_p, slow_p), None


def slow_end(seconds: Sequence[float], base: Sequence[float]) -> float:
    """Return the chance of so many slow answers, slow being the slowest twentieth of both.

    The line is drawn over both together, so given it the count is hypergeometric: exact.
    """
    line = quantile((*seconds, *base), SLOW)
    if line is None:
        return 1.0
    slow, base_slow = _above(seconds, line), _above(base, line)
    return fisher(slow, len(seconds), base_slow, len(base))


def quantile(seconds: Sequence[float], part: float) -> float | None:
    """Return the value below which `part` of the sample lies (nearest rank), None for none."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def _above(seconds: Sequence[float], line: float) -> int:
    return sum(value > line for value in seconds)


def _figures(sample: Sample) -> str:
    p95 = sample.p95
    shown = f", p95 {p95 * 1000:.0f} ms" if p95 is not None else ""
    return f"{sample.requests} requests, {sample.errors} errors{shown}"
