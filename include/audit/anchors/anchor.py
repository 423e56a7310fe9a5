"""What every anchor does: keep heads, say which is the newest, give them back oldest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from include.ledger.entry import Head


class Anchor(Protocol):
    """A place for signed heads. Every method raises LedgerError when the place does not answer."""

    @property
    def name(self) -> str:
        """Return how findings and reports call the place."""

    def newest(self) -> int:
        """Return the size of the newest head that is kept; 0 for none."""

    @property
    def patience(self) -> timedelta:
        """Return after how long a head that is in the database has to be kept here, too."""

    def keep(self, heads: Sequence[Head], now: datetime) -> str:
        """Keep heads that follow the newest one, for good, and return the URI under which."""

    def heads(self) -> Iterator[str]:
        """Yield the heads as they are kept, oldest first; none of them has been checked."""
