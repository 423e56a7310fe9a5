"""What a head is anchored with: the note, and the leaf hashes since the head before it.

With them a verifier names the very record that was changed, also where everything in the database
was recomputed; the note alone would only say that something was.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from include.errors import RequestError
from include.ledger.merkle import Frontier
from include.ledger.note import Checkpoint, read_note


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The records at positions `start` … `start + len(seqs) - 1`, and the tree that they end."""

    start: int
    seqs: tuple[int, ...]
    leaves: tuple[bytes, ...]
    frontier: tuple[bytes, ...]

    @property
    def size(self) -> int:
        """Return the size of the tree after the last of them."""
        return self.start + len(self.seqs)

    def content(self) -> dict[str, Any]:
        """Return the entry as plain data."""
        return {
            "start": self.start,
            "seqs": list(self.seqs),
            "leaves": b"".join(self.leaves).hex(),
            "frontier": b"".join(self.frontier).hex(),
        }

    def digest(self) -> str:
        """Return the digest that the note signs: of start, seqs, leaves and frontier, a line each,
        as `content` has them, the seqs with commas."""
        content = self.content()
        seqs = ",".join(map(str, self.seqs))
        text = f"{self.start}\n{seqs}\n{content['leaves']}\n{content['frontier']}\n"
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A signed head with its entry; nothing of it has been believed yet but that the two fit."""

    note: str
    checkpoint: Checkpoint
    entry: Entry

    @property
    def size(self) -> int:
        """Return the tree's size."""
        return self.checkpoint.size

    def text(self) -> str:
        """Return the head as one line of JSON, as anchors keep it."""
        content = {"note": self.note, **self.entry.content()}
        return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def read_head(text: str) -> Head:
    """Return the head in a line; RequestError where note and entry are damaged or do not fit."""
    try:
        content = json.loads(text)
        entry = Entry(
            start=int(content["start"]),
            seqs=tuple(int(seq) for seq in content["seqs"]),
            leaves=_hashes(content["leaves"]),
            frontier=_hashes(content["frontier"]),
        )
        note = str(content["note"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RequestError("this is not an anchored head of the ledger") from error
    checkpoint, _ = read_note(note)
    fits = (
        len(entry.seqs) == len(entry.leaves)
        and entry.start >= 0
        and checkpoint.size == entry.size
        and checkpoint.entry == entry.digest()
    )
    try:
        fits = fits and Frontier(entry.size, entry.frontier).root() == checkpoint.root
    except ValueError:
        fits = False
    if not fits:
        raise RequestError(f"the head of {checkpoint.size} records does not fit its entry")
    return Head(note=note, checkpoint=checkpoint, entry=entry)


def _hashes(text: str) -> tuple[bytes, ...]:
    raw = bytes.fromhex(text)
    if len(raw) % 32:
        raise ValueError(text[:20])
    return tuple(raw[start : start + 32] for start in range(0, len(raw), 32))
