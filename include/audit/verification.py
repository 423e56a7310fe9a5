"""Verifying the whole ledger in one pass: bodies, leaves, places, signed heads, rows of state,
evidence files, and what the database itself promises.

Nothing is believed because the database says so. Each body is hashed here, the tree is built anew,
and both are held against signed heads from the database and from the anchors, which name every
leaf hash: so a ledger that was recomputed as a whole still shows which record is not the old one.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from include.audit.anchors.anchor import Anchor
from include.audit.attested import DATABASE, attested
from include.audit.constraints import lost_constraints
from include.audit.finding import MOST, Finding
from include.audit.guarantees import lost_guarantees
from include.audit.keys import Keyring
from include.audit.sequencer import sequencer_faults
from include.audit.state_rows import unvouched_rows
from include.audit.walk import Walk
from include.errors import LedgerError
from include.instants import format_instant
from include.ledger import Ledger, schema
from include.ledger.heads import head_rows
from include.ledger.note import Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was found. `size` and `root` are the tree's; `sealed` the newest head that holds."""

    size: int
    root: bytes
    unsequenced: int
    sealed: Checkpoint | None
    heads: int
    findings: tuple[Finding, ...]
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Return whether everything is as it was written."""
        return not self.findings and not self.problems

    @property
    def first_bad(self) -> int | str | None:
        """Return the seq of the first bad record, or the row that no record speaks of."""
        return next((item.bad for item in self.findings if item.bad is not None), None)

    @property
    def unsealed(self) -> int:
        """Return how many records of the tree no head covers yet."""
        return self.size - (0 if self.sealed is None else self.sealed.size)

    def document(self) -> dict[str, Any]:
        """Return the outcome as JSON has it."""
        sealed = self.sealed
        return {
            "ok": self.ok,
            "size": self.size,
            "root": "sha256:" + self.root.hex(),
            "first_bad": self.first_bad,
            "unsequenced": self.unsequenced,
            "unsealed": self.unsealed,
            "heads": self.heads,
            "sealed": None
            if sealed is None
            else {
                "size": sealed.size,
                "root": "sha256:" + sealed.root.hex(),
                "time": format_instant(sealed.time),
            },
            "findings": [
                {
                    "kind": item.kind,
                    "seq": item.seq,
                    "position": item.position,
                    "row": item.row,
                    "message": item.message,
                }
                for item in self.findings
            ],
            "problems": list(self.problems),
        }


def verify_ledger(
    ledger: Ledger,
    origin: str,
    known: Keyring,
    anchors: Sequence[Anchor],
    now: datetime,
    *,
    tolerance: timedelta,
    evidence: Path,
    against: Checkpoint | None = None,
    sealed_within: timedelta | None = None,
) -> Verification:
    """Verify everything, and that the tree extends `against` where a head is handed in.

    `origin` is what its heads name: those of another ledger prove nothing, whoever signed them.
    With `sealed_within`, a record that no head covers after so long is a problem: whoever has the
    database could have recomputed it.

    `evidence` is the directory with the files that records name. An anchor that does not answer is
    a problem, and so is that directory where it is not there: what they may know is missing, and
    missing evidence is no pass. Memory grows with the pieces of evidence, not with the records.
    Raises LedgerError when the database fails.
    """
    # What was written a moment ago gets its place first; who may only read verifies without.
    with suppress(LedgerError):
        ledger.sequence_new()
    problems: list[str] = []
    limits: dict[str, int] = {}
    present = []
    for anchor in anchors:
        try:
            limits[anchor.name] = anchor.newest()
            present.append(anchor)
        except LedgerError as error:
            problems.append(f"{anchor.name}: {error}")
    # One streams records while the other streams heads; both up to where the first one looked.
    with ledger.read() as connection, ledger.read() as second:
        newest = connection.execute(select(func.max(schema.head.c.size))).scalar()
        limits[DATABASE] = int(newest or 0)
        heads: dict[str, Any] = {DATABASE: head_rows(second)}
        heads |= {anchor.name: anchor.heads() for anchor in present}
        patience = {anchor.name: anchor.patience for anchor in present}
        walk = Walk(connection, now, tolerance, against, patience)
        stream = attested(heads, origin, known, walk.report, limits=limits)
        try:
            walk.run(stream, limits)
        except LedgerError as error:
            problems.append(str(error))
        walk.look_for_doubles()
        unsequenced, waits = walk.look_at_unplaced()
        problems += waits
        problems += walk.look_at_tail(sealed_within)
        problems += walk.look_at_evidence(evidence)
        problems += lost_guarantees(connection)
        problems += lost_constraints(connection)
        problems += sequencer_faults(connection)
        tree = sorted(walk.findings, key=lambda item: (item.position is None, item.position or 0))
        rows = [
            Finding(kind=kind, message=message, seq=seq, row=row)
            for kind, seq, row, message in unvouched_rows(connection, limit=MOST)
        ]
    return Verification(
        size=walk.frontier.size,
        root=walk.frontier.root(),
        unsequenced=unsequenced,
        sealed=walk.sealed,
        heads=walk.heads,
        findings=tuple([*tree, *rows][:MOST]),
        problems=tuple(problems),
    )
