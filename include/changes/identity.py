"""Who acts on the command line: a claim that grants nothing, or a person who has signed in."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

from include.errors import RequestError, did_you_mean

if TYPE_CHECKING:
    from include.changes.desk import Desk
    from include.people import People, Person
    from include.settings import Settings


def add_user(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Declare `--user`."""
    told = "who acts; signs in with HIMS_PASSWORD or at a prompt" if required else (
        "in whose name (default: $HIMS_USER, else whose account this is in config/people.yaml, "
        "else shell_requester of config/approvals.yaml)"
    )  # fmt: skip
    parser.add_argument("--user", required=required, help=told)


def open_desk(options: argparse.Namespace, *, sign_in: bool = False) -> tuple[Desk, Person]:
    """Return the desk and the person at it; every record of it names the account at the shell.

    Submitting and editing give no right, so whose name it is need not be proven, but for two
    things, which are refused and recorded: a name that speaks against what config/people.yaml knows
    of the account (`identities: {shell: […]}`), and the name of somebody with a seat, since who
    asked for a change or edited it has no vote on it. A password settles both; a person's word
    (`sign_in`) always needs it.
    """
    from include.changes.desk import Desk
    from include.ledger import Actor, Source
    from include.ledger.connection import open_ledger
    from include.people import load_people
    from include.people.account import shell_account
    from include.settings import load_settings

    settings = load_settings()
    people, account = load_people(settings), shell_account()
    given = getattr(options, "user", None) or os.environ.get("HIMS_USER")
    person = _person(settings, people, given, account)
    signs = sign_in or bool(given and os.environ.get("HIMS_PASSWORD"))
    owner = people.by_account(account)
    auth = "shell-account" if owner == person else "shell"
    if signs:
        from include.people.sign_in import sign_in as prove

        auth = prove(settings, people, person.user)[1].auth
    desk = Desk(
        ledger=open_ledger(settings),
        settings=settings,
        actor=Actor(user=person.user, name=person.name, auth=auth),
        source=Source(kind="cli", account=account),
        clock=lambda: datetime.now(UTC),
    )
    if not signs and (problem := _contradiction(desk, person, owner, given)):
        _refuse(desk, owner, problem)
    return desk, person


def _person(settings: Settings, people: People, given: str | None, account: str) -> Person:
    from include.approvals import load_board

    owner = people.by_account(account)
    if not given and owner is not None:
        return owner
    wanted = given or load_board(settings, people).shell_requester
    if not wanted:
        raise RequestError("say in whose name (--user): shell_requester is not set")
    person = people.by_identity(wanted)
    if person is None:
        known = [item.user for item in people.people]
        raise RequestError(f'nobody signs in as "{wanted[:60]}"{did_you_mean(wanted[:60], known)}')
    return person


def _contradiction(
    desk: Desk, person: Person, owner: Person | None, given: str | None
) -> str | None:
    """Return why the account does not do for the name, None where it does."""
    account, board = desk.source.account, desk.catalogue.board
    if owner is not None and owner.user != person.user:
        return f"the account {account} is {owner.name}'s, not {person.name}'s"
    # shell_requester answers for accounts that are nobody's; naming somebody is another thing.
    if given and owner is None and person.accounts:
        return f"{person.name} has accounts of their own here, and {account} is none of them"
    if given and owner is None and board.seats_of(person.user, board.day(desk.clock())):
        return f"{person.name} sits on the board, and would lose the vote by a name that was given"
    return None


def _refuse(desk: Desk, owner: Person | None, problem: str) -> NoReturn:
    from include.ledger import Actor, Outcome, Subject

    claimed, account = desk.actor, str(desk.source.account)
    # Whose deed it was is what the machine says, not the name that was claimed.
    actor = (
        Actor(user=owner.user, name=owner.name, auth="shell-account")
        if owner
        else Actor(user=f"account:{account}"[:80], name=account, auth="shell")
    )
    with desk.unit(actor) as unit:
        unit.append(
            "identity.refused",
            Subject(kind="person", id=claimed.user),
            outcome=Outcome.DENIED,
            reason="account",
            message=f"in the name of {claimed.name}: {problem}",
        )
    raise RequestError(
        f"{problem}; act in your own name, or sign in as {claimed.user} (set HIMS_PASSWORD)"
    )
