"""Refused attempts, counted so that nobody can flood the ledger with them and none is lost.

Per actor and minute the first few are records of their own; of what follows the ledger is told when
the count reaches 10, 100, 1,000 …, and at the minute's end. If the process is killed, at most the
part of a count since its last power of ten is lost, never that there was one.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from include.instants import format_instant
from include.ledger import Actor

WINDOW = timedelta(minutes=1)
# Nobody has to be signed in to be refused; somebody who is can be held to account for each.
ANONYMOUS_APART = 1
SIGNED_IN_APART = 20
# Of how many different acts and addresses the count is kept apart.
_KINDS = 20


@dataclass
class Count:
    """The refused attempts of one actor within a minute; `told` of them are in the ledger."""

    actor: Actor
    since: datetime
    until: datetime
    total: int = 0
    told: int = 0
    apart: int = SIGNED_IN_APART
    acts: Counter[str] = field(default_factory=Counter)
    addresses: Counter[str] = field(default_factory=Counter)

    @property
    def patience_is_over(self) -> bool:
        """Return whether this actor has been refused so often that we stop listening."""
        return self.total >= self.apart

    @property
    def message(self) -> str:
        """Return what happened, in a sentence."""
        often = ", ".join(f"{number:,} × {act}" for act, number in self.acts.most_common(3))
        return (
            f"{self.actor.name} was refused {self.total:,} times from "
            f"{format_instant(self.since)} to {format_instant(self.until)}: {often}"
        )

    def details(self) -> dict[str, Any]:
        """Return the count as plain data."""
        return {
            "count": self.total,
            "since": format_instant(self.since),
            "until": format_instant(self.until),
            "acts": dict(self.acts),
            "addresses": dict(self.addresses),
        }


class Denials:
    """The counts of this minute, by actor."""

    def __init__(self) -> None:
        self._counts: dict[str, Count] = {}

    @property
    def empty(self) -> bool:
        """Return whether nothing is counted at the moment."""
        return not self._counts

    def count(self, actor: Actor, act: str, address: str, now: datetime) -> Count:
        """Count one refused attempt and return the actor's count."""
        count = self._counts.get(actor.user)
        if count is None:
            apart = ANONYMOUS_APART if actor.auth == "none" else SIGNED_IN_APART
            count = Count(actor=actor, since=now, until=now, apart=apart)
            self._counts[actor.user] = count
        count.total += 1
        count.until = now
        _tally(count.acts, act[:200])
        _tally(count.addresses, address[:64])
        return count

    def stands_alone(self, count: Count) -> bool:
        """Return whether the newest attempt gets a record of its own."""
        return count.total <= count.apart

    def is_round(self, count: Count) -> bool:
        """Return whether the count has reached a number at which the ledger is told."""
        return re.fullmatch("10+", str(count.total)) is not None

    def impatient(self, actor: Actor, now: datetime) -> bool:
        """Return whether further forced states of this actor are refused without asking Airflow."""
        count = self._counts.get(actor.user)
        return count is not None and now - count.since < WINDOW and count.patience_is_over

    def over(self, now: datetime | None = None) -> list[Count]:
        """Take out and return the counts whose minute is over (all without `now`), if the ledger
        has not been told everything."""
        ended = [
            user
            for user, count in self._counts.items()
            if now is None or now - count.since >= WINDOW
        ]
        counts = [self._counts.pop(user) for user in ended]
        return [count for count in counts if count.told < count.total]

    def put_back(self, count: Count) -> None:
        """Keep a count that the ledger could not take for the next time."""
        newer = self._counts.get(count.actor.user)
        if newer is None:
            self._counts[count.actor.user] = count
            return
        newer.since = count.since
        newer.total += count.total
        newer.told += count.told
        newer.acts.update(count.acts)
        newer.addresses.update(count.addresses)


def _tally(counter: Counter[str], name: str) -> None:
    counter[name if name in counter or len(counter) < _KINDS else "others"] += 1
