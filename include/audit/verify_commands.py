"""`./hims audit verify [PACK] [--head FILE]`: is everything as it was written?

Without a pack the whole ledger is verified, against its signed heads and their anchors, and what
was found is recorded. With one, the pack is verified by itself, without any service.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from include.audit.desk import Desk, open_desk
from include.audit.verification import Verification, verify_ledger
from include.errors import LedgerError, RequestError
from include.ledger import Actor, Ledger, Source
from include.ledger.connection import open_ledger
from include.ledger.note import Checkpoint, read_note
from include.output import print_json, print_line, print_progress
from include.settings import load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("pack", nargs="?", type=Path, help="an evidence pack instead of the ledger")
    parser.add_argument(
        "--head", type=Path, metavar="FILE", help="a signed head that the ledger must extend"
    )
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> int:
    """Return 0 when everything is as it was written, 1 when not."""
    settings = load_settings()
    now = datetime.now(UTC)
    desk = open_desk(settings, now)
    if options.pack is not None:
        from include.audit.pack_check import check_pack

        if options.head is not None:
            raise RequestError("--head goes with the ledger, not with a pack")
        outcome = check_pack(options.pack, desk.policy.rules.origin, desk.known)
        if options.json:
            print_json(outcome)
        else:
            print_line(outcome["message"])
            for finding in outcome["findings"]:
                print_line(f"  ✗ {finding['kind']}: {finding['message']}")
        return 0 if outcome["ok"] else 1
    against = _head(options.head, desk) if options.head is not None else None
    ledger = open_ledger(settings)
    found = verify_ledger(
        ledger,
        desk.policy.rules.origin,
        desk.known,
        desk.anchors(),
        now,
        tolerance=desk.policy.rules.clock_tolerance,
        evidence=settings.state_dir / "evidence",
        against=against,
        sealed_within=desk.policy.rules.sealed_within,
    )
    _record(ledger, found, now)
    if options.json:
        print_json(found.document())
    else:
        _show(found)
    return 0 if found.ok else 1


def _head(path: Path, desk: Desk) -> Checkpoint:
    try:
        note = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{path}: cannot be read as a signed head: {error}") from error
    checkpoint, _ = read_note(note)
    if desk.known.signer(note, checkpoint.time) is None:
        raise RequestError(
            f"{path}: is signed by no key that counted on {checkpoint.time:%Y-%m-%d}; "
            "add its public key to config/audit.yaml"
        )
    if checkpoint.origin != desk.policy.rules.origin:
        raise RequestError(
            f"{path}: is a head of {checkpoint.origin[:80]}, not of {desk.policy.rules.origin}"
        )
    return checkpoint


def _record(ledger: Ledger, found: Verification, now: datetime) -> None:
    from include.audit.watchman import record_verification

    try:
        alarm = record_verification(
            ledger, found, Actor(user="cli", name="cli", auth="shell"), Source(kind="cli"), now
        )
    except LedgerError as error:
        # Who may only read may verify, too.
        print_progress(f"this verification was not recorded: {error}")
        return
    if alarm:
        print_progress("releases are frozen until somebody acknowledges: ./hims audit acknowledge")


def _show(found: Verification) -> None:
    if found.ok:
        print_line(f"✓ {found.size} records, root sha256:{found.root.hex()}")
    for item in found.findings:
        print_line(f"✗ {item.kind:<16} {item.message}")
    for problem in found.problems:
        print_line(f"? {problem}")
    sealed = found.sealed
    if sealed is None:
        print_line("  nothing is sealed yet")
    else:
        print_line(
            f"  {sealed.size} records are sealed since {sealed.time:%Y-%m-%d %H:%M:%S}Z "
            f"by {found.heads} heads; {found.unsealed} not yet"
        )
    if found.unsequenced:
        print_line(f"  {found.unsequenced} records wait for their place in the tree")
