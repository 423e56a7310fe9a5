"""A release's own directory: the source at one commit, and commands run in it.

Commands are argument lists from config/, filled in and started without a shell, in a scrubbed
environment: a service's tests must not see Release Control's credentials.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from include.errors import TargetError
from include.services.service import Argv

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV")
# A command that a signal ends has this status and the signal's number, as in a shell.
_SIGNALLED = 128
LIMIT = timedelta(minutes=30)
_LEASH = Path(__file__).with_name("leash.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """How a command ended; `output` is its last lines, stdout and stderr together."""

    argv: tuple[str, ...]
    status: int
    output: str

    @property
    def ok(self) -> bool:
        """Return whether it ended with status 0."""
        return self.status == 0

    @property
    def killed(self) -> bool:
        """Return whether a signal ended it: then it has said neither yes nor no."""
        # Below nothing: the leash itself was killed, and what it held with it.
        return self.status < 0 or _SIGNALLED < self.status <= _SIGNALLED + signal.SIGRTMAX

    def describe(self) -> str:
        """Return the command and, where it failed, the end of what it said."""
        shown = " ".join(Path(word).name if "/" in word else word for word in self.argv)
        if self.ok:
            return shown
        tail = "\n".join(self.output.strip().splitlines()[-8:])
        return f"{shown} ended with status {self.status}: {tail}"


def fill(argv: Argv, values: Mapping[str, str]) -> tuple[str, ...]:
    """Return `argv` with its {placeholders} filled in."""
    return tuple(word.format_map({"python": sys.executable, **values}) for word in argv)


def run_commands(
    commands: Iterable[Argv],
    values: Mapping[str, str],
    directory: Path,
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    limit: timedelta = LIMIT,
) -> tuple[CommandResult, ...]:
    """Run the commands in order in `directory`, appending their output to `log`; stop at the
    first that fails. Raises TargetError when a program cannot be started at all.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    results = []
    for command in commands:
        result = _run(fill(command, values), directory, log, environment or {}, limit)
        results.append(result)
        if not result.ok:
            break
    return tuple(results)


def require_answer(ran: CommandResult) -> None:
    """Raise TargetError for a command that was killed: its step is tried again, and what it was run
    on is not blamed for it."""
    if ran.killed:
        raise TargetError(f"{ran.describe()} (it was killed, and so says neither yes nor no)")


def _run(
    argv: tuple[str, ...],
    directory: Path,
    log: Path,
    environment: Mapping[str, str],
    limit: timedelta,
) -> CommandResult:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    with log.open("ab") as stream:
        begin = stream.tell()
        stream.write(f"$ {' '.join(argv)}\n".encode())
        stream.flush()
        readable, report = os.pipe()
        with os.fdopen(readable, encoding="ascii") as reported:
            try:
                leash = (sys.executable, "-I", "-S", str(_LEASH), str(report), str(os.getpid()))
                process = subprocess.Popen(
                    (*leash, *argv),
                    cwd=directory,
                    env={**kept, "PYTHONDONTWRITEBYTECODE": "1", **environment},
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=(report,),
                )
            except OSError as error:
                raise _not_started(argv, str(error.strerror)) from error
            finally:
                os.close(report)
            try:
                number = reported.read()
                status = process.wait(limit.total_seconds())
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                status = 124
                stream.write(f"killed after {limit}\n".encode())
            except BaseException:
                # The task itself is being stopped: what it started must not go on without it.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise
        if number:
            raise _not_started(argv, os.strerror(int(number)))
    with log.open("rb") as stream:
        stream.seek(max(begin, log.stat().st_size - 20_000))
        output = stream.read().decode("utf-8", "replace")
    return CommandResult(argv=argv, status=status, output=output)


def _not_started(argv: tuple[str, ...], why: str) -> TargetError:
    return TargetError(
        f"{argv[0]} cannot be started ({why}); it is a command of the service's file "
        "under config/services/"
    )
