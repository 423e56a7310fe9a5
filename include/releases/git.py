"""One git process at a time, run so that nothing in the repository or around it can steer it.

A repository may come from anywhere, so its configuration is not trusted to start programs: hooks,
file-system monitors, filters, signature checks, pagers and fetches are off, as are the caller's own
GIT_* variables and configuration. What remains is what the objects and refs say.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO

from include.errors import RepositoryError
from include.instants import format_duration

# Outrank the repository's own configuration. The lock timeouts (ms) let a ref update wait its turn.
_SETTINGS = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.attributesFile": os.devnull,
    "core.excludesFile": os.devnull,
    "core.quotePath": "false",
    "core.pager": "cat",
    "core.splitIndex": "false",
    "core.commitGraph": "false",
    "gpg.program": "false",
    "log.showSignature": "false",
    "log.mailmap": "false",
    "i18n.logOutputEncoding": "UTF-8",
    "submodule.recurse": "false",
    "protocol.allow": "never",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "core.filesRefLockTimeout": "5000",
    "core.packedRefsTimeout": "5000",
    "core.logAllRefUpdates": "false",
    "core.fsync": "committed",
    "advice.graftFileDeprecated": "false",
}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a git process said: its exit status, stdout as bytes, stderr as readable text."""

    status: int
    output: bytes
    complaint: str

    @property
    def text(self) -> str:
        """Stdout as text without the line end; bytes that are not UTF-8 become U+FFFD."""
        return self.output.decode("utf-8", "replace").rstrip("\n")


@dataclass(frozen=True, slots=True)
class Git:
    """Runs git on exactly `directory`: a bare repository, or the top of a work tree."""

    directory: Path
    timeout: timedelta

    def run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        statuses: Sequence[int] = (0,),
        settings: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        stdout: IO[bytes] | None = None,
        writes: bool = False,
    ) -> Answer:
        """Run one git command and return its answer.

        `statuses` are the exit statuses that are answers; any other raises RepositoryError with
        git's own words, as does a command that takes longer than the timeout. With `writes` the
        process outlives ours, so that a ref update in flight is finished, not left locked.
        """
        environment = self._environment(settings or {}, variables or {})
        try:
            process = subprocess.Popen(
                ["git", *arguments],
                cwd=self.directory,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=stdout or subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=writes,
            )
        except FileNotFoundError as error:
            missing = "git is not installed" if self.directory.is_dir() else "it is gone"
            raise RepositoryError(f"{self.directory}: {missing}") from error
        except OSError as error:
            raise RepositoryError(f"{self.directory}: git cannot run: {error.strerror}") from error
        with process:
            try:
                output, complaint = process.communicate(stdin, self.timeout.total_seconds())
            except BaseException as error:
                if writes and not isinstance(error, subprocess.TimeoutExpired):
                    raise
                _end(process, group=writes)
                if isinstance(error, subprocess.TimeoutExpired):
                    raise RepositoryError(
                        f"{self.directory}: git {arguments[0]} gave no answer within "
                        f"{format_duration(self.timeout)}"
                    ) from error
                raise
        answer = Answer(process.returncode, output or b"", _readable(complaint))
        if answer.status not in statuses:
            said = _gist(answer.complaint) or f"exit status {answer.status}"
            raise RepositoryError(f"{self.directory}: git {arguments[0]}: {said}")
        return answer

    def without_filters(self) -> dict[str, str]:
        """Return settings that switch off the content filters this repository configures.

        They are programs that git would start while it compares or exports files.
        """
        listed = self.run(
            "config", "--null", "--name-only", "--get-regexp", r"^filter\.", statuses=(0, 1)
        )
        names = {name.rpartition(".")[0] for name in _texts(listed.output)}
        return {
            f"{name}.{part}": "false" if part == "required" else ""
            for name in sorted(names)
            for part in ("clean", "smudge", "process", "required")
        }

    def _environment(
        self, settings: Mapping[str, str], variables: Mapping[str, str]
    ) -> dict[str, str]:
        foreign = ("GIT_", "LC_", "SSH_ASKPASS")
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(foreign) and name not in ("LANG", "LANGUAGE")
        }
        configured = {"safe.directory": str(self.directory), **_SETTINGS, **settings}
        for index, (key, value) in enumerate(configured.items()):
            kept[f"GIT_CONFIG_KEY_{index}"] = key
            kept[f"GIT_CONFIG_VALUE_{index}"] = value
        return {
            **kept,
            "GIT_CONFIG_COUNT": str(len(configured)),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ATTR_NOSYSTEM": "1",
            # Only the directory that was named: never a repository that happens to surround it.
            "GIT_CEILING_DIRECTORIES": str(self.directory.parent),
            # What the commits say, not what local refs/replace or grafts make of them.
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_GRAFT_FILE": os.devnull,
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_ALLOW_PROTOCOL": "",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
            **variables,
        }


def _end(process: subprocess.Popen[bytes], *, group: bool) -> None:
    with suppress(ProcessLookupError):
        if group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _texts(output: bytes) -> list[str]:
    return [os.fsdecode(item) for item in output.split(b"\0") if item]


def _readable(raw: bytes | None) -> str:
    return _CONTROL.sub("", (raw or b"").decode("utf-8", "replace")).strip()


def _gist(complaint: str) -> str:
    lines = [line for line in complaint.splitlines() if line.startswith(("fatal:", "error:"))]
    chosen = lines[:1] if lines and lines[0].startswith("fatal:") else lines[:2]
    words = " ".join(line.split(":", 1)[1].strip() for line in chosen) or complaint
    return words if len(words) <= 500 else words[:499] + "…"
