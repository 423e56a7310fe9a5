"""What signed heads say about the tree: from the database and from every anchor, as one stream."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter

from include.audit.keys import Keyring
from include.errors import RequestError
from include.ledger.entry import Head, read_head
from include.ledger.heads import HeadRow
from include.ledger.note import PublicKey

DATABASE = "database"


@dataclass(frozen=True, slots=True)
class Attested:
    """One head that is signed by a key that counted, and every place that keeps it."""

    head: Head
    key: PublicKey
    places: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Kept:
    size: int
    place: str
    head: Head
    key: PublicKey


# kind of finding, position where it begins, seq there, sentence
Report = Callable[[str, int, int | None, str], None]


def attested(
    sources: Mapping[str, Iterable[str | HeadRow]],
    origin: str,
    known: Keyring,
    report: Report,
    *,
    limits: dict[str, int],
) -> Iterator[Attested]:
    """Yield heads of the ledger `origin` by their size, each once; what is damaged, unsigned,
    another ledger's or differs is reported. A row of the database has to say beside the head what
    the head says.

    `limits` is how far each anchor went before the database was looked at: what was anchored later
    may be newer than what is verified.
    """

    # Places keep the same text, and come to it one right after the other: it is read once.
    @lru_cache(maxsize=2 * len(sources))
    def read(text: str) -> tuple[Head, PublicKey | None]:
        head = read_head(text)
        return head, known.signer(head.note, head.checkpoint.time)

    streams = [
        _believed(place, kept, origin, read, report, limits.get(place))
        for place, kept in sources.items()
    ]
    group: list[_Kept] = []
    for kept in heapq.merge(*streams, key=attrgetter("size")):
        if group and kept.size != group[0].size:
            yield _together(group, report)
            group = []
        group.append(kept)
    if group:
        yield _together(group, report)


def _believed(
    place: str,
    kept: Iterable[str | HeadRow],
    origin: str,
    read: Callable[[str], tuple[Head, PublicKey | None]],
    report: Report,
    limit: int | None,
) -> Iterator[_Kept]:
    end = 0
    for number, item in enumerate(kept, start=1):
        try:
            head, key = read((item if isinstance(item, str) else item.entry).rstrip("\n"))
        except RequestError as error:
            report("head_damaged", end, None, f"{place}: head {number}: {error}")
            continue
        first = head.entry.seqs[0] if head.entry.seqs else None
        if isinstance(item, HeadRow) and (columns := item.differs(head)):
            report(
                "head_differs",
                head.entry.start,
                first,
                f"{place}: the row of the head of {head.size} records says another "
                f"{', '.join(columns)} than was signed",
            )
        if limit is not None and head.size > limit:
            return
        if key is None:
            report(
                "head_unsigned",
                head.entry.start,
                first,
                f"{place}: the head of {head.size} records is signed by no key that counted then",
            )
            continue
        if head.checkpoint.origin != origin:
            report(
                "head_foreign",
                head.entry.start,
                first,
                f"{place}: the head of {head.size} records is one of {head.checkpoint.origin}, not "
                f"of {origin}: another ledger was put in this one's place",
            )
            continue
        if head.size <= end:
            report("head_replayed", head.entry.start, first, f"{place}: heads are out of order")
            continue
        end = head.size
        yield _Kept(head.size, place, head, key)


def _together(group: list[_Kept], report: Report) -> Attested:
    first = group[0]
    for other in group[1:]:
        if other.head.checkpoint.root != first.head.checkpoint.root:
            report(
                "head_differs",
                first.head.entry.start,
                first.head.entry.seqs[0],
                f"{first.place} and {other.place} keep different heads of {first.size} records",
            )
    return Attested(first.head, first.key, frozenset(item.place for item in group))
