"""Who acts on the command line: a claim that grants nothing, or a person who has signed in."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from include.errors import RequestError, did_you_mean

if TYPE_CHECKING:
    from include.changes.desk import Desk
    from include.people import Person
    from include.settings import Settings


def add_user(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Declare `--user`."""
    told = "who acts; signs in with HIMS_PASSWORD or at a prompt" if required else (
        "in whose name (default: $HIMS_USER, else shell_requester of config/approvals.yaml)"
    )  # fmt: skip
    parser.add_argument("--user", required=required, help=told)


def open_desk(options: argparse.Namespace, *, sign_in: bool = False) -> tuple[Desk, Person]:
    """Return the desk and the person at it.

    Submitting and editing need no proof of who it is: they give no right, and take one away, for
    who asked for a change does not vote on it. A person's word (`sign_in`) needs the password.
    """
    from include.changes.desk import Desk
    from include.ledger import Actor, Source
    from include.ledger.connection import open_ledger
    from include.people import load_people
    from include.settings import load_settings

    settings = load_settings()
    person = _person(settings, getattr(options, "user", None))
    auth = "shell"
    if sign_in or (getattr(options, "user", None) and os.environ.get("HIMS_PASSWORD")):
        from include.people.sign_in import sign_in as prove

        auth = prove(settings, load_people(settings), person.user)[1].auth
    desk = Desk(
        ledger=open_ledger(settings),
        settings=settings,
        actor=Actor(user=person.user, name=person.name, auth=auth),
        source=Source(kind="cli"),
        clock=lambda: datetime.now(UTC),
    )
    return desk, person


def _person(settings: Settings, given: str | None) -> Person:
    from include.approvals import load_board
    from include.people import load_people

    people = load_people(settings)
    wanted = given or os.environ.get("HIMS_USER") or load_board(settings, people).shell_requester
    if not wanted:
        raise RequestError("say in whose name (--user): shell_requester is not set")
    person = people.by_identity(wanted)
    if person is None:
        known = [item.user for item in people.people]
        raise RequestError(f'nobody signs in as "{wanted[:60]}"{did_you_mean(wanted[:60], known)}')
    return person
