"""config/people.yaml and config/approvals.yaml as they are now, for the api-server.

The api-server lives for weeks: a delegate entered today must count without a restart, so the files
are read again when they change. Files that cannot be used grant nothing.
"""

from __future__ import annotations

import logging
from datetime import datetime

from include.approvals import Board, load_board
from include.errors import ReleaseControlError
from include.people import People, load_people
from include.people.rights import Right
from include.settings import load_settings

log = logging.getLogger(__name__)


class Directory:
    """Answers about people; unusable configuration answers no."""

    def __init__(self) -> None:
        self._stamp: tuple[tuple[int, ...], ...] | None = None
        self._known: tuple[People, Board] | None = None

    def groups(self, user: str, now: datetime) -> frozenset[str]:
        """Return the groups for which `user` may answer human tasks at `now`."""
        known = self._load()
        person = known and known[0].find(user)
        return known[1].groups(person, now) if known and person else frozenset()

    def may(self, user: str, right: Right) -> bool:
        """Return whether a role of `user` gives the right."""
        known = self._load()
        person = known and known[0].find(user)
        return bool(person and person.may(right))

    def name(self, user: str) -> str:
        """Return the person's name, or the sign-in where nobody is known by it."""
        known = self._load()
        person = known and known[0].find(user)
        return person.name if person else user

    def knows(self, user: str) -> bool:
        """Return whether somebody signs in as `user`."""
        known = self._load()
        return bool(known and known[0].find(user))

    def _load(self) -> tuple[People, Board] | None:
        try:
            settings = load_settings()
            files = [settings.config_file(name) for name in ("people.yaml", "approvals.yaml")]
            found = [file.stat() for file in files]
            stamp = tuple((item.st_mtime_ns, item.st_size, item.st_ino) for item in found)
            if stamp != self._stamp:
                people = load_people(settings)
                self._known, self._stamp = (people, load_board(settings, people)), stamp
        except (OSError, ReleaseControlError):
            log.exception("people and seats cannot be read, so nobody is assigned anything")
            self._known, self._stamp = None, None
        return self._known
