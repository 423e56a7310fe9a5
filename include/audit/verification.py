"""Verifying the whole ledger in one pass: bodies, leaves, places, signed heads, rows of state,
evidence files, and what the database itself promises.

Nothing is believed because the database says so. Each body is hashed here, the tree is built anew,
and both are held against signed heads from the database and from the anchors, which name every
leaf hash: so a ledger that was recomputed as a whole still shows which record is not the old one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy import func, select, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DatabaseError, OperationalError

from include.audit.anchors.anchor import Anchor
from include.audit.attested import DATABASE, Attested, attested
from include.audit.evidence import changed_evidence, evidence_below, named_evidence
from include.audit.guarantees import lost_guarantees
from include.audit.keys import Keyring
from include.audit.state_rows import unvouched_rows
from include.errors import LedgerError
from include.instants import format_duration, format_instant
from include.ledger import Ledger, schema
from include.ledger.heads import head_texts
from include.ledger.merkle import Frontier
from include.ledger.note import Checkpoint
from include.ledger.retention import pruned_leaves

# So many findings are listed; the first is what counts, and the rest follows from it.
MOST = 200
_UNPLACED = text(
    "SELECT r.seq, r.body, r.leaf_hash, r.time FROM record r"
    " WHERE NOT EXISTS (SELECT FROM leaf l WHERE l.seq = r.seq) ORDER BY r.seq"
)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII).fullmatch
# Canonical JSON has no spaces.
_NAMES_EVIDENCE = '"evidence":[{'
_ROWS = """
    SELECT l.position, l.seq, l.leaf_hash, r.leaf_hash, r.body, r.time, r.pruned
    FROM leaf l LEFT JOIN record r ON r.seq = l.seq ORDER BY l.position
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it was written. `seq` is the record; a row of state that no record
    speaks of has a `row` instead. `position` is the place in the tree, where it has one."""

    kind: str
    message: str
    seq: int | None = None
    position: int | None = None
    row: str | None = None

    @property
    def id(self) -> str:
        """Return how an acknowledgement names the finding."""
        return f"{self.kind}:{self.row if self.seq is None else self.seq}"

    @property
    def bad(self) -> int | str | None:
        """Return the record, or else the row, that is meant."""
        return self.row if self.seq is None else self.seq


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
    known: Keyring,
    anchors: Sequence[Anchor],
    now: datetime,
    *,
    tolerance: timedelta,
    evidence: Path,
    against: Checkpoint | None = None,
) -> Verification:
    """Verify everything, and that the tree extends `against` where a head is handed in.

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
        heads: dict[str, Any] = {DATABASE: head_texts(second)}
        heads |= {anchor.name: anchor.heads() for anchor in present}
        patience = {anchor.name: anchor.patience for anchor in present}
        pass_ = _Pass(connection, now, tolerance, against, patience)
        stream = attested(heads, known, pass_.report, limits=limits)
        try:
            pass_.run(stream, limits)
        except LedgerError as error:
            problems.append(str(error))
        unsequenced, waits = pass_.look_at_unplaced()
        problems += waits
        problems += pass_.look_at_evidence(evidence)
        problems += lost_guarantees(connection)
        tree = sorted(pass_.findings, key=lambda item: (item.position is None, item.position or 0))
        rows = [
            Finding(kind=kind, message=message, seq=seq, row=row)
            for kind, seq, row, message in unvouched_rows(connection, limit=MOST)
        ]
    return Verification(
        size=pass_.frontier.size,
        root=pass_.frontier.root(),
        unsequenced=unsequenced,
        sealed=pass_.sealed,
        heads=pass_.heads,
        findings=tuple([*tree, *rows][:MOST]),
        problems=tuple(problems),
    )


