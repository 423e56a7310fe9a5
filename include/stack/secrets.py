"""Passwords and keys of this machine: made once, kept in files that only their owner may read.

Nothing else holds them: they reach processes by environment, never by a command line or a log.
"""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from include.durable import locked, read_json, write_json
from include.errors import StackError
from include.settings import Settings
from include.stack.layout import Layout
from include.stack.ports import HOST

SUPERUSER = "postgres"
ROLES = ("airflow", "ledger_owner", "ledger_app", "backup_operator")

_KEYS = ("jwt_secret", "api_secret_key")

# Short, unlike each other, easy to read aloud.
_WORDS = tuple(
    """
    acorn amber anchor apple arrow autumn bakery bamboo basket beacon birch bridge button
    cactus candle canoe canyon castle cedar cherry cinder clover cobalt comet copper coral
    cotton crayon daisy delta dolphin ember engine fabric falcon feather fennel ferry flint
    forest garden garnet ginger glacier granite hammer harbor hazel heron indigo island
    ivory jacket jasmine jigsaw juniper kettle ladder lagoon lantern lemon linden magnet
    maple marble meadow mirror mosaic mustard nectar nutmeg oasis olive onyx orbit orchid
    otter paddle paper pebble pepper pillow planet pocket prairie pumpkin quartz rabbit
    raven ribbon river rocket saddle saffron salmon sandal sapphire signal silver spruce
    summit sunset tangerine teapot thistle timber topaz tunnel turnip valley velvet violet
    walnut willow window winter zephyr
    """.split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True)
class Secrets:
    """Passwords by database role, and Airflow's keys."""

    passwords: Mapping[str, str]
    jwt_secret: str
    api_secret_key: str
    fernet_key: str

    def password(self, role: str) -> str:
        """Return the password of a database role; StackError if it has none."""
        try:
            return self.passwords[role]
        except KeyError:
            raise StackError(
                f'secrets.json knows no database role "{role}"; run ./hims down and ./hims up'
            ) from None

    def database_url(self, role: str, database: str, port: int) -> str:
        """Return the URL under which `role` reaches a database of this machine's PostgreSQL."""
        return f"postgresql://{role}:{quote(self.password(role), safe='')}@{HOST}:{port}/{database}"


def service_role(service: str) -> str:
    """Return the database role under which a service's slots work (`hims-api` → `hims_api`)."""
    return service.replace("-", "_")


def local_databases(settings: Settings) -> dict[str, str]:
    """Return the databases of all services with a local target, each with the role that owns it.

    Raises StackError where two services claim one, or one is ours.
    """
    owners: dict[str, str] = {}
    for name in settings.services:
        for environment, placement in settings.service(name).environments.items():
            if placement.target != "local" or not placement.database:
                continue
            database = placement.database
            where = (
                f"{settings.label(f'services/{name}.yaml')}: environments.{environment}.database"
            )
            if database in ("airflow", "ledger", "postgres", "template0", "template1"):
                raise StackError(f'{where}: "{database}" is not for services; choose another name')
            if not database.replace("_", "").isalnum() or not database.isascii():
                raise StackError(f'{where}: "{database}": use letters, digits and underscores')
            if owners.setdefault(database, service_role(name)) != service_role(name):
                raise StackError(f'{where}: "{database}" belongs to another service already')
    return owners


def load_secrets(state_dir: Path) -> Secrets | None:
    """Return what `ensure_secrets` has made in `state_dir`, None if it has made nothing yet."""
    path = Layout(state_dir).secrets
    document = read_json(path)
    return None if document is None else _parse(path, document)


def ensure_secrets(settings: Settings, *, people: Iterable[str]) -> Secrets:
    """Make what is missing, keep what is there, and return it all.

    `people` are the users who sign in; each gets a readable password of its own.
    """
    layout = Layout(settings.state_dir)
    with locked(layout.root / "secrets.lock", what="making secrets"):
        document = read_json(layout.secrets) or {}
        before = str(document)
        passwords = document.setdefault("passwords", {})
        for role in (SUPERUSER, *ROLES, *sorted(set(local_databases(settings).values()))):
            passwords.setdefault(role, secrets.token_urlsafe(24))
        for key in _KEYS:
            document.setdefault(key, secrets.token_urlsafe(48))
        fernet = base64.urlsafe_b64encode(os.urandom(32)).decode()
        document.setdefault("fernet_key", fernet)
        if str(document) != before:
            write_json(layout.secrets, document)
        sign_ins = read_json(layout.people_passwords) or {}
        missing = [user for user in people if user not in sign_ins]
        if missing:
            sign_ins |= {user: readable_password() for user in missing}
            write_json(layout.people_passwords, sign_ins)
        for path in (layout.secrets, layout.people_passwords):
            if path.exists() and path.stat().st_mode & 0o077:
                path.chmod(0o600)
    return _parse(layout.secrets, document)


def readable_password() -> str:
    """Return a password that a person can type: four words and a number, 40 bits.

    Enough against guessing over the network on a machine that listens on loopback only.
    """
    words = [secrets.choice(_WORDS) for _ in range(4)]
    return "-".join([*words, str(secrets.randbelow(9000) + 1000)])


def _parse(path: Path, document: object) -> Secrets:
    fields = document if isinstance(document, dict) else {}
    try:
        return Secrets(
            passwords={str(role): str(word) for role, word in fields["passwords"].items()},
            jwt_secret=str(fields["jwt_secret"]),
            api_secret_key=str(fields["api_secret_key"]),
            fernet_key=str(fields["fernet_key"]),
        )
    except (KeyError, AttributeError) as error:
        raise StackError(f"{path}: is not what `./hims up` wrote: {error} is missing") from error
