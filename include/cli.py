"""`./hims …`: the front door for shells, scripts and CI jobs.

Exit status: 0 yes or done, 1 a well-formed no, 2 misuse or unusable configuration; 130 and 141
where Ctrl-C or a closed pipe ended it. With `--json` exactly one JSON document goes to stdout;
everything else goes to stderr.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence

from include.errors import ReleaseControlError

# Imported only when called: a command that asks the calendar must not pay for the ledger.
COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("include.stack.commands.up", "start everything on this machine; returns when healthy"),
    "down": ("include.stack.commands.down", "stop everything that up started"),
    "status": ("include.stack.commands.status", "what runs here, and where"),
    "logs": ("include.stack.commands.logs", "follow the log of one component, or list them"),
    "people": ("include.people.commands", "who signs in, with which roles"),
    "access": ("include.access.commands", "who may do what, and whether duties are separated"),
    "rehearse": ("include.rehearsal.commands", "run one whole release train in rehearsal"),
    "unlock": (
        "include.releases.unlock_commands",
        "let a service be released again after a rollback",
    ),
    "why": ("include.permits.commands", "what stands between a release and production"),
    "change": ("include.changes.commands", "changes: validate, submit, show, edit, decide"),
    "config": ("include.configuration.commands", "what a service is configured with, and why"),
    "calendar": ("include.entries.calendar_commands", "ask the change calendar"),
    "release": ("include.releases.commands", "release dates and release notes"),
    "freeze": ("include.releases.freeze_commands", "freezes: enter, list, lift, check commits"),
    "window": ("include.entries.window_commands", "extended windows: ask, approve, list"),
    "incident": ("include.incidents.commands", "incidents: open, answer, resolve, review"),
    "audit": ("include.ledger.commands", "read the ledger"),
    "metrics": ("include.reports.commands", "figures of a stretch, with the rows behind them"),
    "report": (
        "include.reports.report_commands",
        "the weekly, monthly or quarterly report of a period",
    ),
    "demo-data": ("include.reports.demo.commands", "fill an empty ledger with a known history"),
    "notices": ("include.notices.commands", "what was said, to whom, and when it arrived"),
    "digest": ("include.notices.digest_commands", "what is coming to each team's systems"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        # What a terminal cannot show (a file's name that is no UTF-8) is shown escaped.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    for word in arguments:
        if not _is_text(word) and not os.path.lexists(word):
            print(f"hims: {ascii(word)[:80]} is not UTF-8 text", file=sys.stderr)
            return 2
    parser = argparse.ArgumentParser(
        prog="./hims", description="Release Control: change windows and release trains."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    # Only the module of the command in question is loaded; the others are listed by name.
    asked = next((word for word in arguments if not word.startswith("-")), None)
    for name, (module_name, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if name == asked:
            module = importlib.import_module(module_name)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    try:
        options = parser.parse_args(arguments)
        status = int(options.run(options))
        sys.stdout.flush()
        return status
    except ReleaseControlError as error:
        print(f"hims: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (head, less …) has seen enough. What it did not hear may have been a no, so
        # this is no yes: the status is that of any program that a closed pipe ends.
        _discard_output()
        return 128 + signal.SIGPIPE
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"hims: {where}the system refuses: {error.strerror or error}", file=sys.stderr)
        _discard_output()
        return 2


def _discard_output() -> None:
    """Keep the interpreter from writing what is left in the buffer when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


if __name__ == "__main__":
    raise SystemExit(main())
