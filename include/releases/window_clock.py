"""The window's clock: what a deploy takes, what is left, and when it is too late to turn round.

Durations are measured where there is a history (the 95th percentile of what this service's releases
took in this profile by this strategy) and declared where there is not. A rollback is never reckoned
shorter than what this release's own took when staging rehearsed it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from include.calendar import ChangeCalendar
from include.entries.whole_calendar import whole_calendar
from include.errors import ConfigError, ReleaseControlError
from include.ledger import schema
from include.notices import Notice, texts
from include.releases.phases.cab import release_change
from include.releases.planning import local_time
from include.releases.train import Train

# Below so many past runs what is declared counts as well: the larger of the two. The 95th
# percentile of fewer is but their maximum.
ENOUGH = 20
# A service that was released daily ten years ago says nothing about today.
_REMEMBERED = 50

# By its first and its last step; all that was done from the one to the other is of it.
_STRETCHES = {
    "backup": ("take_backup", "prove_backup"),
    "deploy": ("begin_deploy", "switch_traffic"),
    "rollback": ("roll_back", "roll_back"),
}
# With the shares of a canary.
_PRODUCTION = (
    "take_backup", "prove_backup", "begin_deploy", "deploy_green", "smoke_test", "warm_up",
    "begin_switch", "switch_traffic", "roll_back",
)  # fmt: skip
# Between two steps: more than Airflow ever takes, and less than what stands still. A train that was
# killed and went on hours later says nothing of how long a deploy takes.
_BETWEEN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What production work takes; `measured` says of how many past runs each part was drawn."""

    backup: timedelta
    deploy: timedelta
    rollback: timedelta
    reserve: timedelta
    measured: tuple[tuple[str, int], ...] = ()

    @property
    def needed(self) -> timedelta:
        """Return what must be left before a deploy may start (design §5)."""
        return self.deploy + self.rollback + self.reserve

    @property
    def work(self) -> timedelta:
        """Return what must be left when the train enters the window, backup and all."""
        return self.backup + self.needed


def measure(train: Train, connection: Connection) -> Needs:
    """Return what this train needs by what past ones took."""
    declared = train.plan.profile.durations
    lengths = _past(train, connection)
    found = {name: _p95(lengths[name], getattr(declared, name)) for name in _STRETCHES}
    found["rollback"] = max(found["rollback"], _rehearsed(train))
    return Needs(
        **found,
        reserve=declared.reserve,
        measured=tuple((name, len(lengths[name])) for name in _STRETCHES),
    )


def needs_of(train: Train) -> Needs:
    """Return `measure` in a view of its own."""
    with train.ledger.read() as connection:
        return measure(train, connection)


def closes(train: Train, now: datetime) -> datetime | None:
    """Return when the window that is open now closes for this train, None if none is.

    An extended window that was granted to its change meanwhile counts. A calendar that cannot be
    read is closed.
    """
    plan = train.plan
    name = plan.profile.calendar
    file, label = train.settings.config_file(name), train.settings.label(name)
    try:
        with train.ledger.read() as connection:
            calendar = whole_calendar(file, connection, name=label)
    except ConfigError:
        return None
    return closes_in(calendar, now, plan.service.systems, _change(train))


def closes_in(
    calendar: ChangeCalendar, now: datetime, systems: Sequence[str], change: str | None
) -> datetime | None:
    """Return when what is open at `now` closes for a change, None if nothing is.

    Time that was granted to the change and joins a window goes on from it, with its slot. Two
    ordinary windows in a row stay two: a slot is booked in one of them.
    """
    state = calendar.state(now, systems=systems, change=change)
    end = state.closes if state.open else None
    while end is not None and not calendar.state(end, systems=systems).open:
        granted = calendar.state(end, systems=systems, change=change)
        if not granted.open or granted.closes is None:
            break
        end = granted.closes
    return end


def turn_by(train: Train, now: datetime) -> datetime | None:
    """Return the point of no return: the last instant at which a rollback still fits."""
    end = closes(train, now)
    return None if end is None else end - needs_of(train).rollback


