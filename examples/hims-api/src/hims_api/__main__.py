"""`python hims-api.pyz serve | migrate`: the two things this service can do."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from hims_api.settings import SettingsError, read_settings


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; exit status 0 done, 1 it failed, 2 it was asked wrongly."""
    parser = argparse.ArgumentParser(prog="hims-api")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="answer requests on 127.0.0.1")
    serve.add_argument("--port", type=_port, required=True)
    migrate = commands.add_parser("migrate", help="bring the database to this version's schema")
    migrate.add_argument("--status", action="store_true", help="only say, as JSON, where it is")
    options = parser.parse_args(argv)
    try:
        settings = read_settings()
    except SettingsError as error:
        print(f"hims-api: {error}", file=sys.stderr)
        return 2
    # Each command loads what it needs and no more: a slot has to be up within a second.
    if options.command == "serve":
        from hims_api.server import serve as run_server

        return run_server(settings, options.port)
    from hims_api import schema

    try:
        if options.status:
            print(json.dumps(schema.status(settings.database_url), indent=2))
        else:
            for line in schema.migrate(settings.database_url):
                print(line, flush=True)
    except schema.SchemaError as error:
        print(f"hims-api: {error}", file=sys.stderr)
        return 1
    return 0


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f'"{text}" is not a port; give a number from 1 to 65535')
    return int(text)


if __name__ == "__main__":
    raise SystemExit(main())
