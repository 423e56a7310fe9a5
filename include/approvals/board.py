"""The Change Advisory Board: seats, holders, dated delegates (config/approvals.yaml)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field

from include.approvals.rule import Rule
from include.calendar.wall_time import zone_of
from include.changes.items import TITLES
from include.documents import Document, Section, read_document, validate_document
from include.errors import ConfigError, Problem, RequestError, did_you_mean
from include.fields import Duration
from include.people import People, Person
from include.settings import Settings

# The checkpoints of a release train that one person answers.
CHECKPOINTS = ("uat", "go_no_go")
# The types of change that people vote on; a standard one was voted on with its model.
VOTED_ON = ("normal", "major", "emergency", "retroactive")


def _some(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be more than nothing: nobody could answer in time")
    return value


class _Delegate(Section):
    person: str
    since: date | None = None
    until: date | None = None


class _Seat(Section):
    title: str
    holder: str
    chair: bool = False
    delegates: tuple[_Delegate, ...] = ()


class _Rule(Section):
    mandatory: tuple[str, ...]
    asked: tuple[str, ...] = Field(min_length=1)
    votes: int = Field(ge=1)
    approvals: int = Field(default=0, ge=0)
    chair: bool = True
    answer_in: Annotated[Duration, AfterValidator(_some)] | None = None


class _File(Section):
    timezone: str
    shell_requester: str | None = None
    votes_last: Annotated[Duration, AfterValidator(_some)] = timedelta(days=14)
    escalate_after: float = Field(default=0.5, gt=0, lt=1)
    seats: dict[str, _Seat] = Field(min_length=1)
    rules: dict[str, _Rule]
    checkpoints: dict[str, tuple[str, ...]]
    checklist: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(
        default_factory=dict
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """One seat of the board."""

    name: str
    title: str
    holder: str
    chair: bool
    delegates: tuple[tuple[str, date | None, date | None], ...]

    def occupants(self, on: date) -> tuple[str, ...]:
        """Return who may speak for the seat on a local day: the holder, then delegates whose
        days (`since` … `until`, both inclusive) contain it."""
        standing = (
            person
            for person, since, until in self.delegates
            if (since is None or since <= on) and (until is None or on <= until)
        )
        return (self.holder, *standing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """The board and its rules; `zone` is where a delegate's days begin and end.

    `checklist` names whose word counts on items of a change's checklists, where that is not the
    go/no-go's business.
    """

    zone: ZoneInfo
    seats: dict[str, Seat]
    rules: dict[str, Rule]
    checkpoints: dict[str, tuple[str, ...]]
    checklist: dict[str, tuple[str, ...]] = field(default_factory=dict)
    shell_requester: str | None = None
    votes_last: timedelta = timedelta(days=14)
    escalate_after: float = 0.5

    def rule(self, change_type: str) -> Rule:
        """Return the decision rule for a type of change; RequestError if there is none."""
        try:
            return self.rules[change_type]
        except KeyError:
            raise RequestError(
                f'config/approvals.yaml has no rule for "{change_type}" changes'
                f"{did_you_mean(change_type, self.rules)}"
            ) from None

    def day(self, now: datetime) -> date:
        """Return the board's local day at an instant."""
        return now.astimezone(self.zone).date()

    def groups(self, person: Person, now: datetime) -> frozenset[str]:
        """Return the names for which `person` answers human tasks: roles that are no seats, and
        the seats held or stood in for on this day (a role alone does not give a seat)."""
        roles = {role for role in person.roles if role not in self.seats}
        return frozenset(roles | set(self.seats_of(person.user, self.day(now))))

    def speakers(self, item: str) -> tuple[str, ...]:
        """Return the roles and seats whose word counts on an item of a change's checklists."""
        return self.checklist.get(item, self.checkpoints["go_no_go"])

    def bearers(self, people: People, group: str, now: datetime) -> list[Person]:
        """Return who answers for a role or a seat at `now`."""
        return [person for person in people.people if group in self.groups(person, now)]

    def seats_of(self, user: str, on: date) -> tuple[str, ...]:
        """Return the seats that `user` may speak for on a local day."""
        return tuple(name for name, seat in self.seats.items() if user in seat.occupants(on))

    def eligible(self, seat: str, on: date, excluded: Iterable[str]) -> tuple[str, ...]:
        """Return who may vote on this seat: its occupants without requesters and authors."""
        barred = set(excluded)
        return tuple(user for user in self.seats[seat].occupants(on) if user not in barred)


def load_board(settings: Settings, people: People) -> Board:
    """Return config/approvals.yaml; ConfigError names unknown people, seats, two chairs, and who
    holds rights that must not meet in one person (`./hims access check` explains them)."""
    # Only here: what the matrix is made of is this very board.
    from include.access.matrix import separation

    board = board_as_written(settings, people)
    label = settings.label("people.yaml")
    problems = [
        Problem(file=label, key=f"people.{item.user}", message=item.message)
        for item in separation(people, board)
    ]
    if problems:
        raise ConfigError(problems)
    return board


