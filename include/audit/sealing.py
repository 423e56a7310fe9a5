"""Sealing: sign the tree as it is, and take the head out of the database's reach."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from include.audit.anchors.anchor import Anchor
from include.audit.keys import Keyring
from include.errors import LedgerError, RequestError
from include.instants import format_instant
from include.ledger import Ledger
from include.ledger.entry import Head, read_head
from include.ledger.heads import append_head, head_texts, newest_head
from include.ledger.note import Checkpoint, Signer, sign_checkpoint

# So many heads are in memory at once where an anchor has to catch up.
_TOGETHER = 500
# The clocks of two who seal differ by no more.
_SLACK = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """The newest head, and where it is anchored; `problems` say which place did not take it."""

    head: Head | None
    new: bool
    places: tuple[str, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sealer:
    """Signs heads with `keys`. `known` are the keys that earlier heads may be signed with."""

    ledger: Ledger
    origin: str
    keys: Sequence[Signer]
    known: Keyring
    anchors: Sequence[Anchor]

    def seal(self, now: datetime, *, thorough: bool = True) -> Sealed:
        """Give every record a place, sign what is new, and anchor what is not anchored yet.

        Raises LedgerError when the newest head in the database is not to be built upon: signed by
        nobody we know, or older than one that is anchored. A place that does not answer is a
        problem of the outcome, not an error: it gets what it lacks next time.
        """
        anchored = self._anchored()
        if thorough:
            self.ledger.sequence()
        else:
            self.ledger.sequence_new()
        new = False
        while self._next(now, anchored):
            new = True
        with self.ledger.read() as connection:
            head = newest_head(connection)
        places, problems = self._anchor(now)
        return Sealed(head=head, new=new, places=places, problems=problems)

    def _next(self, now: datetime, anchored: int) -> bool:
        with self.ledger.transaction() as connection:
            before = newest_head(connection)
            if anchored > (0 if before is None else before.size):
                raise LedgerError(
                    f"the database knows {0 if before is None else before.size} sealed records, an "
                    f"anchor {anchored}: the database was put back. Nothing is sealed until that "
                    "is understood; see `./hims audit verify`"
                )
            if before is not None and before.checkpoint.time > now + _SLACK:
                raise LedgerError(
                    f"the newest head was signed at {format_instant(before.checkpoint.time)}, and "
                    f"the clock of this machine says {format_instant(now)}: set it right; nothing "
                    "is sealed until then"
                )
            made = append_head(connection, self.origin, now, believe=self._believe, sign=self._sign)
        return made is not None

    def _anchored(self) -> int:
        sizes = [0]
        for anchor in self.anchors:
            try:
                sizes.append(anchor.newest())
            except LedgerError:
                # It cannot speak against what is sealed; that it is away is said by `_anchor`.
                continue
        return max(sizes)

    def _believe(self, head: Head) -> None:
        if self.known.signer(head.note, head.checkpoint.time) is None:
            raise LedgerError(
                f"the newest head in the database ({head.size} records) is signed by no key that "
                "counted then; see `keys` in config/audit.yaml and `./hims audit verify`"
            )
        if head.checkpoint.origin != self.origin:
            raise LedgerError(
                f"the newest head in the database is a head of {head.checkpoint.origin}, not of "
                f"{self.origin} (`origin` in config/audit.yaml): another ledger is in this one's "
                "place; see `./hims audit verify`"
            )

    def _sign(self, checkpoint: Checkpoint) -> str:
        if not self.keys:
            raise LedgerError(
                "there is no key to seal with that counts now: see `since` and `until` in "
                "config/audit.yaml; create the Connection ledger_seal_key, publish a key that is "
                "in KMS, or seal where `./hims up` runs"
            )
        return sign_checkpoint(checkpoint, self.keys)

    def _anchor(self, now: datetime) -> tuple[tuple[str, ...], tuple[str, ...]]:
        places: list[str] = []
        problems: list[str] = []
        for anchor in self.anchors:
            try:
                missing = iter(self._missing(anchor.newest()))
                while batch := [read_head(text) for text in islice(missing, _TOGETHER)]:
                    places.append(anchor.keep(batch, now))
            except (LedgerError, RequestError) as error:
                problems.append(f"{anchor.name}: {error}")
        return tuple(places), tuple(problems)

    def _missing(self, above: int) -> Iterable[str]:
        with self.ledger.read() as connection:
            yield from head_texts(connection, above=above)
