"""The pass over the whole ledger: each body is hashed, the tree is built anew, and both are held
against what signed heads attest.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg2
from sqlalchemy import func, select, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DatabaseError, OperationalError

from include.audit.attested import DATABASE, Attested
from include.audit.doubles import written_twice
from include.audit.evidence import changed_evidence, evidence_below, named_evidence
from include.audit.finding import MOST, Finding
from include.instants import format_duration, format_instant
from include.ledger import schema
from include.ledger.merkle import Frontier
from include.ledger.note import Checkpoint
from include.ledger.record import time_text
from include.ledger.retention import Stub, pruned_stubs

_UNPLACED = text(
    "SELECT r.seq, r.body, r.leaf_hash, r.time,"
    " coalesce(r.seq < (SELECT min(low) FROM sequencer_stands()), false) FROM record r"
    " WHERE NOT EXISTS (SELECT FROM leaf l WHERE l.seq = r.seq) ORDER BY r.seq"
)
_KEYED = text("SELECT to_regclass('public.record_pkey') IS NOT NULL")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII).fullmatch
# Canonical JSON has no spaces.
_NAMES_EVIDENCE = '"evidence":[{'
_ROWS = """
    SELECT coalesce(l.position, -1), coalesce(l.seq, 0), coalesce(l.leaf_hash, ''),
        l.leaf_hash = r.leaf_hash, r.body, r.pruned,
        r.id, r.time, r.event, r.outcome, r.release, r.change
    FROM leaf l LEFT JOIN record r ON r.seq = l.seq ORDER BY l.position