def board_as_written(settings: Settings, people: People) -> Board:
    """Return config/approvals.yaml without asking whether duties are separated."""
    path = settings.config_file("approvals.yaml")
    document = read_document(path, name=settings.label("approvals.yaml"))
    file = validate_document(document, _File)
    problems = [
        *_unknown_people(document, file, people),
        *_unknown_seats(document, file),
        *_unknown_rules(document, file),
        *_unanswerable_checkpoints(document, file, people),
    ]
    try:
        zone = zone_of(file.timezone)
    except RequestError as error:
        raise ConfigError([document.problem(("timezone",), str(error)), *problems]) from None
    chairs = [name for name, seat in file.seats.items() if seat.chair]
    if len(chairs) != 1:
        problems.append(document.problem(("seats",), f"one seat has the chair, not {len(chairs)}"))
    else:
        problems += _undecidable_rules(document, file, chairs[0])
    if problems:
        raise ConfigError(problems)
    return Board(
        zone=zone,
        seats={
            name: Seat(
                name=name,
                title=seat.title,
                holder=seat.holder,
                chair=seat.chair,
                delegates=tuple((item.person, item.since, item.until) for item in seat.delegates),
            )
            for name, seat in file.seats.items()
        },
        rules={
            name: Rule(
                mandatory=rule.mandatory,
                asked=rule.asked,
                votes=rule.votes,
                chair=chairs[0] if rule.chair else None,
                approvals=rule.approvals,
                answer_in=rule.answer_in,
            )
            for name, rule in file.rules.items()
        },
        checkpoints=file.checkpoints,
        checklist=file.checklist,
        shell_requester=file.shell_requester,
        votes_last=file.votes_last,
        escalate_after=file.escalate_after,
    )


def _unknown_people(document: Document, file: _File, people: People) -> Iterable[Problem]:
    known = [person.user for person in people.people]
    if file.shell_requester is not None and file.shell_requester not in known:
        wrong = file.shell_requester
        message = f'"{wrong}" is not in people.yaml{did_you_mean(wrong, known)}'
        yield document.problem(("shell_requester",), message)
    for name, seat in file.seats.items():
        for user in (seat.holder, *(item.person for item in seat.delegates)):
            if user not in known:
                message = f'"{user}" is not in people.yaml{did_you_mean(user, known)}'
                yield document.problem(("seats", name), message)
        for index, item in enumerate(seat.delegates):
            if item.since and item.until and item.until < item.since:
                message = f"ends ({item.until}) before it begins ({item.since})"
                yield document.problem(("seats", name, "delegates", index, "until"), message)


def _unknown_seats(document: Document, file: _File) -> Iterable[Problem]:
    for name, rule in file.rules.items():
        for part in ("mandatory", "asked"):
            for index, seat in enumerate(getattr(rule, part)):
                if seat not in file.seats:
                    message = f'"{seat}" is not a seat{did_you_mean(seat, file.seats)}'
                    yield document.problem(("rules", name, part, index), message)


def _unknown_rules(document: Document, file: _File) -> Iterable[Problem]:
    """Find types of change that nobody could decide on, and rules that nothing goes by."""
    for name in file.rules:
        if name not in VOTED_ON:
            message = (
                f'"{name}" is no type of change that is voted on{did_you_mean(name, VOTED_ON)}'
            )
            yield document.problem(("rules", name), message)
    for name in VOTED_ON:
        if name not in file.rules:
            yield document.problem(("rules", name), "is required: who decides on such a change")


def _undecidable_rules(document: Document, file: _File, chair: str) -> Iterable[Problem]:
    """Find rules by which no vote could ever end with a yes."""
    for name, rule in file.rules.items():
        asked = set(rule.asked)
        if not set(rule.mandatory) <= asked:
            yield document.problem(("rules", name, "asked"), "must contain every mandatory seat")
        if not rule.mandatory and not rule.approvals:
            message = "may be empty only where `approvals` says how many have to approve"
            yield document.problem(("rules", name, "mandatory"), message)
        if rule.approvals > len(asked):
            yield document.problem(("rules", name, "approvals"), "is more than the seats asked")
        if rule.chair and chair not in asked:
            message = f"must contain {chair}: the chair, or a delegate, has to vote"
            yield document.problem(("rules", name, "asked"), message)
        if len(asked) < len(rule.asked):
            yield document.problem(("rules", name, "asked"), "names a seat twice")
        if len(asked) < rule.votes:
            yield document.problem(("rules", name, "votes"), "is more than the seats asked")


def _unanswerable_checkpoints(document: Document, file: _File, people: People) -> Iterable[Problem]:
    known = {role for person in people.people for role in person.roles} | set(file.seats)
    for name in CHECKPOINTS:
        if not file.checkpoints.get(name):
            message = "is required: the roles of which any one answers it"
            yield document.problem(("checkpoints", name), message)
    for part in ("checkpoints", "checklist"):
        for name, roles in getattr(file, part).items():
            for index, role in enumerate(roles):
                if role not in known:
                    message = f'nobody is "{role}"{did_you_mean(role, known)}'
                    yield document.problem((part, name, index), message)
    for name in file.checklist:
        if name not in TITLES:
            message = f'"{name}" is on no checklist{did_you_mean(name, TITLES)}'
            yield document.problem(("checklist", name), message)
