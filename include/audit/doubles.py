"""Records that are written down twice: what counts them would count them twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import text
from sqlalchemy.engine import Connection

from include.audit.finding import MOST

# So many records are asked for at once.
_BATCH = 5000
_TWICE = text(
    "SELECT seq, position, first FROM ("
    "  SELECT r.seq, l.position, row_number() OVER same AS number,"
    "    first_value(r.seq) OVER same AS first"
    "  FROM record r LEFT JOIN leaf l ON l.seq = r.seq"
    "  WHERE r.id IN (SELECT id FROM record GROUP BY id HAVING count(*) > 1)"
    "  WINDOW same AS (PARTITION BY r.id ORDER BY l.position, r.seq)"
    ") AS found WHERE number > 1 ORDER BY position, seq LIMIT :most"
)
_PLACES = text(
    "SELECT seq, max(position) FROM leaf WHERE seq = ANY (:seqs) GROUP BY seq HAVING count(*) > 1"
)


def written_twice(
    connection: Connection, late: Sequence[int]
) -> Iterator[tuple[int | None, int, str]]:
    """Yield place, seq and sentence for every record that is one before it once more, and for every
    one with two places in the tree.

    `late` are the records that stand after one of a higher seq: who has two places is among them.
    """
    for start in range(0, len(late), _BATCH):
        seqs = list(late[start : start + _BATCH])
        for seq, position in connection.execute(_PLACES, {"seqs": seqs}):
            yield position, seq, f"record {seq} has two places in the tree"
    for seq, position, first in connection.execute(_TWICE, {"most": MOST}):
        yield position, seq, f"record {seq} is record {first} once more"