@dataclass(slots=True)
class _Pass:
    """The pass over the leaves, beside what is attested of them."""

    connection: Connection
    now: datetime
    tolerance: timedelta
    against: Checkpoint | None
    patience: Mapping[str, timedelta]
    frontier: Frontier = field(default_factory=Frontier)
    findings: list[Finding] = field(default_factory=list)
    sealed: Checkpoint | None = None
    heads: int = 0
    # Leaves are compared with what heads attest until one is out of place: from there on all are.
    _comparing: bool = True
    _same: bool = True
    _let_go: Mapping[int, str] | None = None
    _head: Attested | None = None
    # Where a record that names evidence stands, and what it names: seq, URI, digest.
    _places: dict[int, int] = field(default_factory=dict)
    _evidence: list[tuple[int, str, str]] = field(default_factory=list)

    def report(self, kind: str, position: int | None, seq: int | None, message: str) -> None:
        """Add a finding."""
        if len(self.findings) < MOST:
            self.findings.append(Finding(kind=kind, message=message, seq=seq, position=position))

    def run(self, heads: Iterator[Attested], limits: dict[str, int]) -> None:
        """Go through all leaves, and through what heads attest beyond them."""
        self._next(heads, limits)
        latest = ""
        future = _time(self.now + self.tolerance)
        append, sha256 = self.frontier.append, hashlib.sha256
        for position, seq, leaf_view, hash_view, body, time, pruned in self._leaves():
            leaf = bytes(leaf_view)
            if position != self.frontier.size:
                self._gap(position)
            if body is None:
                self.report("deleted", position, seq, f"record {seq} is gone from the ledger")
            else:
                digest = self._pruned(seq) if pruned else sha256(b"\x00" + body.encode()).digest()
                if digest != leaf or digest != bytes(hash_view):
                    self.report("edited", position, seq, f"record {seq} is not what was written")
                elif _NAMES_EVIDENCE in body:
                    self._note_evidence(position, seq, body)
                if not _INSTANT(time):
                    message = f"record {seq} bears a time that is none: {time[:40]!r}"
                    self.report("unreadable", position, seq, message)
                elif time < latest:
                    self._back(position, seq, time, latest)
                elif time > future:
                    message = f"record {seq} bears a time to come: {time}"
                    self.report("future", position, seq, message)
                else:
                    latest = time
            if self._head is not None and self._comparing:
                self._compare(position, seq, leaf)
            append(leaf)
            if self.against is not None and self.frontier.size == self.against.size:
                self._hold(self.against, "the head that was handed in")
            while self._head is not None and self.frontier.size >= self._head.head.size:
                self._close(self._head)
                self._next(heads, limits)
        self._end(heads, limits)

    def look_at_unplaced(self) -> tuple[int, list[str]]:
        """Return how many records have no place in the tree, and what is wrong about that; each
        that is not what was written is reported."""
        count, oldest = 0, ""
        for seq, body, leaf, time in self.connection.execute(_UNPLACED):
            count += 1
            oldest = min(oldest or time, time)
            if hashlib.sha256(b"\x00" + body.encode()).digest() != bytes(leaf):
                self.report("edited", None, seq, f"record {seq} is not what was written")
        if oldest and oldest < _time(self.now - self.tolerance):
            return count, [f"{count} records get no place in the tree, the oldest since {oldest}"]
        return count, []

    def _note_evidence(self, position: int, seq: int, body: str) -> None:
        try:
            self._evidence += named_evidence(seq, json.loads(body))
        except (ValueError, AttributeError, RecursionError):
            self.report("unreadable", position, seq, f"record {seq} cannot be read as a record")
        self._places[seq] = position

    def look_at_evidence(self, root: Path) -> list[str]:
        """Hold the files that records name against their digests; return what kept from it."""
        named = evidence_below(self._evidence, root)
        if named and not root.is_dir():
            return [
                f"{root} is not there: evidence that records name was not looked at "
                f"({len(named)} files); verify where Release Control runs"
            ]
        for status, seq, message in changed_evidence(named, root):
            self.report(f"evidence_{status}", self._places[seq], seq, message)
        return []

    def _pruned(self, seq: int) -> bytes:
        """Return the leaf hash that a record says was pruned: the body is no longer there to hash,
        and that it is not there has to be on record."""
        if self._let_go is None:
            self._let_go = pruned_leaves(self.connection)
        said = self._let_go.get(seq, "").removeprefix("sha256:")
        return bytes.fromhex(said) if len(said) == 64 else b""

    def _leaves(self) -> Iterator[tuple[Any, ...]]:
        # A plan that needs neither memory nor disk: leaves by their place, each record by its seq.
        self.connection.execute(text("SET LOCAL enable_hashjoin = off"))
        self.connection.execute(text("SET LOCAL enable_mergejoin = off"))
        self.connection.execute(text("SET LOCAL enable_sort = off"))
        raw: Any = self.connection.connection.cursor("verification")
        with closing(raw):
            raw.itersize = 5000
            try:
                raw.execute(_ROWS)
                yield from raw
            except psycopg2.OperationalError as error:
                raise OperationalError("verification", None, error) from error
            except psycopg2.Error as error:
                raise DatabaseError("verification", None, error) from error
        self.connection.execute(text("SET LOCAL enable_hashjoin = on"))
        self.connection.execute(text("SET LOCAL enable_mergejoin = on"))
        self.connection.execute(text("SET LOCAL enable_sort = on"))

    def _next(self, heads: Iterator[Attested], limits: dict[str, int]) -> None:
        before = 0 if self._head is None else self._head.head.size
        self._head = next(heads, None)
        if self._head is None:
            return
        self.heads += 1
        head, first = self._head.head, self._head.head.entry.seqs[0]
        if head.entry.start > before:
            self.report(
                "head_missing",
                before,
                None,
                f"no head covers the records at {before} to {head.entry.start - 1}",
            )
        for place, patience in self.patience.items():
            late = head.size <= limits[place] or head.checkpoint.time < self.now - patience
            if place not in self._head.places and late:
                message = f"{place} lacks the head of {head.size} records"
                self.report("head_missing", head.entry.start, first, message)
        if DATABASE not in self._head.places:
            message = (
                f"the database lacks the head of {head.size} records that "
                f"{', '.join(sorted(self._head.places))} keeps: it was put back"
            )
            self.report("head_missing", head.entry.start, first, message)

    def _compare(self, position: int, seq: int, leaf: bytes) -> None:
        assert self._head is not None  # noqa: S101 - asked by the caller
        entry = self._head.head.entry
        index = position - entry.start
        if index < 0 or (entry.seqs[index], entry.leaves[index]) == (seq, leaf):
            return
        self._same = False
        was = entry.seqs[index]
        if was == seq:
            message = f"record {seq} and its hashes were recomputed; signed was another content"
            self.report("rewritten", position, seq, message)
            return
        self._comparing = False
        if not self._there(was):
            self.report("deleted", position, was, f"record {was} is gone from the tree")
        elif seq in entry.seqs or self._sealed_before(seq):
            message = f"records were put in another order: {seq} stands where {was} was"
            self.report("reordered", position, was, message)
        else:
            message = f"record {seq} was put in where {was} was"
            self.report("inserted", position, seq, message)

    def _there(self, seq: int) -> bool:
        leaf = schema.leaf
        query = select(func.count()).select_from(leaf).where(leaf.c.seq == seq)
        return bool(self.connection.execute(query).scalar_one())

    def _sealed_before(self, seq: int) -> bool:
        """Return whether some head in the database names the record. Asked once at most."""
        said = text(
            "SELECT true FROM head WHERE (entry::jsonb) -> 'seqs' @> to_jsonb(:seq) LIMIT 1"
        )
        return bool(self.connection.execute(said, {"seq": seq}).scalar())

    def _gap(self, position: int) -> None:
        place = self.frontier.size
        seq = self._attested_seq(place)
        self._comparing = False
        what = f"record {seq} has lost its place" if seq is not None else "a leaf is gone"
        self.report("deleted", place, seq, f"{what}: nothing is at {place} before {position}")

    def _attested_seq(self, position: int) -> int | None:
        if self._head is None:
            return None
        entry = self._head.head.entry
        index = position - entry.start
        return entry.seqs[index] if 0 <= index < len(entry.seqs) else None

    def _back(self, position: int, seq: int, time: str, latest: str) -> None:
        """Report a record that is older than one before it by more than writers differ."""
        try:
            back = datetime.fromisoformat(latest) - datetime.fromisoformat(time)
        except ValueError:
            message = f"record {seq} bears a time that is none: {time}"
            self.report("unreadable", position, seq, message)
            return
        if back > self.tolerance:
            message = (
                f"record {seq} bears {time}, {format_duration(back)} before one that stands before "
                "it: the clock was put back, or the record is not from then"
            )
            self.report("backdated", position, seq, message)

    def _close(self, item: Attested) -> None:
        if self._comparing and self._same and self.frontier.size == item.head.size:
            self._hold(item.head.checkpoint, "a signed head")
        self.sealed = item.head.checkpoint

    def _hold(self, checkpoint: Checkpoint, what: str) -> None:
        if self.frontier.root() != checkpoint.root:
            message = f"the first {checkpoint.size} records do not have the root of {what}"
            start = 0 if self.sealed is None else self.sealed.size
            self.report("root_differs", start, self._attested_seq(start), message)

    def _end(self, heads: Iterator[Attested], limits: dict[str, int]) -> None:
        size = self.frontier.size
        seq = self._attested_seq(size)
        beyond = size
        while self._head is not None:
            beyond = max(beyond, self._head.head.size)
            self._next(heads, limits)
        if beyond > size:
            message = f"the newest {beyond - size} of {beyond} sealed records were cut off"
            self.report("truncated", size, seq, message)
        if self.against is not None and self.against.size > size:
            message = (
                f"the head that was handed in has {self.against.size} records, here are {size}"
            )
            self.report("truncated", size, seq, message)


def _time(instant: datetime) -> str:
    from include.ledger.record import time_text

    return time_text(instant)
