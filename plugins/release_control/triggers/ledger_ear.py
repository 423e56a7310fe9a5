"""One connection to the ledger that listens for all waiting tasks of a triggerer.

PostgreSQL announces every entry into the calendar as it is committed (`NOTIFY calendar`). A line
that breaks is taken up again, and whoever waits is then told as if something had changed: between
two calls nothing is missed, since the calendar's turn is read anew at each.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async

log = logging.getLogger(__name__)

# Seconds: between two calls, and after which a silent line is asked whether it still stands.
REDIAL = 2.0
LONGEST_SILENCE = 30.0


class LedgerEar:
    """What is known of the calendar's turn: `turn` is None until the ledger has answered once."""

    def __init__(self) -> None:
        self.turn: int | None = None
        self.users = 0
        self._news = asyncio.Event()
        self._line: asyncio.Task[None] | None = None

    async def wait(self, seconds: float) -> None:
        """Return when the turn was heard to change, at the latest after `seconds`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)

    def begin(self) -> None:
        """Start to listen."""
        self._line = asyncio.get_running_loop().create_task(self._listen())

    async def end(self) -> None:
        """Stop listening."""
        if self._line is not None:
            self._line.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._line
            self._line = None

    async def _listen(self) -> None:
        silent = False
        while True:
            try:
                await self._follow()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                if not silent:
                    log.warning("the ledger cannot be listened to: %s; trying again", error)
                silent = True
                await asyncio.sleep(REDIAL)
            else:
                silent = False

    async def _follow(self) -> None:
        import psycopg

        from release_control import connections

        url = await sync_to_async(connections.database_url)(connections.LEDGER)
        async with await psycopg.AsyncConnection.connect(
            url, autocommit=True, connect_timeout=10, application_name="release-control-triggers"
        ) as line:
            await line.execute("LISTEN calendar")
            while True:
                await self._ask(line)
                async for _ in line.notifies(timeout=LONGEST_SILENCE, stop_after=1):
                    pass

    async def _ask(self, line: Any) -> None:
        row = await (await line.execute("SELECT number FROM calendar_turn")).fetchone()
        if row[0] != self.turn:
            self.turn = int(row[0])
            news, self._news = self._news, asyncio.Event()
            news.set()


_ears: WeakKeyDictionary[asyncio.AbstractEventLoop, LedgerEar] = WeakKeyDictionary()


@contextlib.asynccontextmanager
async def ledger_ear() -> AsyncIterator[LedgerEar]:
    """Listen along for as long as the block lasts; the first opens the line, the last closes it."""
    loop = asyncio.get_running_loop()
    ear = _ears.get(loop)
    if ear is None:
        ear = _ears[loop] = LedgerEar()
        ear.begin()
    ear.users += 1
    try:
        yield ear
    finally:
        ear.users -= 1
        if not ear.users:
            _ears.pop(loop, None)
            await ear.end()
