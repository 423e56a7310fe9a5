"""Draws a made-up history: changes, releases, votes, incidents and what gates measured.

Pure: the same years, seed and last day give the same history. What is drawn here is the truth that
`truth.py` writes beside the ledger; nothing of it is read back from there.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from include.reports.demo.words import LESSONS, REQUESTERS, SEATS, SYSTEMS, TITLES

SERVICES = ("hims-api", "hims-web")
PER_YEAR = 1500
_TYPES = (("standard", 34), ("normal", 46), ("major", 4), ("emergency", 12), ("retroactive", 4))
_ZONE = ZoneInfo("America/New_York")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass(slots=True, kw_only=True)
class MadeIncident:
    """An incident that a change caused, or that one was made for."""

    id: str
    severity: str
    title: str
    systems: list[str]
    opened_at: datetime
    closed_at: datetime | None
    caused_by: str | None = None


@dataclass(slots=True, kw_only=True)
class MadeChange:
    """A change with the whole of its way, in order: `(state, instant)`."""

    id: str
    type: str
    title: str
    systems: list[str]
    requester: str
    service: str | None
    way: list[tuple[str, datetime]]
    outcome: str | None = None
    slot: tuple[datetime, datetime] | None = None
    window: str = "standard"
    votes: list[tuple[str, datetime]] = field(default_factory=list)
    release: MadeRelease | None = None
    lesson: str | None = None
    rolled_back: bool = False

    def at(self, state: str) -> datetime | None:
        """Return when it first entered a state."""
        return next((instant for name, instant in self.way if name == state), None)


@dataclass(slots=True, kw_only=True)
class MadeRelease:
    """A release of a service: what it brought, when it was frozen, how it went."""

    id: str
    service: str
    version: str
    type: str
    planned_at: datetime
    feature_freeze: datetime
    code_freeze: datetime
    slot: tuple[datetime, datetime]
    commits: list[datetime]
    switched_at: datetime | None = None
    returned_at: datetime | None = None
    ended_at: datetime | None = None
    state: str = "released"
    canary: bool = False
    measures: list[tuple[str, str, float, datetime]] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class MadeHistory:
    """Everything, in the order in which it was drawn."""

    start: datetime
    end: datetime
    changes: list[MadeChange]
    incidents: list[MadeIncident]

    @property
    def releases(self) -> list[MadeRelease]:
        """Return the releases, in the order of their changes."""
        return [change.release for change in self.changes if change.release is not None]


def make_history(*, years: int, seed: int, end: datetime, per_year: int = PER_YEAR) -> MadeHistory:
    """Return `years` of history before `end`, about `per_year` changes in each."""
    return _Maker(years=years, seed=seed, end=end, per_year=per_year).make()


class _Maker:
    def __init__(self, *, years: int, seed: int, end: datetime, per_year: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - a history has to come out the same again
        self.end = end.astimezone(UTC).replace(microsecond=0)
        self.start = self.end - timedelta(days=365 * years)
        self.number = years * per_year
        self.incidents: list[MadeIncident] = []
        self.versions = {service: [2, 0, 0] for service in SERVICES}

    def make(self) -> MadeHistory:
        """Draw all changes in order of their opening."""
        length = (self.end - self.start).total_seconds()
        opened = sorted(self.random.uniform(0, length) for _ in range(self.number))
        changes = [
            self.change(number, self.start + timedelta(seconds=round(after)))
            for number, after in enumerate(opened, start=1)
        ]
        for change in changes:
            self.cut(change)
        return MadeHistory(
            start=self.start, end=self.end, changes=changes, incidents=self.incidents
        )

    def cut(self, made: MadeChange) -> None:
        """Leave out what has not happened yet at the end of the history."""
        release = made.release
        made.way = [step for step in made.way if step[1] < self.end]
        states = [state for state, _ in made.way]
        made.rolled_back = "rolling_back" in states
        if states[-1] != "closed":
            made.outcome = made.lesson = None
        if release is None:
            return
        release.measures = [item for item in release.measures if item[3] < self.end]
        if release.switched_at is not None and release.switched_at >= self.end:
            release.switched_at = None
        if release.returned_at is not None and release.returned_at >= self.end:
            release.returned_at = None
        if release.ended_at is None or release.ended_at >= self.end:
            release.ended_at, release.state = None, "running"

    def change(self, number: int, opened: datetime) -> MadeChange:
        """Draw one change from its opening to its end."""
        pick = self.random
        kind = pick.choices([name for name, _ in _TYPES], [weight for _, weight in _TYPES])[0]
        found = kind == "retroactive" and pick.random() < 0.4
        made = MadeChange(
            id=f"CHG-{number:06d}",
            type=kind,
            title=pick.choice(TITLES),
            systems=sorted(pick.sample(SYSTEMS, pick.choice((1, 1, 2)))),
            requester="service:reconcile" if found else pick.choice(REQUESTERS),
            service=None,
            way=[("opened", opened), ("assessing", opened + self.some(MINUTE, 5))],
        )
        if kind == "retroactive":
            self.acknowledge(made)
        elif kind == "emergency":
            self.hurry(made)
        else:
            self.travel(made)
        return made

    def acknowledge(self, made: MadeChange) -> None:
        """Lead a retroactive change to its end."""
        at = self.later(made, "authorizing", HOUR, 2)
        self.vote(made, at, SEATS[:3], HOUR)
        self.later(made, "review", HOUR, 10)
        self.close(made, "successful")

    def hurry(self, made: MadeChange) -> None:
        """Lead an emergency to its end; it is made for an incident."""
        self.incident(
            made, opened=made.way[0][1] - self.some(MINUTE, 20), caused=False, severity="P1"
        )
        at = self.later(made, "authorizing", MINUTE, 5)
        self.vote(made, at, SEATS[:2], MINUTE)
        at = self.later(made, "scheduled", MINUTE, 25)
        made.slot, made.window = (at, at + 4 * HOUR), "emergency"
        self.work(made, at + self.some(MINUTE, 10))

    def travel(self, made: MadeChange) -> None:
        """Lead a standard, normal or major change to its end."""
        pick = self.random
        at = made.way[-1][1]
        if made.type != "standard":
            at = self.later(made, "authorizing", HOUR, 20)
            self.vote(made, at, SEATS if made.type == "major" else SEATS[:4], HOUR)
            fate = pick.random()
            if fate < 0.05:
                self.later(made, "rejected", HOUR, 60)
                return
            at = self.later(made, "scheduled", HOUR, 70)
        else:
            at = self.later(made, "scheduled", MINUTE, 30)
        if pick.random() < 0.06:
            self.later(made, "cancelled", DAY, 2)
            return
        opening = _saturday(at + 6 * HOUR)
        made.slot = (opening, opening + 2 * HOUR)
        released = made.type in ("normal", "major") and pick.random() < 0.16
        if released:
            self.release(made, opening)
        early = -self.some(MINUTE, 6) if pick.random() < 0.01 else self.some(MINUTE, 15)
        self.work(made, opening + early)

    def work(self, made: MadeChange, at: datetime) -> None:
        """Implement, and come out well or badly."""
        pick = self.random
        length = timedelta(seconds=round(pick.lognormvariate(7.6, 0.55)))
        made.way.append(("implementing", at))
        fate = pick.random()
        if fate < 0.05:
            made.rolled_back = True
            made.way.append(("rolling_back", at + length))
            made.way.append(("review", at + length + self.some(MINUTE, 9)))
            outcome = "rolled_back"
        else:
            made.way.append(("validating", at + length))
            made.way.append(("review", at + length + self.some(MINUTE, 40)))
            outcome = (
                "failed" if fate < 0.06 else "successful_with_issues" if fate < 0.09
                else "successful"
            )  # fmt: skip
        self.deploy(made, at, length)
        over = made.way[-2][1] if outcome != "rolled_back" else made.way[-1][1]
        if pick.random() < 0.05:
            for _ in range(pick.choice((1, 1, 1, 2, 3))):
                self.incident(made, opened=over + self.some(HOUR, 40), caused=True)
        self.close(made, outcome)

    def deploy(self, made: MadeChange, at: datetime, length: timedelta) -> None:
        """Let a release's traffic move while its change is implemented."""
        release = made.release
        if release is None:
            return
        release.switched_at = at + length / 2
        release.ended_at = made.way[-1][1]
        if made.rolled_back:
            release.returned_at = made.way[-1][1]
            # What shows itself at once shows itself to a few.
            release.canary = length < 30 * MINUTE
            release.state = "rolled_back"

    def close(self, made: MadeChange, outcome: str) -> None:
        """Review and close."""
        after = (
            DAY if made.type in ("emergency", "retroactive") or outcome != "successful" else HOUR
        )
        made.outcome = outcome
        self.later(made, "closed", after, 2)
        if outcome != "successful" or self.random.random() < 0.05:
            made.lesson = self.random.choice(LESSONS)

    def release(self, made: MadeChange, opening: datetime) -> None:
        """Make the change one of a release train."""
        pick = self.random
        service = pick.choice(SERVICES)
        kind = (
            "major" if made.type == "major" else pick.choice(("minor", "patch", "patch", "hotfix"))
        )
        version = self.versions[service]
        place = {"major": 0, "minor": 1}.get(kind, 2)
        version[place] += 1
        version[place + 1 :] = [0] * (2 - place)
        text = ".".join(map(str, version))
        planned = made.way[0][1] - self.some(DAY, 4)
        made.service, made.systems = service, ["api"] if service == "hims-api" else ["frontend"]
        made.title = f"{service} {text}"
        made.release = MadeRelease(
            id=f"{service}-{text}",
            service=service,
            version=text,
            type=kind,
            planned_at=planned,
            feature_freeze=opening - 14 * DAY,
            code_freeze=opening - 7 * DAY,
            slot=made.slot or (opening, opening + 2 * HOUR),
            commits=sorted(
                opening - 7 * DAY - self.some(DAY, 6) for _ in range(pick.randint(2, 14))
            ),
        )
        tested = made.way[0][1] + self.some(MINUTE, 30)
        age = (opening - self.start) / (self.end - self.start)
        covered = round(88 + 4 * age + pick.gauss(0, 0.7), 1)
        scored = round(78 + 9 * age + pick.gauss(0, 1.2), 1)
        open_ = max(0, round(9 - 6 * age + pick.gauss(0, 1.5)))
        made.release.measures = [
            ("release_tests", "coverage", covered, tested),
            ("release_tests", "code_quality", scored, tested),
            ("release_tests", "open_vulnerabilities", open_, tested),
            ("uat", "defects_found", pick.randint(0, 9), tested + HOUR),
        ]

    def incident(
        self, made: MadeChange, *, opened: datetime, caused: bool, severity: str | None = None
    ) -> None:
        """Draw an incident that the change caused, or the one that it was made for."""
        number = len(self.incidents) + 1
        kind = severity or self.random.choices(("P1", "P2", "P3", "P4"), (1, 3, 5, 3))[0]
        closed = opened + self.some(HOUR, 5)
        if opened >= self.end:
            return
        self.incidents.append(
            MadeIncident(
                id=f"INC-{number:06d}",
                severity=kind,
                title=f"{made.systems[0]}: {self.random.choice(('slow', 'errors', 'unavailable'))}",
                systems=made.systems,
                opened_at=opened,
                closed_at=closed if closed < self.end else None,
                caused_by=made.id if caused else None,
            )
        )

    def vote(
        self, made: MadeChange, asked: datetime, seats: Sequence[str], unit: timedelta
    ) -> None:
        """Let every seat vote, each after its own habit."""
        for place, seat in enumerate(seats):
            at = asked + self.some(unit, 3 + 4 * place)
            if at < self.end:
                made.votes.append((seat, at))

    def later(self, made: MadeChange, state: str, unit: timedelta, mean: float) -> datetime:
        """Move the change on after a wait and return when; never before its last vote."""
        at = made.way[-1][1]
        if state in ("scheduled", "review", "rejected") and made.votes:
            at = max(at, *(cast for _, cast in made.votes))
        at += self.some(unit, mean)
        made.way.append((state, at))
        return at

    def some(self, unit: timedelta, mean: float) -> timedelta:
        """Return an exponentially distributed wait in whole seconds, at least one."""
        seconds = self.random.expovariate(1 / (mean * unit.total_seconds()))
        return timedelta(seconds=1 + round(min(seconds, 8 * mean * unit.total_seconds())))


def _saturday(after: datetime) -> datetime:
    """Return the first Saturday 02:00 New York after an instant."""
    local = after.astimezone(_ZONE).replace(hour=2, minute=0, second=0, microsecond=0)
    local += timedelta(days=(5 - local.weekday()) % 7)
    found = local.astimezone(UTC)
    while found <= after:
        local += timedelta(days=7)
        found = local.astimezone(UTC)
    return found
