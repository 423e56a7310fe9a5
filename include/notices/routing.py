"""config/notices.yaml: which channels there are, and which audience is told where."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from include.documents import Section, read_document, validate_document
from include.errors import ConfigError, did_you_mean
from include.ledger.record import storable
from include.notices.notice import Audience, Notice, Severity
from include.people import People, load_people
from include.settings import Settings

FILE = "notices.yaml"
LOG = "log"


class SlackPlace(Section):
    """A Slack channel. `channel` is its name or id; else the connection's extra `channel`."""

    type: Literal["slack"]
    connection: str = "slack_default"
    channel: str | None = None


class Mailboxes(Section):
    """The mailboxes of those whom a notice is for."""

    type: Literal["email"]
    connection: str = "smtp_default"
    sender: str | None = Field(default=None, alias="from", pattern=r"^[^@\s<>]+@[^@\s<>]+$")


class LogLines(Section):
    """The log of the task that delivers."""

    type: Literal["log"]


Place = Annotated[SlackPlace | Mailboxes | LogLines, Field(discriminator="type")]


_Address = Annotated[str, Field(pattern=r"^https?://\S+$", max_length=500)]


class _Audience(Section):
    channels: tuple[str, ...] = Field(min_length=1)
    roles: tuple[str, ...] = ()


class _Team(Section):
    title: str
    systems: tuple[str, ...] = Field(min_length=1)
    people: tuple[str, ...] = ()


class _File(Section):
    channels: dict[str, Place]
    audiences: dict[Audience, _Audience]
    # Audiences that are told as well, by severity.
    escalate: dict[Severity, tuple[Audience, ...]] = Field(default_factory=dict)
    teams: dict[str, _Team] = Field(default_factory=dict)
    # What every digest names: training that is on offer, where help is.
    resources: dict[str, _Address] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """Who looks after which systems, and where they find training and help."""

    name: str
    title: str
    systems: tuple[str, ...]
    people: tuple[str, ...]
    resources: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Routing:
    """The file, and the people in it."""

    channels: Mapping[str, Place]
    teams: tuple[Team, ...]
    _file: _File
    _people: People

    def channels_for(self, notice: Notice, available: Collection[str]) -> tuple[str, ...]:
        """Return the channels for a notice among those that are set up; the log if there is none.

        A person is told by every channel that reaches the notice's audience.
        """
        names: list[str] = []
        for audience in self._audiences(notice):
            found = self._file.audiences.get(audience)
            names += found.channels if found else (LOG,)
        chosen = tuple(dict.fromkeys(name for name in names if name in available))
        return chosen or (LOG,)

    def addresses(self, notice: Notice) -> tuple[str, ...]:
        """Return the mail addresses of those whom a notice is for, each once, sorted."""
        found = set()
        for audience in self._audiences(notice):
            if notice.people and audience is notice.audience:
                # Addressed to these, out of the audience.
                continue
            roles = self._file.audiences[audience].roles if audience in self._file.audiences else ()
            found |= {person.email for role in roles for person in self._people.with_role(role)}
        people = (self._people.find(user) for user in notice.people)
        found |= {person.email for person in people if person is not None}
        return tuple(sorted(found))

    def _audiences(self, notice: Notice) -> Sequence[Audience]:
        more = self._file.escalate.get(notice.severity, ())
        return list(dict.fromkeys((notice.audience, *more)))


def load_routing(settings: Settings) -> Routing:
    """Return config/notices.yaml; ConfigError names a channel, role, person or team that is not
    there."""
    path = settings.config_file(FILE)
    document = read_document(path, name=settings.label(FILE))
    file = validate_document(document, _File)
    people = load_people(settings)
    roles = {role for person in people.people for role in person.roles}
    problems = []
    for audience, found in file.audiences.items():
        for index, name in enumerate(found.channels):
            if name not in file.channels:
                said = f'"{name}" is not a channel{did_you_mean(name, file.channels)}'
                place = ("audiences", str(audience), "channels", index)
                problems.append(document.problem(place, said))
        for index, role in enumerate(found.roles):
            if role not in roles:
                said = f'nobody has the role "{role}"{did_you_mean(role, roles)}'
                place = ("audiences", str(audience), "roles", index)
                problems.append(document.problem(place, said))
    users = [person.user for person in people.people]
    for team, members in file.teams.items():
        for index, user in enumerate(members.people):
            if user not in users:
                said = f'"{user}" is nobody{did_you_mean(user, users)}'
                problems.append(document.problem(("teams", team, "people", index), said))
    for name, place_ in file.channels.items():
        if (name == LOG) != isinstance(place_, LogLines):
            said = "the log's name is log, and no other channel has it"
            problems.append(document.problem(("channels", name), said))
        if storable(name) != name or not name.strip():
            problems.append(document.problem(("channels", name), "is no name"))
    if problems:
        raise ConfigError(problems)
    return Routing(
        channels=file.channels,
        teams=tuple(
            Team(
                name=name,
                title=team.title,
                systems=team.systems,
                people=team.people,
                resources=file.resources,
            )
            for name, team in file.teams.items()
        ),
        _file=file,
        _people=people,
    )
