"""`./hims audit pack CHANGE|RELEASE -o FILE`, or `--from T --to T`: evidence for an auditor.

The pack verifies by itself; that it was made is a record, and it says what stands out in it.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from include.audit.desk import Desk, open_desk
from include.audit.pack import Pack, covering_head, make_pack
from include.audit.pack_check import check_pack
from include.audit.selection import Selection, select_period, select_subject
from include.durable import write_bytes
from include.errors import LedgerError, RequestError
from include.instants import parse_instant
from include.ledger import Actor, Ledger, Source, Subject
from include.ledger.connection import open_ledger
from include.output import print_json, print_line
from include.settings import Settings, load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("id", nargs="?", help="a release, like hims-api-2.3.0, or a change")
    parser.add_argument("--from", dest="since", metavar="T", help="everything from this instant")
    parser.add_argument("--to", dest="until", metavar="T", help="… and before this one")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> int:
    """Return 0 when the pack is written and verifies, 1 when it is written and does not."""
    if (options.id is None) == (options.since is None and options.until is None):
        raise RequestError("name a release or a change, or give --from and --to")
    if options.id is None and (options.since is None or options.until is None):
        raise RequestError("--from and --to go together")
    about = options.id if options.id is not None else _span(options)
    if options.output.exists() and not options.output.is_file():
        # The pack is moved to its place as a whole: a device would be replaced by it.
        raise RequestError(f"{options.output}: is not a plain file; name the file to be written")
    settings = load_settings()
    now = datetime.now(UTC)
    ledger = open_ledger(settings)
    desk = open_desk(settings, now, sign=True)
    pack, chosen = build(ledger, settings, desk, about, now)
    try:
        write_bytes(options.output, pack.content, mode=0o640)
    except OSError as error:
        raise RequestError(f"{options.output}: cannot be written: {error.strerror}") from error
    checked = check_pack(options.output, desk.policy.rules.origin, desk.known)
    _record(ledger, chosen, pack, now)
    document = {
        "ok": checked["ok"],
        "size": pack.head.size,
        "root": f"sha256:{pack.head.checkpoint.root.hex()}",
        "first_bad": checked["first_bad"],
        "id": chosen.id,
        "file": str(options.output),
        "sha256": pack.sha256,
        "bytes": len(pack.content),
        "records": pack.records,
        "exceptions": list(pack.exceptions),
        "findings": checked["findings"],
    }
    if options.json:
        print_json(document)
    else:
        print_line(f"{options.output}: {pack.records} records, {len(pack.content):,} bytes")
        for line in pack.exceptions:
            print_line(f"  ! {line}")
        for item in checked["findings"]:
            print_line(f"  ✗ {item['message']}")
        print_line(f"  {checked['message']}")
    return 0 if checked["ok"] else 1


def _span(options: argparse.Namespace) -> tuple[datetime, datetime]:
    instants = []
    for name, given in (("--from", options.since), ("--to", options.until)):
        try:
            instants.append(parse_instant(given))
        except RequestError as error:
            raise RequestError(f"{name}: {error}") from error
    return instants[0], instants[1]


def build(
    ledger: Ledger,
    settings: Settings,
    desk: Desk,
    about: str | tuple[datetime, datetime],
    now: datetime,
) -> tuple[Pack, Selection]:
    """Return the pack about a release, a change or a stretch; what no head covers yet is sealed
    first."""
    ledger.sequence_new()
    for sealed in (False, True):
        with ledger.read() as connection:
            chosen = (
                select_subject(connection, about)
                if isinstance(about, str)
                else select_period(connection, *about)
            )
            head = covering_head(connection, desk.known, chosen.records[-1].position)
            if head is not None:
                pack = make_pack(
                    connection, settings, chosen, head, keys=desk.keys, known=desk.known
                )
                return pack, chosen
        if not sealed:
            desk.sealer(ledger).seal(now)
    raise LedgerError("no signed head covers these records; see `./hims audit verify`")


def _record(ledger: Ledger, chosen: Selection, pack: Pack, now: datetime) -> None:
    actor = Actor(user="cli", name="cli", auth="shell")
    with ledger.write(actor, Source(kind="cli"), now) as unit:
        unit.append(
            "ledger.exported",
            Subject(kind="pack", id=chosen.id, content_hash=pack.sha256),
            message=f"evidence pack of {chosen.id}: {pack.records} records",
            details={"head": pack.head.size, "exceptions": list(pack.exceptions)[:50]},
        )
