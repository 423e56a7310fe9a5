"""Looking at a version in production, and what its step declares for an end without a verdict."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

from include.deploy.detectable import Detectable
from include.deploy.metrics.factory import open_metrics
from include.deploy.target import Colour, Target
from include.deploy.watch import Bystander, Watched, watch
from include.ledger import Outcome
from include.notices import texts
from include.releases.phases.code_freeze import artefact
from include.releases.train import Done, Train
from include.releases.window_clock import closing, decide_by, told_of_closing

ENVIRONMENT = "production"

Step = Literal["shift", "watch"]


def look(train: Train, target: Target, slot: Colour, *, step: Step, duration: timedelta) -> Done:
    """Watch `slot` and return whether the train may go on, by the verdict or the step's policy.

    Without a verdict it is held and told; then `watch.then` of the profile decides. A window that
    closes meanwhile leads where `closing` says.
    """
    plan = train.plan
    rules = plan.profile.watch
    at_closing = getattr(plan.profile.closing, step)
    seen = watch(
        target,
        slot,
        plan.service.checks.warm_up,
        rules,
        duration=duration,
        digest=artefact(train).digest,
        metrics=open_metrics(plan.service, ENVIRONMENT, target, train),
        bystander=Bystander(
            began=lambda found: _began(train, step, found),
            held=lambda reason, message: _held(train, step, reason, message),
            # Where it is to be finished anyway, closing is no reason to stop looking.
            closing=lambda: closing(train, train.clock()) if at_closing == "roll_back" else None,
        ),
    )
    figures = {"requests": seen.requests, "errors": seen.errors}
    message = f"watched for {seen.seconds:.0f} s: {seen.message}"
    if seen.verdict == "go":
        return Done(message=message, reason=seen.reason, result=figures)
    if seen.verdict == "no_go" or seen.reason == "window_closing" or rules.then == "roll_back":
        told = (
            [told_of_closing(train, train.clock(), message)]
            if seen.reason == "window_closing"
            else []
        )
        return Done(ok=False, reason=seen.reason, message=message, result=figures, notices=told)
    return _without_verdict(train, step, seen, message, figures)


def _without_verdict(
    train: Train, step: Step, seen: Watched, message: str, figures: dict[str, Any]
) -> Done:
    with train.unit() as unit:
        unit.append(
            "watch.unjudged",
            train.subject,
            outcome=Outcome.UNKNOWN,
            reason=seen.reason,
            message=f"{step}: {message}; it goes on all the same, as the profile declares "
            "(watch.then: finish)",
        )
    return Done(message=f"{message}; going on as declared", reason=seen.reason, result=figures)


def _began(train: Train, step: Step, found: Detectable) -> None:
    now = train.clock()
    with train.unit() as unit:
        unit.append(
            "watch.began",
            train.subject,
            reason=step,
            message=f"{found.sentence()}{decide_by(train, now)}",
            details={
                "requests": found.requests,
                "base_requests": found.base_requests,
                "error_points": _rounded(found.error_points),
                "slowdown": _rounded(found.slowdown),
            },
        )


def _held(train: Train, step: Step, reason: str, message: str) -> None:
    rules = train.plan.profile.watch
    then = "it is rolled back" if rules.then == "roll_back" else "it goes on"
    with train.unit() as unit:
        unit.append(
            "watch.held",
            train.subject,
            outcome=Outcome.UNKNOWN,
            reason=reason,
            message=f"no verdict yet ({step}): {message}; held for "
            f"{rules.hold.total_seconds():.0f} s, then {then}",
        )
        train.tell(
            unit,
            texts.watch_held(
                release=train.release,
                attempt=train.plan.attempt,
                step=step,
                reason=message,
                hold=rules.hold,
                then=rules.then,
                zone=train.plan.zone,
                until=unit.now + rules.hold,
            ),
        )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
