"""Who is at the shell: a person signs in with their Airflow password, from HIMS_PASSWORD or at a
prompt. Who has a shell here is not thereby who they say."""

from __future__ import annotations

import getpass
import os
import sys

from include.errors import RequestError, did_you_mean
from include.ledger import Actor
from include.people import People, Person
from include.settings import Settings


def sign_in(settings: Settings, people: People, user: str) -> tuple[Person, Actor]:
    """Return the person who signs in as `user`, and them as the actor of a record.

    Raises RequestError for somebody unknown and where no password can be had, StackError when
    Airflow does not answer or does not accept it.
    """
    from include.rehearsal.airflow_api import AirflowApi

    person = known_person(people, user)
    password = os.environ.get("HIMS_PASSWORD") or _prompt(person.name)
    with AirflowApi(settings.ui_url, person.user, password) as session:
        session.sign_in()
    return person, Actor(user=person.user, name=person.name, auth="airflow-password")


def known_person(people: People, user: str) -> Person:
    """Return somebody in config/people.yaml; RequestError with the nearest sign-in if nobody."""
    person = people.find(user)
    if person is None:
        known = [item.user for item in people.people]
        raise RequestError(f'nobody signs in as "{user[:80]}"{did_you_mean(user[:80], known)}')
    return person


def _prompt(name: str) -> str:
    if not sys.stdin.isatty():
        raise RequestError("set HIMS_PASSWORD: there is no terminal to ask for the password on")
    return getpass.getpass(f"Airflow password of {name}: ")