def closing(train: Train, now: datetime) -> str | None:
    """Return why what is under way has to end now, None while a rollback still fits."""
    end = turn_by(train, now)
    if end is None:
        return "the change window has closed"
    if now >= end:
        return f"the window is closing: a rollback fits until {local_time(end, train.plan.zone)}"
    return None


def told_of_closing(train: Train, now: datetime, unfinished: str) -> Notice:
    """Return what people are told when the window closes on something unfinished."""
    return texts.window_closes(
        release=train.release,
        attempt=train.plan.attempt,
        closes=closes(train, now) or now,
        unfinished=unfinished,
        zone=train.plan.zone,
    )


def decide_by(train: Train, now: datetime) -> str:
    """Return `; decide by Sat 28 Nov 2026 03:22 EST` for people, nothing where none is open."""
    end = turn_by(train, now)
    return "" if end is None else f"; decide by {local_time(end, train.plan.zone)}"


def _change(train: Train) -> str | None:
    try:
        return release_change(train).id
    except ReleaseControlError:
        return None


def _p95(lengths: Sequence[timedelta], declared: timedelta) -> timedelta:
    if not lengths:
        return declared
    ordered = sorted(lengths)
    found = ordered[math.ceil(0.95 * len(ordered)) - 1]
    return found if len(ordered) >= ENOUGH else max(found, declared)


def _rehearsed(train: Train) -> timedelta:
    """Return what this release's own rollback took when staging rehearsed it."""
    if not train.has("rehearse_rollback"):
        return timedelta(0)
    return timedelta(seconds=float(train.result("rehearse_rollback").get("seconds") or 0))


def _past(train: Train, connection: Connection) -> dict[str, list[timedelta]]:
    steps, releases = schema.step, schema.release
    names = {name for pair in _STRETCHES.values() for name in pair}
    mine = (
        releases.c.service == train.plan.service.name,
        releases.c.plan["profile_name"].astext == train.plan.profile_name,
        releases.c.plan["strategy"].astext == train.plan.strategy,
    )
    newest = (
        select(steps.c.release_id, steps.c.attempt)
        .join(releases, releases.c.id == steps.c.release_id)
        .where(*mine, steps.c.name.in_(names), steps.c.state == "done")
        .group_by(steps.c.release_id, steps.c.attempt)
        .order_by(func.max(steps.c.finished_at).desc())
        .limit(_REMEMBERED)
        .subquery()
    )
    rows = connection.execute(
        select(
            steps.c.release_id, steps.c.attempt, steps.c.name,
            steps.c.started_at, steps.c.finished_at, steps.c.result,
        )
        .join(
            newest,
            (newest.c.release_id == steps.c.release_id) & (newest.c.attempt == steps.c.attempt),
        )
        .where(
            steps.c.state == "done",
            steps.c.name.in_(_PRODUCTION) | steps.c.name.startswith("shift_", autoescape=True),
        )
        .order_by(steps.c.finished_at)
    ).all()  # fmt: skip
    trains: dict[tuple[str, int], dict[str, Any]] = {}
    for row in rows:
        trains.setdefault((row.release_id, row.attempt), {})[row.name] = row
    own = (train.release, train.plan.attempt)
    found: dict[str, list[timedelta]] = {name: [] for name in _STRETCHES}
    for key, done in trains.items():
        for name, (first, last) in _STRETCHES.items():
            if key == own or first not in done or last not in done:
                continue
            # Emptying a slot that had no traffic is no rollback to measure by.
            if name == "rollback" and not (done[last].result or {}).get("rolled_back"):
                continue
            found[name].append(_length(list(done.values()), done[first], done[last]))
    return found


def _length(done: Sequence[Any], first: Any, last: Any) -> timedelta:
    """Return how long work took from its first step to its last, by the steps' last tries."""
    stretch = [
        row
        for row in done
        if first.finished_at <= row.finished_at <= last.finished_at
        and row.started_at >= first.started_at
    ]
    found, before = timedelta(0), first.started_at
    for row in sorted(stretch, key=lambda row: row.finished_at):
        found += min(max(row.started_at - before, timedelta(0)), _BETWEEN)
        found += row.finished_at - max(row.started_at, before)
        before = row.finished_at
    return found
