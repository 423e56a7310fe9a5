"""What is said about reports, and about what is coming."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from include.notices.notice import Notice, Severity
from include.notices.wording import (
    bullets,
    count,
    listed,
    one_line,
    paragraph,
    sentence,
    shorten,
    stretch,
)
from include.notices.writing import write

_LONGEST = 2500
# What a channel shows of one system's changes: a list that is cut says how much of it is missing.
_CHANGES, _LIST = 15, 1200


def report_ready(
    *,
    report: str,
    title: str,
    period: str,
    summary: str,
    figures: Mapping[str, str],
    digest: str,
    missing: Mapping[str, str] | None = None,
    provisional: bool = False,
    link: str | None = None,
) -> Notice:
    """Tell that `report` (`weekly-2026-W47`) is ready, with its figures.

    `digest` tells one edition of the same period from the next. `missing` says of each form that
    it lacks where and why it could not be made, `provisional` that its time is not over.
    """
    lacking = {} if missing is None else missing
    remarks = ["provisional"] if provisional else []
    remarks += [f"without its {listed(lacking)}"] if lacking else []
    remark = f" ({', '.join(remarks)})" if remarks else ""
    return write(
        "report.ready",
        report,
        digest,
        *lacking,
        severity=Severity.WARNING if lacking else None,
        title=f"{one_line(title)}: {one_line(period)}{remark}",
        text=shorten(paragraph(summary), _LONGEST),
        fields={
            **figures,
            **{
                f"No {form}": f"{sentence(why)} The run tries again; if it gives up, mend this and "
                "clear its task. The other forms are complete."
                for form, why in lacking.items()
            },
        },
        link=link,
        final=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Coming:
    """One release or change that is coming to some systems."""

    id: str
    title: str
    systems: tuple[str, ...]
    start: datetime
    end: datetime
    state: str
    link: str | None = None


def upcoming(
    *,
    team: str,
    title: str,
    systems: Sequence[str],
    coming: Sequence[Coming],
    period: str,
    zone: str,
    people: Sequence[str] = (),
    resources: Mapping[str, str] | None = None,
    link: str | None = None,
) -> Notice:
    """Tell a team what is coming to its systems in `period` (`Mon 23 Nov to Sun 6 Dec 2026`).

    `resources` are the addresses of training and help, by what they are called.
    """
    by_system: dict[str, list[Coming]] = {name: [] for name in systems}
    for one in coming:
        for name in one.systems:
            if name in by_system:
                by_system[name].append(one)
    fields = {name: _list(found, zone) for name, found in by_system.items() if found}
    quiet = [name for name, found in by_system.items() if not found]
    text = f"{count(len(coming), 'change')}, {one_line(period)}."
    if quiet and coming:
        text += f" Nothing for {listed(quiet)}."
    return write(
        "digest.upcoming",
        f"{one_line(team)}: what is coming",
        period,
        title=f"{one_line(title)}: what is coming to your systems",
        text=text,
        fields={**fields, **(resources or {})},
        people=people,
        link=link,
    )


def _list(coming: Sequence[Coming], zone: str) -> str:
    lines = (
        f"{one.id} ({one_line(one.state)}): {shorten(one_line(one.title), 80)}, "
        f"{stretch(one.start, one.end, zone)}"
        for one in coming
    )
    return bullets(lines, most=_CHANGES, room=_LIST, rest=": ./hims digest")