"""


class _Filed(msgspec.Struct):
    """What the database files a record under, as the record itself says it."""

    id: str
    time: str
    event: str
    outcome: str
    release: str | None = None
    change: str | None = None


_filed = msgspec.json.Decoder(_Filed).decode


@dataclass(slots=True)
class Walk:
    """The one pass over the leaves, beside what is attested of them."""

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
    # What the first record says its time is that no head covers.
    _tail: str = ""
    _let_go: Mapping[int, Stub] | None = None
    _head: Attested | None = None
    # Where a record that names evidence stands, and what it names: seq, URI, digest.
    _places: dict[int, int] = field(default_factory=dict)
    _evidence: list[tuple[int, str, str]] = field(default_factory=list)
    # The records that stand after one of a higher seq: who has two places is among them.
    _late: list[int] = field(default_factory=list)
    _twice: set[int] = field(default_factory=set)

    def report(self, kind: str, position: int | None, seq: int | None, message: str) -> None:
        """Add a finding."""
        if len(self.findings) < MOST:
            self.findings.append(Finding(kind=kind, message=message, seq=seq, position=position))

    def run(self, heads: Iterator[Attested], limits: dict[str, int]) -> None:
        """Go through all leaves, and through what heads attest beyond them."""
        self._next(heads, limits)
        latest = ""
        future = time_text(self.now + self.tolerance)
        append, sha256 = self.frontier.append, hashlib.sha256
        highest = -(2**63)
        for position, seq, leaf_view, agrees, body, pruned, *filed in self._leaves():
            leaf, time = bytes(leaf_view), filed[1] or ""
            if position != self.frontier.size and not self._follows(position, seq):
                continue
            if seq > highest:
                highest = seq
            else:
                self._late.append(seq)
            if body is None:
                self.report("deleted", position, seq, f"record {seq} is gone from the ledger")
            else:
                if pruned:
                    same = self._pruned(seq, body, leaf, time)
                else:
                    same = sha256(b"\x00" + body.encode()).digest() == leaf
                # The record's own copy of the hash proves nothing: that the database may compare.
                if not same or not agrees:
                    self.report("edited", position, seq, f"record {seq} is not what was written")
                elif not self._properly_filed(position, seq, body, filed):
                    pass
                elif _NAMES_EVIDENCE in body:
                    self._note_evidence(position, seq, body)
                if not _INSTANT(time):
                    self._no_time(position, seq, time)
                elif time < latest:
                    self._back(position, seq, time, latest)
                elif time > future:
                    message = f"record {seq} bears a time to come: {time}"
                    self.report("future", position, seq, message)
                else:
                    latest = time
            if self._head is None:
                self._tail = self._tail or time
            elif self._comparing:
                self._compare(position, seq, leaf)
            append(leaf)
            if self.against is not None and self.frontier.size == self.against.size:
                self._hold(self.against, "the head that was handed in")
            while self._head is not None and self.frontier.size >= self._head.head.size:
                self._close(self._head, latest)
                self._next(heads, limits)
        self._end(heads, limits)

    def _properly_filed(self, position: int, seq: int, body: str, filed: list[str | None]) -> bool:
        """Return whether the record is found where it belongs: lists and packs go by columns."""
        try:
            said = _filed(body)
        except (msgspec.MsgspecError, RecursionError):
            self.report("unreadable", position, seq, f"record {seq} cannot be read as a record")
            return False
        if filed == [said.id, said.time, said.event, said.outcome, said.release, said.change]:
            return True
        message = f"record {seq} is filed under what it does not say: lists and packs may miss it"
        self.report("misfiled", position, seq, message)
        return False

    def look_at_unplaced(self) -> tuple[int, list[str]]:
        """Return how many records have no place in the tree, and what is wrong about that; each
        that is not what was written is reported."""
        count, oldest = 0, ""
        future = time_text(self.now + self.tolerance)
        for seq, body, leaf, said, passed in self.connection.execute(_UNPLACED):
            count += 1
            time = said or ""
            oldest = min(oldest or time, time)
            if hashlib.sha256(b"\x00" + body.encode()).digest() != bytes(leaf or b""):
                self.report("edited", None, seq, f"record {seq} is not what was written")
            if passed:
                message = f"record {seq} was put in where records had got their places already"
                self.report("inserted", None, seq, message)
            if not _INSTANT(time):
                self._no_time(None, seq, time)
            elif time > future:
                message = f"record {seq} bears a time to come: {time}"
                self.report("future", None, seq, message)
        if oldest and oldest < time_text(self.now - self.tolerance):
            return count, [f"{count} records get no place in the tree, the oldest since {oldest}"]
        return count, []

    def look_for_doubles(self) -> None:
        """Report every record that is one before it once more, and every one with two places."""
        for position, seq, message in written_twice(self.connection, self._late):
            self._double(position, seq, message)

    def _double(self, position: int | None, seq: int, message: str) -> None:
        if seq not in self._twice:
            self._twice.add(seq)
            self.report("duplicated", position, seq, message)

    def look_at_tail(self, within: timedelta | None) -> list[str]:
        """Return what is wrong about the records of the tree that no head covers yet."""
        count = self.frontier.size - (0 if self.sealed is None else self.sealed.size)
        if within is None or count <= 0 or self._tail == "":
            return []
        if self._tail >= time_text(self.now - within):
            return []
        return [
            f"{count} records are not sealed, the oldest from {self._tail}: sealing should take no "
            f"longer than {format_duration(within)} (`sealed_within` in config/audit.yaml); see "
            "the Dag audit_seal and `./hims audit seal --watch`"
        ]

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

    def _pruned(self, seq: int, body: str, leaf: bytes, time: str) -> bool:
        """Return whether a record says that this one was pruned after its time, with this leaf
        hash, and that this was left: there is no body any more to hash."""
        if self._let_go is None:
            self._let_go = pruned_stubs(self.connection)
        said = self._let_go.get(seq)
        sealed = None if self._head is None else self._head.head.checkpoint.time
        future = self.now + self.tolerance
        return said is not None and said.at <= future and said.fits(body, leaf, time, sealed)

    def _leaves(self) -> Iterator[tuple[Any, ...]]:
        # A plan that needs neither memory nor disk: leaves by their place, each record by its seq.
        # Where somebody took the key away, each record would be a look through all of them.
        if self.connection.execute(_KEYED).scalar_one():
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
        since = None if self._head is None else self._head.head.checkpoint.time
        self._head = next(heads, None)
        if self._head is None:
            return
        self.heads += 1
        head, first = self._head.head, self._head.head.entry.seqs[0]
        at = head.checkpoint.time
        if at > self.now + self.tolerance:
            message = f"the head of {head.size} records bears a time to come: {format_instant(at)}"
            self.report("head_future", head.entry.start, first, message)
        if since is not None and at < since - self.tolerance:
            message = (
                f"the head of {head.size} records bears {format_instant(at)}, the one before it "
                f"{format_instant(since)}: it was signed with a clock put back"
            )
            self.report("head_backdated", head.entry.start, first, message)
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
            "SELECT true FROM head WHERE CASE WHEN pg_input_is_valid(entry, 'jsonb')"
            " THEN (entry::jsonb) -> 'seqs' @> to_jsonb(:seq) END LIMIT 1"
        )
        return bool(self.connection.execute(said, {"seq": seq}).scalar())

    def _follows(self, position: int, seq: int) -> bool:
        """Report a leaf that is not at the next place; return whether it stands after that."""
        if position < 0:
            message = f"record {seq} was put in before the first place of the tree"
            self.report("inserted", position, seq, message)
        elif position < self.frontier.size:
            self._double(position, seq, f"record {seq} stands at {position}, a place that is taken")
        else:
            self._gap(position)
        return position > self.frontier.size

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
            self._no_time(position, seq, time)
            return
        if back > self.tolerance:
            message = (
                f"record {seq} bears {time}, {format_duration(back)} before one that stands before "
                "it: the clock was put back, or the record is not from then"
            )
            self.report("backdated", position, seq, message)

    def _no_time(self, position: int | None, seq: int, time: str) -> None:
        message = f"record {seq} bears a time that is none: {time[:40]!r}"
        self.report("unreadable", position, seq, message)

    def _close(self, item: Attested, latest: str) -> None:
        head = item.head
        if latest > time_text(head.checkpoint.time + self.tolerance):
            message = (
                f"the head of {head.size} records bears {format_instant(head.checkpoint.time)}, a "
                f"record under it {latest}: it was signed with a clock put back"
            )
            self.report("head_backdated", head.entry.start, head.entry.seqs[0], message)
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
