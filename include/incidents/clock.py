"""The two clocks of an incident: until somebody answers it, and until it is over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

# Of the time that people have, how much is gone when they are warned.
WARNED = 0.75
State = Literal["runs", "warned", "breached", "met"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """One clock, `response` or `resolution`: it runs from `start` to `due`, or to `stopped`."""

    name: str
    start: datetime
    due: datetime
    stopped: datetime | None = None

    @property
    def warns_at(self) -> datetime:
        """Return when three quarters of the time are gone."""
        return self.start + (self.due - self.start) * WARNED

    @property
    def moments(self) -> tuple[datetime, datetime]:
        """Return when people are to be told, if it still runs then."""
        return self.warns_at, self.due

    def state(self, now: datetime) -> State:
        """Return how it stands: stopped exactly when it was due, it is met."""
        until = now if self.stopped is None else self.stopped
        if self.stopped is not None:
            return "met" if until <= self.due else "breached"
        if until >= self.due:
            return "breached"
        return "warned" if until >= self.warns_at else "runs"

    def left(self, now: datetime) -> timedelta:
        """Return what is left of it; negative once it has run out."""
        return self.due - (now if self.stopped is None else self.stopped)
