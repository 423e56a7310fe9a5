"""How often the judge finds what is there, and cries at what is not, beside Kayenta's arithmetic.

Both see the same generated cases: figures of so many minutes of two versions, at the same traffic.
Ours may hold a suspicious version and look at as many minutes again; that counts as found only if
it then says no. Its promise is a false alarm in at most 0.4 % of all analyses.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from include.deploy.judge import Look, Rules, Sample, judge
from tests.bench.figures import Figure
from tests.bench.kayenta import is_high

TRIALS = 400
MINUTES = (30, 60, 120)
A_MINUTE = 100  # requests
RULES = Rules(max_error_rate=0.01)
PROMISE = RULES.false_alarm

Draw = Callable[[random.Random], float]


@dataclass(frozen=True, slots=True)
class Case:
    """One row: how a minute of either version is drawn, and whether anything is wrong."""

    name: str
    new: Draw
    base: Draw
    errors: bool
    wrong: bool
    goal: bool = False


def _latency(factor: float) -> Draw:
    return lambda chance: factor * chance.lognormvariate(0, 0.3)


def _errors(share: float) -> Draw:
    return lambda chance: float(chance.random() < share)


CASES = (
    Case("latency, no change", _latency(1), _latency(1), errors=False, wrong=False, goal=True),
    Case("latency +10 %", _latency(1.1), _latency(1), errors=False, wrong=True),
    Case("latency +25 %", _latency(1.25), _latency(1), errors=False, wrong=True),
    Case("latency +50 %", _latency(1.5), _latency(1), errors=False, wrong=True),
    Case("no errors at all", _errors(0), _errors(0), errors=True, wrong=False, goal=True),
    Case("errors in 10 % of both's minutes", _errors(0.1), _errors(0.1), errors=True, wrong=False,
         goal=True),
    Case("clean, then errors in 10 % of minutes", _errors(0.1), _errors(0), errors=True,
         wrong=True),
    Case("clean, then errors in 20 % of minutes", _errors(0.2), _errors(0), errors=True,
         wrong=True),
    Case("clean, then errors in 30 % of minutes", _errors(0.3), _errors(0), errors=True,
         wrong=True, goal=True),
    Case("clean, then errors in 50 % of minutes", _errors(0.5), _errors(0), errors=True,
         wrong=True),
)  # fmt: skip


def figures() -> list[Figure]:
    """Return, per case and length, how often it is missed (or cried at) by ours and by theirs."""
    return [_row(case, minutes) for case in CASES for minutes in MINUTES]


def _row(case: Case, minutes: int) -> Figure:
    ours = held = theirs = 0
    for trial in range(TRIALS):
        chance = random.Random(f"{case.name}/{minutes}/{trial}")
        new = [case.new(chance) for _ in range(2 * minutes)]
        base = [case.base(chance) for _ in range(2 * minutes)]
        theirs += is_high(new[:minutes], base[:minutes])
        verdict, waited = _judge(case, new, base, minutes)
        ours += verdict
        held += waited
    found, peer = 100 * ours / TRIALS, 100 * theirs / TRIALS
    note = f"{100 * held / TRIALS:.1f} % were held as suspicious and looked at for twice the time"
    if not case.wrong:
        return Figure(
            name=f"{case.name}, {minutes} min: false alarms",
            ours=found,
            peer=peer,
            unit="%",
            # The promise, and three standard deviations of so many trials.
            most=100 * (PROMISE + 3 * (PROMISE / TRIALS) ** 0.5) if case.goal else None,
            note=note if held else "",
        )
    return Figure(
        name=f"{case.name}, {minutes} min: missed",
        ours=100 - found,
        peer=100 - peer,
        unit="%",
        most=5 if case.goal else None,
        note=note if held else "",
    )


def _judge(case: Case, new: list[float], base: list[float], minutes: int) -> tuple[bool, bool]:
    """Return whether ours says no in the end, and whether it had to look longer for it."""
    first = judge(_sample(case, new[:minutes]), _sample(case, base[:minutes]), RULES)
    if first.verdict != "inconclusive":
        return first.verdict == "no_go", False
    again = judge(_sample(case, new), _sample(case, base), RULES, Look(number=2, planned=1))
    return again.verdict == "no_go", True


def _sample(case: Case, values: list[float]) -> Sample:
    requests = A_MINUTE * len(values)
    if case.errors:
        return Sample(requests=requests, errors=round(sum(values)))
    return Sample(requests=requests, errors=0, seconds=tuple(values))
