"""Who plays whom in a rehearsal: the person who answers a human task, and their session."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from include.approvals import Board, load_board
from include.errors import StackError
from include.people import People, Person, load_people
from include.people.commands import generated_passwords
from include.rehearsal.airflow_api import AirflowApi
from include.settings import Settings


class Cast:
    """The people of config/people.yaml, signed in with the passwords that this machine made."""

    def __init__(self, settings: Settings) -> None:
        self.people: People = load_people(settings)
        self.board: Board = load_board(settings, self.people)
        self._url = settings.ui_url
        self._passwords = generated_passwords(settings.state_dir)
        self._sessions: dict[str, AirflowApi] = {}

    def release_manager(self) -> Person:
        """Return the first person who may start a release; StackError if there is none."""
        for person in self.people.people:
            if person.may("start_release"):
                return person
        raise StackError("nobody in config/people.yaml may start a release (start_release)")

    def session(self, user: str) -> AirflowApi:
        """Return the person's session; StackError where this machine has no password of theirs."""
        if user not in self._passwords:
            raise StackError(
                f"this machine has no generated password of {user}, so it cannot answer for them; "
                "rehearse with --ask and let people answer"
            )
        if user not in self._sessions:
            self._sessions[user] = AirflowApi(self._url, user, self._passwords[user])
        return self._sessions[user]

    def respondent(self, question: Mapping[str, Any], now: datetime) -> Person | None:
        """Return who would answer a human task: an assigned person, or one of an assigned group."""
        assigned = {str(item["id"]) for item in question.get("assigned_users") or []}
        for person in self.people.people:
            groups = {f"group:{name}" for name in self.board.groups(person, now)}
            if assigned & (groups | {person.user}):
                return person
        return None
