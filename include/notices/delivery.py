"""Brings queued notices to their channels: at least once, in order within a thread, late ones
marked.

Every channel is served by itself, so that none waits for another, and by one deliverer at a time.
What is about to be sent is written down first: after a crash, or an answer that never came, the
channel is asked whether the notice is there, and only what is not goes out again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta

from include.errors import LedgerAway, LedgerError
from include.ledger import Ledger, Source
from include.notices import queue_state
from include.notices.batch import Batch, Means
from include.notices.channel import Channel
from include.notices.queue_state import Routes

_AT_ONCE = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """How many notices arrived, how many attempts failed, and how many are still queued.

    A notice that goes to two channels counts twice.
    """

    count: int
    failed: int
    remaining: int


def deliver_queued(
    ledger: Ledger,
    channels: Mapping[str, Channel],
    now: datetime,
    *,
    routes: Routes | None = None,
    limit: int = 1000,
    budget: float = 30.0,
    zone: Callable[[], str] = lambda: "UTC",
    source: Source | None = None,
) -> Delivered:
    """Send what is due, oldest first: for each channel at most `limit` and for `budget` seconds.

    `channels` are those that are set up, by the names that `routes` gives a notice (all of them, if
    there is none). A notice that a channel refuses waits (2 s, doubling, up to 10 min) and holds
    back its thread there; what only some could not take waits for them alone, who get the thread's
    later notices after it; a channel that takes nothing waits itself, or as long as it asks to.
    `zone` says where late notices tell their time, and is asked when one is late. Raises
    LedgerError when the ledger fails.
    """
    started = time.monotonic()

    def clock() -> datetime:
        return now + timedelta(seconds=time.monotonic() - started)

    def serve(name: str) -> tuple[int, int]:
        means = Means(
            ledger=ledger,
            name=name,
            channel=channels[name],
            clock=clock,
            zone=zone,
            source=source or Source(kind="dag"),
            out_of_time=lambda: time.monotonic() - started >= budget,
        )
        return _serve(means, limit)

    everywhere = tuple(channels)
    means_source = source or Source(kind="dag")
    queue_state.route_new(ledger, routes or (lambda _notice: everywhere), means_source, now)
    waiting = sorted(queue_state.open_channels(ledger) & set(channels))
    if len(waiting) > 1:
        with ThreadPoolExecutor(len(waiting)) as pool:
            served = list(pool.map(serve, waiting))
    else:
        served = [serve(name) for name in waiting]
    return Delivered(
        count=sum(count for count, _ in served),
        failed=sum(failed for _, failed in served),
        remaining=queue_state.count_open(ledger),
    )


def _serve(means: Means, limit: int) -> tuple[int, int]:
    """Serve one channel until nothing is due; return how many arrived and how many failed."""
    count = failed = 0
    while True:
        with ExitStack() as held:
            try:
                held.enter_context(means.ledger.exclusive(f"notices/{means.name}", wait=_AT_ONCE))
            except LedgerAway:
                raise
            except LedgerError:
                # Whoever is at it looks once more when it has let go.
                return count, failed
            more = True
            while more and count + failed < limit and not means.out_of_time():
                batch = Batch(means, min(means.channel.batch, limit - count - failed))
                more = batch.send()
                count += batch.count
                failed += batch.failed
        # What was queued while others found us at it.
        if count + failed >= limit or means.out_of_time() or not _is_due(means):
            return count, failed


def _is_due(means: Means) -> bool:
    now = means.clock()
    with means.ledger.read() as connection:
        _, not_before = queue_state.channel_wait(connection, means.name)
        if not_before is not None and not_before > now:
            return False
        return bool(queue_state.due(connection, means.name, now, 1))
