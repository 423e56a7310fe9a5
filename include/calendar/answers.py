"""What the calendar answers: values with machine reasons and sentences for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from include.calendar.wall_time import Span, local_span_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why production is closed, or what to know where it is open.

    Codes: `outside_window`, `blackout`, `freeze`, `holiday`, `no_emergency_window` close it;
    `holiday` (policy warn), `cutoff` and `dst_gap` may stand beside an open window.
    """

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarState:
    """Whether production is open at `at` for the systems asked about.

    `windows` are those in whose hours `at` lies, also where something closes them. `closes` ends
    the open stretch that contains `at`; `latest_start` is that less the window's cutoff. Both are
    None when closed, and when an emergency meets no end. `next_transition` is when `open`
    next changes: None for what stays closed until the end of 2200 or open for twelve years.
    """

    at: datetime
    open: bool
    windows: tuple[str, ...]
    reasons: tuple[Reason, ...]
    next_transition: datetime | None
    closes: datetime | None
    latest_start: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSlot:
    """One opening of a window, `[start, end)` in UTC, with its true ends.

    `open` lists what blackouts, blocking holidays and the other systems' windows leave of it.
    """

    window: str
    start: datetime
    end: datetime
    open: tuple[Span, ...]
    reasons: tuple[Reason, ...]
    zone: ZoneInfo

    @property
    def local(self) -> str:
        """The slot in its window's zone, like `Sat 28 Nov 2026 02:00–04:00 EST`."""
        return local_span_text(Span(self.start, self.end), self.zone)

    @property
    def state(self) -> str:
        """`open` when all of it is, `blocked` when nothing is, else `cut`."""
        if self.open == ((self.start, self.end),):
            return "open"
        return "cut" if self.open else "blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Where work fits: start it from `start` to `latest_start`; the stretch closes at `end`.

    `latest_start` is the earlier of `end` less the cutoff and `end` less what the work needs;
    `cutoff` is the longest among the windows that it takes.
    """

    window: str
    start: datetime
    latest_start: datetime
    end: datetime
    cutoff: timedelta
    zone: ZoneInfo

    @property
    def local(self) -> str:
        """The opening in its window's zone, like `Sat 28 Nov 2026 02:00–04:00 EST`."""
        return local_span_text(Span(self.start, self.end), self.zone)
