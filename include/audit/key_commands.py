"""`./hims audit keys [--rotate | --kms KEY]`: the public keys of the ledger's seal, for
config/audit.yaml."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta
from functools import partial

from pydantic import ValidationError

from include.audit.keys import keyring, rotate
from include.audit.policy import KmsPlace, load_audit_policy
from include.errors import RequestError
from include.instants import parse_duration
from include.output import print_json, print_line
from include.settings import load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--rotate", action="store_true", help="make a new key for this machine")
    action.add_argument(
        "--kms", metavar="KEY", help="print the public half of an Ed25519 key in AWS KMS instead"
    )
    parser.add_argument("--region", metavar="R", help="where that key is")
    parser.add_argument(
        "--overlap", default="7d", metavar="D", help="how long the old key signs beside it (7d)"
    )
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> int:
    """Print the keys that are believed; exit status 1 when there are none."""
    settings = load_settings()
    if options.region is not None and options.kms is None:
        raise RequestError("--region goes with --kms")
    if options.kms is not None:
        return _show_kms(options)
    if options.rotate:
        if any(item.kms is not None for item in load_audit_policy(settings).rules.keys):
            raise RequestError(
                "the ledger is sealed with a key in KMS: make the next one there, and publish what "
                f"`./hims audit keys --kms KEY` prints in {settings.label('audit.yaml')}"
            )
        overlap = parse_duration(options.overlap)
        if overlap < timedelta(hours=1):
            raise RequestError("--overlap: an hour at least, so that nobody misses the change")
        rotate(settings, datetime.now(UTC), overlap=overlap)
    keys = keyring(settings).keys
    if options.json:
        print_json(
            {
                "keys": [
                    {"key": str(item.key), "since": item.since, "until": item.until}
                    for item in keys
                ]
            }
        )
    else:
        for item in keys:
            until = f"  until {item.until:%Y-%m-%d %H:%M}Z" if item.until else ""
            print_line(f"{item.key}{until}")
        if not keys:
            print_line("no keys yet: the first seal makes one")
    return 0 if keys else 1


def _show_kms(options: argparse.Namespace) -> int:
    from include.audit.kms import open_client, read_public_key

    try:
        place = KmsPlace(key=options.kms, region=options.region)
    except ValidationError as error:
        first = error.errors()[0]
        wrong = "region" if first["loc"] == ("region",) else "kms"
        raise RequestError(f"--{wrong}: {first['msg'].removeprefix('Value error, ')}") from None
    key = read_public_key(partial(open_client, place.where), place.key)
    if options.json:
        print_json({"keys": [{"key": str(key), "since": None, "until": None}]})
    else:
        print_line(str(key))
    return 0
