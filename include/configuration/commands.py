"""`./hims config show SERVICE ENV [--why KEY]`: what holds, and which level says so."""

from __future__ import annotations

import argparse
from typing import Any

from include.configuration.resolved import Flip, Origin, resolve
from include.errors import ConfigError, LedgerError, RequestError
from include.output import print_json, print_line, print_progress
from include.settings import Settings, load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `config show`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser("show", help="what a service is configured with")
    show.add_argument("service", metavar="SERVICE")
    show.add_argument("environment", metavar="ENV")
    show.add_argument("--why", metavar="KEY", help="every level's word on one key, like redis.host")
    show.add_argument("--files", action="store_true", help="without the flags of the ledger")
    show.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> int:
    """Return 0, or 1 where the files cannot be used or nothing sets the key."""
    settings = load_settings()
    try:
        flips = () if options.files else _flips(settings, options.service, options.environment)
        found = resolve(settings, options.service, options.environment, flips=flips)
    except ConfigError as error:
        if options.json:
            print_json(
                {
                    "ok": False,
                    "errors": [
                        {"file": item.file, "line": item.line, "key": item.key,
                         "message": item.message}
                        for item in error.problems
                    ],
                }
            )  # fmt: skip
        else:
            print_line(str(error))
        return 1
    if options.why is not None:
        return _why(options, found)
    if options.json:
        print_json(
            {
                "service": found.service,
                "environment": found.environment,
                "hash": found.digest,
                "values": found.values,
                "sources": {key: _plain(words[-1]) for key, words in found.origins.items()},
            }
        )
        return 0
    print_line(f"{found.service} in {found.environment}: {found.digest}")
    for key, words in sorted(found.origins.items()):
        print_line(f"  {key} = {words[-1].value!r}  ({words[-1].level}: {_place(words[-1])})")
    return 0


def _why(options: argparse.Namespace, found: Any) -> int:
    try:
        words = found.why(options.why)
    except RequestError as error:
        if options.json:
            print_json({"key": options.why, "value": None, "steps": [], "message": str(error)})
        else:
            print_line(str(error))
        return 1
    if options.json:
        steps = [_plain(word) for word in words]
        print_json({"key": options.why, "value": words[-1].value, "steps": steps})
        return 0
    for word in words:
        mark = "→" if word is words[-1] else " "
        print_line(f"{mark} {word.level:<12} {word.value!r}  {_place(word)}")
    return 0


def _plain(word: Origin) -> dict[str, Any]:
    return {"level": word.level, "file": word.file, "line": word.line, "value": word.value}


def _place(word: Origin) -> str:
    return word.file if word.line is None else f"{word.file}:{word.line}"


def _flips(settings: Settings, service: str, environment: str) -> tuple[Flip, ...]:
    """Return the ledger's flags; where there is no ledger to ask, say so and go by the files."""
    from include.configuration.flags import flips_of
    from include.ledger.connection import open_ledger

    try:
        with open_ledger(settings).read() as connection:
            return flips_of(connection, service, environment)
    except LedgerError as error:
        print_progress(f"hims: flags that changes have set are not known: {error}")
        return ()
