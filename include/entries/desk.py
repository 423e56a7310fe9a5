"""Where a signed-in person makes an entry from the shell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from include.entries.outcome import Entered
from include.ledger import Actor, Ledger, Source, Unit
from include.ledger.connection import open_ledger
from include.output import print_json, print_line
from include.people import People, Person, load_people
from include.people.sign_in import sign_in
from include.privacy import screen
from include.settings import Settings, load_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A person, known by their password, and the ledger before them."""

    settings: Settings
    people: People
    person: Person
    actor: Actor
    ledger: Ledger

    @contextmanager
    def unit(self) -> Iterator[Unit]:
        """Open a unit of work in the person's name."""
        with self.ledger.write(self.actor, Source(kind="cli"), datetime.now(UTC)) as unit:
            yield unit

    def words(self, text: str, *, where: str) -> str:
        """Return what may be kept of what the person says; RequestError for a patient's data."""
        return screen(self.settings, "comment", text, where=where)


def open_desk(user: str) -> Desk:
    """Return the desk of `user` after they have signed in; see `include.people.sign_in`."""
    settings = load_settings()
    people = load_people(settings)
    person, actor = sign_in(settings, people, user)
    return Desk(
        settings=settings,
        people=people,
        person=person,
        actor=actor,
        ledger=open_ledger(settings),
    )


def say(outcome: Entered, *, as_json: bool) -> int:
    """Print what came of an entry and return the exit status."""
    if as_json:
        document = {"ok": outcome.ok, "reason": outcome.reason, "message": outcome.message}
        print_json({**document, "id": outcome.id})
    else:
        print_line(outcome.message)
    return 0 if outcome.ok else 1
