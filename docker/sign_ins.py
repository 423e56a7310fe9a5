"""Turns config/people.yaml into Airflow's sign-ins, then becomes the command after it.

    python docker/sign_ins.py /entrypoint api-server

Airflow's simple auth manager takes its users from one option and their passwords from a file, and
makes up the missing passwords itself, which it then prints into the log. Here the users come from
the one place where people are named, and a new person's password goes into the file alone
(mode 0600, below the state directory); `./hims people` shows it. Passwords that are there stay.
"""

from __future__ import annotations

import os
import sys
from urllib.parse import unquote, urlsplit

from include.durable import locked, read_json, write_json
from include.errors import ReleaseControlError
from include.people import load_people
from include.settings import Settings, load_settings
from include.stack.layout import Layout
from include.stack.secrets import readable_password


def prepare(settings: Settings) -> dict[str, str]:
    """Make the missing passwords and return the variables that tell Airflow about the people."""
    people = load_people(settings).people
    layout = Layout(settings.state_dir)
    with locked(layout.root / "secrets.lock", what="making passwords"):
        passwords = read_json(layout.people_passwords) or {}
        missing = [person.user for person in people if person.user not in passwords]
        before = dict(passwords)
        passwords |= {user: readable_password() for user in missing}
        # The tasks' own sign-in bears the password that they are given.
        given = urlsplit(os.environ.get("AIRFLOW_CONN_AIRFLOW_API", ""))
        readers = [person.user for person in people if person.may("read_everything")]
        if given.password and given.username in readers:
            passwords[given.username] = unquote(given.password)
        if passwords != before:
            write_json(layout.people_passwords, passwords)
    return {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
            f"{person.user}:{person.airflow_role}" for person in people
        ),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(layout.people_passwords),
    }


def main(command: list[str]) -> int:
    """Become `command` with the sign-ins in its environment; 2 says why that cannot be."""
    if not command:
        sys.stderr.write("usage: sign_ins.py COMMAND [ARGUMENT]…\n")
        return 2
    try:
        os.environ.update(prepare(load_settings()))
    except (ReleaseControlError, OSError) as error:
        sys.stderr.write(f"sign-ins: {error}\n")
        return 2
    try:
        os.execvp(command[0], command)  # noqa: S606  (the container's own command, as a list)
    except OSError as error:
        sys.stderr.write(f"sign-ins: {command[0]} cannot be run: {error.strerror}\n")
    return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
