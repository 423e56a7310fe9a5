"""What a way to people has to offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from include.notices.notice import QueuedNotice
from include.notices.summary import Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """The first message of a thread in a channel; `place` is where the channel keeps it."""

    id: str
    place: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A message as the channel took it. `opens`: it is the first of its thread there."""

    id: str
    place: str | None = None
    opens: bool = False
    # What is worth knowing although it arrived.
    remark: str | None = None


class Channel(Protocol):
    """One place where notices arrive: a Slack channel, mailboxes, a log …"""

    @property
    def name(self) -> str:
        """The channel's name, which tells it from all others; kept with what it delivered."""

    @property
    def batch(self) -> int:
        """How many notices may be under way before their arrival is written down.

        What a killed deliverer had under way is asked for with `find`; a channel that cannot be
        asked says 1, and repeats one notice at most.
        """

    @property
    def edits(self) -> bool:
        """Whether `show` can change what stands there."""

    def deliver(self, queued: QueuedNotice, root: Root | None, summary: Summary) -> Arrived:
        """Deliver one notice and return the message.

        `root` is the first message of the notice's thread, None for that first one itself, which
        shows `summary` where the channel can edit it later. Raises DeliveryError when the channel
        did not take it, or (with `waiting`) not for all of those whom it is for.
        """

    def find(
        self,
        queued: Sequence[QueuedNotice],
        root: Root | None,
        *,
        place: str | None,
        since: datetime,
    ) -> Mapping[int, Arrived] | None:
        """Return which of these notices of one thread have arrived after `since`, by their ids.

        `place` is where this channel has put other threads. None where the channel cannot tell.
        Raises DeliveryError when it does not answer.
        """

    def show(self, root: Root, summary: Summary) -> bool:
        """Make the thread's first message show `summary`; False where it will never do so.

        Raises DeliveryError when it may do so later.
        """
