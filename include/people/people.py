"""People, their roles, and the address under which git knows them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from include.documents import Section, read_document, validate_document
from include.errors import ConfigError, did_you_mean
from include.people.rights import RIGHTS, Right
from include.settings import Settings

# `<@U0MEI>`, `mei@tan.example`, `github:mei-tan`, `@mei-tan`, wherever it stands in a text.
_ACCOUNT = re.compile(
    r"<@([^<>\s|]+)[^<>]*>|([^\s<>()\[\]\"',;:|]+@[^\s<>()\[\]\"',;:|]+)"
    r"|\b(?:git|github|slack|mailto):\s*@?([^\s<>()\[\]\"',;]+)|(?<!\S)(@[\w.-]+)",
    re.IGNORECASE,
)
AirflowRole = Literal["admin", "op", "user", "viewer"]
_ACCESS: tuple[AirflowRole, ...] = ("viewer", "user", "op", "admin")


class _Role(Section):
    airflow: AirflowRole
    title: str
    may: tuple[Right, ...] = ()


Address = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]


class _Identities(Section):
    git: tuple[Address, ...] = ()
    github: str | None = None
    slack: str | None = None
    shell: tuple[Annotated[str, Field(pattern=r"^[^\s:/]{1,64}$")], ...] = ()


class _Person(Section):
    name: str
    email: Address
    roles: tuple[str, ...] = Field(min_length=1)
    identities: _Identities = _Identities()


class _File(Section):
    roles: dict[str, _Role]
    separation: tuple[tuple[str, str], ...] = ()
    robots: tuple[Address, ...] = ()
    people: dict[str, _Person] = Field(min_length=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One person: `user` is the sign-in, `roles` our role names, `titles` how people call them,
    `rights` what they may do, each with the roles that give it; `accounts` are their accounts on
    the machines on which commands are run."""

    user: str
    name: str
    email: str
    roles: tuple[str, ...]
    titles: tuple[str, ...]
    airflow_role: AirflowRole
    rights: Mapping[str, tuple[str, ...]]
    identities: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()

    def may(self, right: Right) -> bool:
        """Return whether one of this person's roles gives the right."""
        return right in self.rights


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """Whom a text means; `unknown` are addresses and accounts in it that lead to nobody."""

    people: tuple[Person, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class People:
    """Everybody in config/people.yaml; `apart` are the pairs of rights that the file keeps apart
    beyond those that always are, `robots` the addresses under which programs commit."""

    people: tuple[Person, ...]
    apart: tuple[tuple[str, str], ...] = ()
    robots: frozenset[str] = frozenset()

    def find(self, user: str) -> Person | None:
        """Return the person who signs in as `user`."""
        return next((person for person in self.people if person.user == user), None)

    def by_identity(self, word: str) -> Person | None:
        """Return the person behind a sign-in, a git address, or a GitHub or Slack account.

        Compared without case. GitHub's own commit addresses (`1+login@users.noreply.github.com`)
        are read as the account that they name.
        """
        wanted = _plain_identity(word)
        return next((person for person in self.people if wanted in person.identities), None)

    def claimed(self, words: str) -> Claimed:
        """Return whom free text like `Mei Tan <mei@tan.example>`, `@mei-tan` or `Mei Tan` means:
        by every address and account in it, and by a person's name.

        Text without any, like a team's name, means nobody.
        """
        accounts = [next(filter(None, found)) for found in _ACCOUNT.findall(words)]
        rest = _named(_ACCOUNT.sub(" ", words))
        found = [person for person in self.people if _named(person.name) == rest]
        if " " not in rest:
            found += [item for item in (self._by_login(rest),) if item is not None]
        unknown = []
        for account in accounts:
            person = self._by_login(account)
            if person is not None:
                found.append(person)
            elif not self.is_robot(account):
                unknown.append(account)
        people = {person.user: person for person in found}
        return Claimed(people=tuple(people.values()), unknown=tuple(unknown))

    def _by_login(self, word: str) -> Person | None:
        return self.by_identity(word) or self.by_identity(f"@{word.removeprefix('@')}")

    def by_account(self, account: str) -> Person | None:
        """Return whose account on a machine this is, None if it is nobody's by the file."""
        return next((person for person in self.people if account in person.accounts), None)

    def is_robot(self, address: str) -> bool:
        """Return whether a program commits under this address, and no person."""
        return address.strip().casefold() in self.robots

    def with_role(self, role: str) -> tuple[Person, ...]:
        """Return everybody who has `role`."""
        return tuple(person for person in self.people if role in person.roles)


def load_people(settings: Settings) -> People:
    """Return config/people.yaml; ConfigError names a role that is not declared, and an address or
    account that two people share (an author could not be told apart then)."""
    path = settings.config_file("people.yaml")
    document = read_document(path, name=settings.label("people.yaml"))
    file = validate_document(document, _File)
    problems = []
    owners: dict[str, str] = {}
    accounts: dict[str, str] = {}
    for user, person in file.people.items():
        for index, role in enumerate(person.roles):
            if role not in file.roles:
                message = f'"{role}" is not a role{did_you_mean(role, file.roles)}'
                problems.append(document.problem(("people", user, "roles", index), message))
        for key, word in _identities(user, person):
            other = owners.setdefault(word, user)
            if other != user:
                kind = "address" if "@" in word[1:] else "account"
                message = f"{word.removeprefix('@')} is also {other}'s {kind}"
                problems.append(document.problem(("people", user, *key), message))
        for index, account in enumerate(person.identities.shell):
            if (other := accounts.setdefault(account, user)) != user:
                message = f"{account} is also {other}'s account"
                where = ("people", user, "identities", "shell", index)
                problems.append(document.problem(where, message))
    for index, pair in enumerate(file.separation):
        for right in pair:
            if right not in RIGHTS:
                message = f'"{right}" is not a right{did_you_mean(right, RIGHTS)}'
                problems.append(document.problem(("separation", index), message))
    if problems:
        raise ConfigError(problems)
    return People(
        tuple(
            Person(
                user=user,
                name=person.name,
                email=person.email,
                roles=person.roles,
                titles=tuple(file.roles[role].title for role in person.roles),
                airflow_role=max(
                    (file.roles[role].airflow for role in person.roles), key=_ACCESS.index
                ),
                rights=_rights(file, person),
                identities=frozenset(word for _, word in _identities(user, person)),
                accounts=frozenset(person.identities.shell),
            )
            for user, person in file.people.items()
        ),
        apart=file.separation,
        robots=frozenset(address.casefold() for address in file.robots),
    )


def _rights(file: _File, person: _Person) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for role in person.roles:
        for right in file.roles[role].may:
            found[right] = (*found.get(right, ()), role)
    return found


def _identities(user: str, person: _Person) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield everything that a person is known by, each with its key in the file."""
    yield (), user.casefold()
    yield ("email",), person.email.casefold()
    for address in person.identities.git:
        yield ("identities", "git"), _plain_identity(address)
    if person.identities.github:
        yield ("identities", "github"), f"@{person.identities.github.casefold()}"
    if person.identities.slack:
        yield ("identities", "slack"), person.identities.slack.casefold()


def _named(text: str) -> str:
    """Return a name without case, width, and what may stand around it."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.sub(r"[<>()\[\]\"',;:|]", " ", plain).split())


def _plain_identity(word: str) -> str:
    plain = word.strip().casefold()
    login = plain.removesuffix("@users.noreply.github.com")
    return f"@{login.rpartition('+')[2]}" if login != plain else plain
