"""What a verification finds, and names."""

from __future__ import annotations

from dataclasses import dataclass

# So many findings are listed; the first is what counts, and the rest follows from it.
MOST = 200


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
