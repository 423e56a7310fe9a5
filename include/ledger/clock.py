"""Whether this machine's clock and the ledger's agree (NIST SP 800-53 AU-8)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select

from include.ledger.ledger import Ledger
from include.ledger.record import Actor, Outcome, Source, Subject

LIMIT = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skew:
    """How far the database's clock is ahead of ours (negative: behind), give or take `margin`."""

    ahead: timedelta
    margin: timedelta

    @property
    def too_much(self) -> bool:
        """Return whether the clocks differ by more than the limit, however the answer travelled."""
        return abs(self.ahead) - self.margin > LIMIT


def check_clocks(
    ledger: Ledger, actor: Actor, source: Source, clock: Callable[[], datetime]
) -> Skew:
    """Compare the clocks and record it if they differ by more than a second."""
    with ledger.read() as connection:
        # The first question pays for the connection.
        connection.execute(select(func.clock_timestamp())).scalar_one()
        before = clock()
        theirs = connection.execute(select(func.clock_timestamp())).scalar_one()
        after = clock()
    margin = (after - before) / 2
    skew = Skew(ahead=theirs - (before + margin), margin=margin)
    if skew.too_much:
        seconds = skew.ahead.total_seconds()
        with ledger.write(actor, source, clock()) as unit:
            unit.append(
                "clock.skewed",
                Subject(kind="clock", id="ledger database"),
                outcome=Outcome.FAILURE,
                reason="ahead" if seconds > 0 else "behind",
                message=f"the ledger's database is {abs(seconds):.3f} s "
                f"{'ahead of' if seconds > 0 else 'behind'} this machine; set the clocks (NTP)",
                details={
                    "milliseconds": round(seconds * 1000),
                    "limit_milliseconds": round(LIMIT.total_seconds() * 1000),
                },
            )
    return skew
