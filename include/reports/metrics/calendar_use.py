"""What the calendar cost and what it gave: freeze days, and how windows were used."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from include.calendar.spans import clip, merge
from include.calendar.wall_time import Span
from include.instants import format_duration
from include.notices.wording import count
from include.reports.facts import Facts
from include.reports.metrics.metric import Line, Metric, Unit, share

_DAY = 86_400


def freeze_days(facts: Facts) -> Metric:
    """Return the days under some release freeze, feature and code freezes apart too."""
    parts = {
        phase: _seconds([item.span for item in facts.freezes if item.phase == phase]) / _DAY
        for phase in ("feature", "code")
    }
    days = _seconds([item.span for item in facts.freezes]) / _DAY
    length = (facts.end - facts.start).total_seconds() / _DAY
    return Metric(
        name="freeze_days",
        family="calendar",
        title="Freeze days",
        formula=(
            "days (24 h) of the period covered by at least one release's freeze, from its feature "
            "freeze, or its planning if that is later, to the end of its slot or train; overlaps "
            "count once"
        ),
        unit=Unit.DAYS,
        value=days,
        numerator=days,
        denominator=length,
        said=(
            f"{days:.1f} of {length:.1f} days, {parts['code']:.1f} of them under a code freeze"
            if facts.freezes
            else "no release was under a freeze in the period"
        ),
        parts=parts,
        rows=[
            Line(
                id=item.release,
                counted=True,
                why=f"{item.phase} freeze",
                value=(item.span.end - item.span.start).total_seconds() / _DAY,
            )
            for item in facts.freezes
        ],
    )


def window_use(facts: Facts) -> Metric:
    """Return how much of the open windows' time somebody worked in."""
    open_ = merge(facts.openings)
    work = merge(_worked(facts))
    total = _seconds(open_)
    used_by = [(opening, _seconds(clip(work, [opening]))) for opening in open_]
    used = sum(seconds for _, seconds in used_by)
    busy = sum(seconds > 0 for _, seconds in used_by)
    return Metric(
        name="window_use",
        family="calendar",
        title="Window use",
        formula=(
            "time in open windows during which at least one change was implemented / time that the "
            "calendar has windows open"
        ),
        unit=Unit.SHARE,
        value=share(used, total),
        numerator=used,
        denominator=total,
        said=(
            f"{_long(used)} of the {_long(total)} open, in {busy} of {count(len(open_), 'opening')}"
            if open_
            else "no data: the calendar has no open window in the period"
        ),
        parts={"openings_count": len(open_), "used_count": busy},
        rows=[
            Line(
                id=f"{opening.start:%Y-%m-%dT%H:%MZ}",
                counted=seconds > 0,
                why="used" if seconds else "not used",
                value=seconds,
            )
            for opening, seconds in used_by
        ],
    )


def _worked(facts: Facts) -> Iterator[Span]:
    """Yield when each change was implemented; one that still is, as far as is known."""
    for change in facts.changes:
        over = change.finished_at
        if over is None and change.working:
            over = facts.known_until
        if change.started_at is not None and over is not None and change.started_at < over:
            yield Span(change.started_at, over)


def _long(seconds: float) -> str:
    return format_duration(timedelta(seconds=round(seconds)))


def _seconds(spans: list[Span]) -> float:
    return sum((span.end - span.start).total_seconds() for span in merge(spans))
