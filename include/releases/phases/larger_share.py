"""Whether a version that has begun to take traffic may be given a larger share of it."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from include.permits.permit import check_again
from include.releases.train import Done, Train
from include.releases.window_clock import closing, needs_of, told_of_closing


def stopped(train: Train, step: str) -> Done | None:
    """Return why the share of `step` is not given, None if it may be.

    A window that closes leads where the profile declares it (`closing.shift`); everything else that
    the permit stands on has to stand still.
    """
    now = train.clock()
    why = closing(train, now)
    finishing = why is not None and train.plan.profile.closing.shift == "finish"
    if why is not None and not finishing:
        return train.step(step, "deploy.traffic_shifted", partial(_closed, train, now, why))
    needs = needs_of(train).rollback
    still = check_again(train, needs=needs, begun=True, closing=finishing)
    if still.permit is None:
        return Done(ok=False, reason="permit_withdrawn", message=still.message)
    return None


def _closed(train: Train, now: datetime, why: str) -> Done:
    message = f"{why}; the new version gets no larger share"
    told = told_of_closing(train, now, message)
    return Done(ok=False, reason="window_closing", message=message, notices=[told])
