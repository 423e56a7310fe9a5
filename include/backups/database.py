"""Where a database is and as whom we enter it, without ever showing the password."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from include.errors import BackupError

_APPLICATION = "release-control backup"
# What of our own environment a PostgreSQL program may see: PG… variables would redirect it, and
# the rest is none of its business.
_INHERITED = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """One database of one server; `settings` are libpq's, without the password."""

    settings: Mapping[str, str]
    password: str | None

    def __repr__(self) -> str:
        return f"Database({self.place})"

    @staticmethod
    def at(url: str) -> Database:
        """Return the database that a PostgreSQL URL names; raise BackupError if it names none."""
        plain = re.sub(r"^postgres(?:ql)?(?:\+\w+)?://", "postgresql://", url.strip())
        try:
            parsed = conninfo_to_dict(plain)
        except psycopg.ProgrammingError:
            # libpq's own words would quote the part of the URL that it stumbled over.
            parsed = {}
        settings = {name: str(value) for name, value in parsed.items() if value is not None}
        password = settings.pop("password", None)
        if not settings.get("dbname") or not settings.get("host"):
            raise BackupError(
                "the URL of the database to back up is not usable; write it like "
                "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
            )
        settings.setdefault("connect_timeout", "10")
        settings.setdefault("application_name", _APPLICATION)
        return Database(settings=settings, password=password)

    @property
    def name(self) -> str:
        """The name of the database."""
        return self.settings["dbname"]

    @property
    def place(self) -> str:
        """Name, host and port, for messages."""
        return f"{self.name} at {self.settings['host']}:{self.settings.get('port', '5432')}"

    def named(self, name: str) -> Database:
        """Return another database of the same server."""
        return Database(settings={**self.settings, "dbname": name}, password=self.password)

    def moved(self, host: str, port: int) -> Database:
        """Return the database of the same name, entered as the same role, on another server."""
        kept = {name: value for name, value in self.settings.items() if name != "hostaddr"}
        return Database(settings={**kept, "host": host, "port": str(port)}, password=self.password)

    def argument(self) -> str:
        """Return the connection string for a program's command line: everything but the secret."""
        return make_conninfo("", **self.settings)

    def environment(self) -> dict[str, str]:
        """Return the environment for a PostgreSQL program: the password, and English messages."""
        own = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        secret = {} if self.password is None else {"PGPASSWORD": self.password}
        # The password file of whoever runs this has no say.
        return {**own, "LC_ALL": "C", "PGPASSFILE": os.devnull, **secret}

    @contextmanager
    def connect(self, *, autocommit: bool = False) -> Iterator[psycopg.Connection]:
        """Open a connection; raise BackupError when the server can't be reached or fails in it."""
        try:
            with psycopg.connect(
                make_conninfo("", **self.settings), password=self.password, autocommit=autocommit
            ) as connection:
                yield connection
        except psycopg.Error as error:
            raise BackupError(f"{self.place}: {said(error)}") from error

    def answers(self) -> bool:
        """Tell whether the server takes a connection to this database."""
        try:
            with self.connect(autocommit=True) as connection:
                connection.execute("SELECT 1")
        except BackupError:
            return False
        return True


def said(error: Exception) -> str:
    """Return the first line of a database error: the others may quote rows."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return without_values(lines[0]) if lines else "the server gave no reason"


def without_values(line: str) -> str:
    """Return a line of PostgreSQL's without the value that it complains about, which is data."""
    return re.sub(r"((?:invalid|malformed|out of range)[^:\"]*)[:\"].*", r"\1", line).strip()


def one(connection: psycopg.Connection, query: LiteralString, *values: object) -> object:
    """Return the single value of a query that has one."""
    row = connection.execute(query, values).fetchone()
    if row is None:
        raise BackupError("the server answered a question with nothing")
    return row[0]
